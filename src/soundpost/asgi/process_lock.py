"""A lock that detects several embedded servers for the same apps: each would reach only its own clients.

The workers of Gunicorn, uvicorn, Hypercorn or Granian have one parent, and so have the instances that a supervisor or
systemd starts. The first process locks a file in the folder for temporary files; the others find the file locked.
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


class ProcessLock:
    """A lock of the process that serves these apps, among the processes with the same parent.

    The lock is a POSIX record lock: forked processes do not inherit it, and the kernel drops it when the process ends.
    No process counts as the owner where there are no such locks (Windows), where the file cannot be made, and under
    pytest, as pytest-xdist runs tests in several processes.
    """

    def __init__(self, apps: Iterable[AppSettings]) -> None:
        names = repr(sorted((app.id, app.key, app.secret) for app in apps))
        self._apps_hash = hashlib.sha256(names.encode()).hexdigest()[:16]
        self._file: int | None = None

    def other_owner(self) -> int | None:
        """Take the lock if it is free; return the id of the other process that has it, else None."""
        if sys.platform == "win32" or self._file is not None or "pytest" in sys.modules:
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
        """Release the lock, so that another process can take it."""
        if self._file is not None:
            with suppress(OSError):
                self._path().unlink()
            os.close(self._file)
            self._file = None

    def _path(self) -> Path:
        if sys.platform == "win32":
            raise NotImplementedError("Windows has no such locks")
        return Path(tempfile.gettempdir(), f"soundpost-embedded-{os.getuid()}-{os.getppid()}-{self._apps_hash}")
