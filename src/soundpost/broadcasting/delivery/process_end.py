"""How a process learns of its end: only where it does may anything wait in it to be sent.

It learns by ``atexit``, and by SIGTERM and SIGHUP. A process that was forked may end by ``os._exit``, which runs
nothing: children of multiprocessing, Celery's and RQ's workers do. The workers that Gunicorn forks end as processes do
that were started. uWSGI runs ``atexit`` when OpenSSL has been cleaned up, whose digests signing needs.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol
from weakref import WeakSet

from soundpost.per_process import PerProcess

FLUSH_TIME: Final = 5.0
"""Seconds that the end of the process waits for what is still to be sent."""
FORK_TIME: Final = 1.0
"""Seconds that a fork waits for it: the parent may be one that ends by ``os._exit`` now, as those of daemons do."""
_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_FORKED_AND_NOT_EXECUTED: Final = 0x40
"""PF_FORKNOEXEC in the flags of /proc/PID/stat, proc_pid_stat(5)."""
_IMPORTED_IN: Final = os.getpid()
_EMBEDDING: Final = ("uwsgi", "mod_wsgi")
"""Modules of servers in C that Python is a part of: they have handlers of signals that Python does not know of."""


class Waiting(Protocol):
    """Something that waits to be sent."""

    def drain(self, seconds: float) -> None:
        """Have it sent within this time, and name in the log what is not."""

    def rest(self, seconds: float) -> None:
        """Have it sent within this time if all goes well; what is not goes on waiting."""


_waiting: WeakSet[Waiting] = WeakSet()


def watch(waiting: Waiting) -> None:
    """Have it drained at the end of the process."""
    _waiting.add(waiting)


class _End:
    def __init__(self) -> None:
        self.is_forked = _is_forked()
        self.is_heard = False
        self.is_over = False


_end = PerProcess(_End)


def is_heard() -> bool:
    """Return whether this process will hear of its end, and has not yet: what is accepted then may wait.

    The first call in the main thread sets handlers of SIGTERM and SIGHUP where nobody else has.
    """
    end = _end()
    if not end.is_heard and not end.is_over:
        end.is_heard = not _may_end_at_once(end) and _hears_signals()
    return end.is_heard and not end.is_over


def _may_end_at_once(end: _End) -> bool:
    """Whether this process may end by ``os._exit``: a fork of any kind, or what RQ and Celery start otherwise."""
    if any(name in sys.modules for name in _EMBEDDING):
        return True
    if "RQ_JOB_ID" in os.environ or _is_child_of("billiard.process"):
        return True
    return end.is_forked and not _is_worker_of_gunicorn()


def _is_forked() -> bool:
    """Return whether this process is a copy of another Python program, rather than started by itself."""
    if os.getpid() != _IMPORTED_IN:
        return True
    try:
        stat = Path("/proc/self/stat").read_bytes()
    except OSError:  # macOS does not tell; what `spawn` starts has this argument, and runs atexit
        return _is_child_of("multiprocessing.process") and "--multiprocessing-fork" not in sys.orig_argv
    return bool(int(stat.rpartition(b")")[2].split()[6]) & _FORKED_AND_NOT_EXECUTED)


def _is_child_of(library: str) -> bool:
    """Return whether this is a child process of multiprocessing, or of billiard, Celery's own form of it."""
    module: Any = sys.modules.get(library)
    return module is not None and type(module.current_process()).__name__ != "_MainProcess"


def _is_worker_of_gunicorn() -> bool:
    """Return whether Gunicorn forked this very process to serve requests: workers of all classes handle SIGUSR1."""
    base: Any = sys.modules.get("gunicorn.workers.base")
    if base is None:
        return False
    worker = getattr(signal.getsignal(signal.SIGUSR1), "__self__", None)
    return isinstance(worker, base.Worker) and worker.pid == os.getpid()


def _hears_signals() -> bool:
    """Whether SIGTERM has a handler, ours if nobody else has set one; Python sets them in the main thread only."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                with suppress(ValueError):  # a subinterpreter
                    signal.signal(number, _on_signal)
    return signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Drain, and end as the signal would have ended the process; the next signal ends it at once."""
    _give_signals_back()
    _drain()
    signal.raise_signal(number)


def _give_signals_back() -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, signal.SIG_DFL)


def _drain() -> None:
    """Send at once whatever is accepted after this."""
    _end().is_over = True
    deadline = time.monotonic() + FLUSH_TIME
    for each in list(_waiting):
        each.drain(max(0.0, deadline - time.monotonic()))


def _before_fork() -> None:
    deadline = time.monotonic() + FORK_TIME
    for each in list(_waiting):
        each.rest(max(0.0, deadline - time.monotonic()))


atexit.register(_drain)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_give_signals_back)
