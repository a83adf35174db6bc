"""The figures of this process: those of its node, with CPU time, memory, and open files."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from soundpost.core.figures import NodeFigures
from soundpost.core.node import Node
from soundpost.operating_system import require_posix

if sys.platform == "win32":
    require_posix()
else:
    import resource

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_DESCRIPTORS: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
_OTHER_FILES: Final = len(os.listdir(_DESCRIPTORS))  # noqa: PTH208 - names, no paths


def node_figures(node: Node, *, sockets: int, lag_max: float) -> NodeFigures:
    """Return the figures of a node of this process: the object that goes on counting, not a copy.

    ``sockets`` is the number of open sockets of clients, ``lag_max`` the longest lag of the last 5 s.
    """
    figures = node.figures
    for app in figures.apps.values():
        app.fill_in()
    figures.lag_max = lag_max
    return with_process(figures, sockets=sockets)


def with_process(figures: NodeFigures, *, sockets: int = 0) -> NodeFigures:
    """Fill in the figures of the process, and return them."""
    figures.cpu = time.process_time()
    figures.memory = _memory()
    figures.open_files = _open_files(sockets)
    figures.max_open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return figures


def _memory() -> int:
    """Return the resident bytes of this process; on macOS the most it has had."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - without a path object, as it is read often
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _open_files(sockets: int) -> int:
    """Return the number of open descriptors, as the kernel counts them from Linux 6.2 on.

    Elsewhere it is estimated from the number of clients' sockets: to list 100,000 descriptors would take 50 ms.
    """
    if sys.platform == "linux":
        return os.stat(_DESCRIPTORS).st_size or _OTHER_FILES + sockets  # noqa: PTH116
    return _OTHER_FILES + sockets
