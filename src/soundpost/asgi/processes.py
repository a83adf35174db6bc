"""How processes that serve the same apps find out: an embedded server in each reaches only its own clients.

However they were started: the workers of Gunicorn, uvicorn, Hypercorn or Granian have one parent, as have the instances
that a supervisor or systemd starts. The first locks a file in the folder for temporary files, the others see that.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from soundpost.core.app_settings import AppSettings


class Claim:
    """A process's claim to be the only one among its parent's children that serves these apps.

    The lock is POSIX's: a process that was forked from this one does not have it, and it ends with the process. Where
    there are no such locks (Windows), or the file cannot be made, every claim holds; in tests too, which pytest-xdist
    runs in several processes.
    """

    def __init__(self, apps: Iterable[AppSettings]) -> None:
        names = repr(sorted((app.id, app.key, app.secret) for app in apps))
        self._mark = hashlib.sha256(names.encode()).hexdigest()[:16]
        self._file: int | None = None

    def contender(self) -> int | None:
        """Return the process that has claimed the same before; None if nobody has, and this one does now."""
        if self._file is not None or "pytest" in sys.modules:
            return None
        try:
            import fcntl

            file = os.open(self._path(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except (ImportError, OSError):
            return None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            text = os.pread(file, 20, 0)
            os.close(file)
            return int(text) if text.isdigit() else 0
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file
        return None

    def release(self) -> None:
        """Give it up, for another process to serve them."""
        if self._file is not None:
            with suppress(OSError):
                self._path().unlink()
            os.close(self._file)
            self._file = None

    def _path(self) -> Path:
        return Path(tempfile.gettempdir(), f"soundpost-embedded-{os.getuid()}-{os.getppid()}-{self._mark}")
