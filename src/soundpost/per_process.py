"""Values that a process must not share with the processes forked from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process makes for itself; a forked process makes another one on its first call.

    Use it for locks (another thread may hold one at the moment of the fork), queues, threads and connections. Every
    call compares the process id: servers that fork in C (uWSGI) run no hook of ``os.register_at_fork``. ``forget`` is
    called with the value inherited from the parent process. Safe to call from any thread.
    """

    __slots__ = ("_forget", "_make", "_values")

    def __init__(self, make: Callable[[], T], forget: Callable[[T], None] | None = None) -> None:
        self._make = make
        self._forget = forget
        self._values: dict[int, T] = {}

    def __call__(self) -> T:
        """Return the value of this process; make it on the first call."""
        try:
            return self._values[os.getpid()]
        except KeyError:
            return self._first()

    def made(self) -> T | None:
        """Return the value of this process; None if none was made yet."""
        return self._values.get(os.getpid())

    def _first(self) -> T:
        own = os.getpid()
        value = self._values.setdefault(own, self._make())  # atomic: of several threads, the first one's is taken
        for pid in list(self._values):
            if pid != own:
                inherited = self._values.pop(pid, None)
                if inherited is not None and self._forget is not None:
                    self._forget(inherited)
        return value
