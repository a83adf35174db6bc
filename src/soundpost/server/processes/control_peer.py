"""The process at the other end of a control socket, and the check that it is the server that is meant.

A path proves nothing: another user may have put a socket there. The kernel tells whose process listens. A process of
this user, or of root, is trusted. For root a process of another user (as under Supervisor) is trusted too, if it
listens on the port, or on the Unix socket, that the control socket is named after.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_LOCAL_PEERCRED: Final = 1  # macOS, sys/un.h
_XUCRED: Final = struct.Struct("@Iih16I")
_UCRED: Final = struct.Struct("@iII")
_LISTENING: Final = "0A"
_ACCEPTS: Final = 0x10000


class Peer(NamedTuple):
    """A process that listens on a Unix socket; ``pid`` is 0 where the kernel does not give it."""

    uid: int
    pid: int

    @property
    def user(self) -> str:
        """The name of the process' user; the number if that has no name."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def is_trusted(self) -> bool:
        """True for a process of this user, or of root."""
        return self.uid in (os.geteuid(), 0)


def peer_of(sock: socket.socket) -> Peer:
    """Return the process that listens at the other end of a connected socket. Raises OSError."""
    if sys.platform == "linux":
        pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return Peer(uid, pid)
    fields = _XUCRED.unpack(sock.getsockopt(0, _LOCAL_PEERCRED, _XUCRED.size))
    return Peer(fields[1], 0)


def listens(peer: Peer, port: int | None, is_socket: Callable[[Path], bool]) -> bool:
    """Return whether a process listens on a TCP port; without one, on a Unix socket that ``is_socket`` accepts."""
    process = Path(f"/proc/{peer.pid}")
    try:
        if process.stat().st_uid != peer.uid:
            return False  # another process by now
        inodes = set(_unix_inodes(process, is_socket) if port is None else _tcp_inodes(process, port))
        return any(_target(file) in inodes for file in (process / "fd").iterdir())
    except OSError:
        return False


def _tcp_inodes(process: Path, port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (process / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"


def _unix_inodes(process: Path, is_socket: Callable[[Path], bool]) -> Iterator[str]:
    for line in (process / "net" / "unix").read_text(errors="replace").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and int(fields[3], 16) & _ACCEPTS and is_socket(Path(fields[7])):
            yield f"socket:[{fields[6]}]"


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""
