"""Listening sockets that a process inherits: from its predecessor, in a restart by ``exec``, or from systemd.

As the sockets stay open no connection is refused: new clients wait in the kernel's queue. Source for systemd:
https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Final

_OURS: Final = "_SOUNDPOST_SOCKETS"
_FIRST_OF_SYSTEMD: Final = 3


def make_inheritable(sockets: Iterable[socket.socket], listener: str = "") -> None:
    """Have the program that this process executes next inherit copies of listening sockets.

    ``listener`` is the name of a listener beside that of clients.
    """
    files = []
    for sock in sockets:
        file = os.dup(sock.fileno())
        os.set_inheritable(file, True)
        files.append(file)
    if files:
        os.environ[_variable(listener)] = f"{os.getpid()}:{','.join(map(str, files))}"


def inherited_sockets(listener: str = "") -> list[socket.socket]:
    """Return the sockets that this process has inherited for a listener; an empty list for most processes."""
    mine = str(os.getpid())
    pid, _, files = os.environ.pop(_variable(listener), "").partition(":")
    if pid == mine and files:
        return [_adopted(int(file)) for file in files.split(",")]
    if listener:
        return []
    if os.environ.pop("LISTEN_PID", "") == mine:
        count = int(os.environ.pop("LISTEN_FDS", "0"))
        return [_adopted(file) for file in range(_FIRST_OF_SYSTEMD, _FIRST_OF_SYSTEMD + count)]
    return []


def close_other_inherited_sockets() -> None:
    """Close the sockets of listeners that the process before the restart had, and this one has not."""
    for name in list(os.environ):
        if name.startswith(f"{_OURS}_"):
            for sock in inherited_sockets(name.removeprefix(f"{_OURS}_")):
                sock.close()


def _variable(listener: str) -> str:
    return f"{_OURS}_{listener.upper()}" if listener else _OURS


def _adopted(file: int) -> socket.socket:
    sock = socket.socket(fileno=file)
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock
