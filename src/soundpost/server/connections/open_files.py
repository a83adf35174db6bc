"""The limit of open files, which is the limit of connections."""

from __future__ import annotations

import sys

from soundpost.operating_system import require_posix

if sys.platform == "win32":
    require_posix()
else:
    import resource


def places_for_websockets(capacity: int) -> int:
    """Return the number of WebSockets for a ``capacity`` of connections. The rest is for applications that publish."""
    return capacity - min(64, capacity // 20)


def raise_open_files_limit() -> int:
    """Raise the soft limit as far as the hard limit allows; return the number of files that may be open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS calls the hard limit unlimited but takes no more than this.
        wanted = 10_240 if hard == resource.RLIM_INFINITY else hard
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        except (OSError, ValueError):
            return soft
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
