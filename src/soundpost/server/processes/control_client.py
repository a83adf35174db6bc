"""The client of control sockets: ``soundpost status``, ``reload``, ``restart`` and ``stop`` ask a server here."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from soundpost.errors import JsonError
from soundpost.server.processes.control_messages import (
    MAX_REPLY,
    TIMEOUT,
    Command,
    ControlReply,
    ControlRequest,
    read_reply,
)
from soundpost.server.processes.control_paths import all_folders, control_name, port_of_name, short_path, socket_file
from soundpost.server.processes.control_peer import Peer, listens, peer_of


def ask_server(command: Command, name: str) -> ControlReply | None:
    """Ask the server with a :func:`control_name`; return None if none is found.

    Raises OSError if the server does not answer, if several users have one, or if the socket is another program's.
    """
    impostor = ""
    with ExitStack() as stack:
        found: dict[int, socket.socket] = {}
        for folder in all_folders():
            path = folder / socket_file(name)
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.settimeout(TIMEOUT)
            if not _connects(sock, path):
                continue
            peer = peer_of(sock)
            if peer.uid == os.geteuid():
                return _asked(sock, command, "")
            if _is_believed(peer, name):
                found.setdefault(peer.uid, sock)
            else:
                impostor = f"{path} belongs to user {peer.user}, who does not listen on this port: it is ignored"
        if len(found) > 1:
            users = ", ".join(Peer(uid, 0).user for uid in found)
            raise PermissionError(f"several users have one: {users}; ask as one of them, by sudo -u")
        for uid, sock in found.items():
            return _asked(sock, command, Peer(uid, 0).user)
    if impostor:
        raise PermissionError(impostor)
    return None


def running_servers() -> list[str]:
    """Return the control names of the servers that run and that this user may ask, sorted."""
    found: set[str] = set()
    for folder in all_folders():
        for path in folder.glob("control-*.sock"):
            name = path.stem.removeprefix("control-")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, suppress(OSError):
                if _connects(sock, path) and _is_believed(peer_of(sock), name):
                    found.add(name)
    return sorted(found)


def _is_believed(peer: Peer, name: str) -> bool:
    if peer.is_trusted:
        return True
    return os.geteuid() == 0 and listens(peer, port_of_name(name), lambda path: control_name(0, str(path)) == name)


def _asked(sock: socket.socket, command: Command, user: str) -> ControlReply:
    """Return the reply of a server. Raises OSError for one that does not answer, or not as it should."""
    sock.sendall(msgspec.json.encode(ControlRequest(command)) + b"\n")
    line, deadline = b"", time.monotonic() + TIMEOUT
    while b"\n" not in line:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = sock.recv(65_536)
        line += data
        if not data or len(line) > MAX_REPLY:
            break
    if not line:
        raise ConnectionResetError("it ended meanwhile")
    try:
        reply: ControlReply = read_reply(line)
    except JsonError:
        raise ConnectionError("its answer cannot be read: the server has another version") from None
    reply.user = user
    return reply


def _connects(sock: socket.socket, path: Path) -> bool:
    """Try to connect; return whether a process listens. Raises OSError for one that this user may not ask."""
    try:
        with short_path(path) as address:
            sock.connect(address)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return False
    return True
