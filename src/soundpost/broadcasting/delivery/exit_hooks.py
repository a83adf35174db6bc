"""Exit hooks: the messages that wait in a process are sent when the process ends.

Messages may wait only in a process whose end runs a hook: ``atexit``, SIGTERM or SIGHUP. A forked process may end by
``os._exit``, which runs no hook: children of multiprocessing, Celery's and RQ's workers do. The workers that Gunicorn
forks run hooks, as processes do that were started. uWSGI runs ``atexit`` after OpenSSL, whose digests signing needs,
has been cleaned up.
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
"""Seconds that the end of the process waits for messages to be sent."""
FORK_TIME: Final = 1.0
"""Seconds that a fork waits for messages to be sent: the parent may end by ``os._exit``, as that of a daemon does."""
_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_FORKED_AND_NOT_EXECUTED: Final = 0x40
"""PF_FORKNOEXEC in the flags of /proc/PID/stat, proc_pid_stat(5)."""
_IMPORTED_IN: Final = os.getpid()
_EMBEDDING: Final = ("uwsgi", "mod_wsgi")
"""Modules of servers in C with Python inside: their signal handlers are unknown to Python."""


class Drainable(Protocol):
    """A holder of messages that wait to be sent."""

    def drain(self, seconds: float) -> None:
        """Send messages within a time, and log the messages that are not sent by then."""

    def flush(self, seconds: float) -> None:
        """Send messages within a time. Messages that are not sent by then continue to wait."""


_registered: WeakSet[Drainable] = WeakSet()


def register(drainable: Drainable) -> None:
    """Have messages drained at the end of the process."""
    _registered.add(drainable)


class ExitHooks:
    """The exit hooks of one process."""

    def __init__(self) -> None:
        self.is_forked = _is_forked()
        self.are_set = False
        self.have_run = False

    def will_run(self) -> bool:
        """Return whether the hooks will run when this process ends, and have not yet: a message accepted now may wait.

        The first call in the main thread sets handlers of SIGTERM and SIGHUP where there are none.
        """
        if not self.are_set and not self.have_run:
            self.are_set = not _may_end_at_once(self) and _handles_signals()
        return self.are_set and not self.have_run


of_this_process: Final = PerProcess(ExitHooks)


def _may_end_at_once(hooks: ExitHooks) -> bool:
    """Return whether this process may end without running hooks.

    So do uWSGI and mod_wsgi, a job of RQ, a child of Celery's pool, and every fork but a worker of Gunicorn.
    """
    if any(name in sys.modules for name in _EMBEDDING):
        return True
    if "RQ_JOB_ID" in os.environ or _is_child_of("billiard.process"):
        return True
    return hooks.is_forked and not _is_worker_of_gunicorn()


def _is_forked() -> bool:
    """Return whether this process was forked from another Python program, and has not executed a program since."""
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
    if base is None or sys.platform == "win32":
        return False
    worker = getattr(signal.getsignal(signal.SIGUSR1), "__self__", None)
    return isinstance(worker, base.Worker) and worker.pid == os.getpid()


def _handles_signals() -> bool:
    """Return whether SIGTERM has a handler, and set one first if there is none and this is the main thread."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                with suppress(ValueError):  # a subinterpreter
                    signal.signal(number, _on_signal)
    return signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Drain, then end as the signal would have ended the process; the next signal ends the process at once."""
    _reset_signals()
    _drain()
    signal.raise_signal(number)


def _reset_signals() -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, signal.SIG_DFL)


def _drain() -> None:
    """Drain all that is registered; messages that come later are sent at once."""
    of_this_process().have_run = True
    deadline = time.monotonic() + FLUSH_TIME
    for each in list(_registered):
        each.drain(max(0.0, deadline - time.monotonic()))


def _before_fork() -> None:
    deadline = time.monotonic() + FORK_TIME
    for each in list(_registered):
        each.flush(max(0.0, deadline - time.monotonic()))


atexit.register(_drain)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_reset_signals)
