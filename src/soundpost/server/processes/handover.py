"""State that a process hands over to the program that it executes next, in a restart.

The state lies in a file without a name, in memory where the system has such files. The next program inherits it.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final

log = logging.getLogger("soundpost.server")

_FILE: Final = "_SOUNDPOST_HANDOVER"
_RESTART: Final = "_SOUNDPOST_RESTART"


def hand_over(parts: Mapping[str, Callable[[], bytes]], owner: str = "", *, loss: str = "clients get gaps") -> None:
    """Have the program that this process executes next inherit the state. Each part has a name, and is made in turn.

    ``owner`` names state beside that of the registry. Without room for the state the program begins without it:
    ``loss`` says what that means.
    """
    file = -1
    try:
        file = _nameless_file()
        with os.fdopen(os.dup(file), "wb") as stream:
            for name, make in parts.items():
                data = make()
                stream.write(f"{name} {len(data)}\n".encode())
                stream.write(data)
    except (OSError, MemoryError) as error:
        log.warning("the state cannot be handed over (%s): %s", error or "no memory left", loss)
        if file >= 0:
            os.close(file)
        return
    os.set_inheritable(file, True)
    os.environ[_variable(owner)] = f"{os.getpid()}:{file}"


def note_restart(began: float) -> None:
    """Have the program that this process executes next know when the restart began, by the monotonic clock."""
    os.environ[_RESTART] = f"{os.getpid()}:{began}"


def restart_began() -> float | None:
    """Return when the restart began in which this process executed its program, once; None for a start."""
    pid, _, began = os.environ.pop(_RESTART, "").partition(":")
    return float(began) if pid == str(os.getpid()) else None


def taken_over(owner: str = "", *, loss: str = "clients get gaps") -> dict[str, bytes]:
    """Return the state that this process has inherited, once; an empty dict for most processes."""
    pid, _, file = os.environ.pop(_variable(owner), "").partition(":")
    if pid != str(os.getpid()) or not file:
        return {}
    try:
        with os.fdopen(int(file), "rb") as stream:
            stream.seek(0)
            return dict(_parts(stream))
    except (OSError, ValueError) as error:
        log.warning("the state of the process before the restart cannot be read (%s): %s", error, loss)
        return {}


def _variable(owner: str) -> str:
    return f"{_FILE}_{owner.upper()}" if owner else _FILE


def _parts(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    while head := stream.readline():
        name, size = head.decode().split()
        data = stream.read(int(size))
        if len(data) < int(size):
            raise ValueError(f"{name} is cut short")
        yield name, data


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("soundpost-handover")
    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())
