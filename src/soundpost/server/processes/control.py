"""The socket by which ``soundpost status``, ``reload`` and ``restart`` reach a server of this machine.

A Unix socket that only its user (and root) may use, named by the port, or by the path of the Unix socket that is
listened on. A request is a line of JSON, so is its answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import Struct

from soundpost.errors import JsonError, SoundpostError
from soundpost.server.processes.control_peer import Peer, listens, peer_of
from soundpost.server.processes.status import Status
from soundpost.server.processes.supervision import Supervision
from soundpost.wire.json_text import reader

log = logging.getLogger("soundpost.server")

_TIMEOUT: Final = 5.0
_LONGEST: Final = 10_000  # bytes of a request
_LONGEST_REPLY: Final = 1_048_576
_LONGEST_PATH: Final = 100  # bytes; the kernel takes 107, macOS 103
_FOLDER_OF_ROOT: Final = Path("/run/soundpost")

Command = Literal["status", "reload", "restart", "restart all"]


class Request(Struct, forbid_unknown_fields=True):
    """What a server is asked to do."""

    do: Command


class Reply(Struct):
    """What it says."""

    ok: bool
    said: str = ""
    status: Status | None = None
    user: str = ""
    """Whose server it is, where that is not the asker's; known by the kernel, not from the server."""


_read_request: Final = reader(Request)
_read_reply: Final = reader(Reply)


class Control:
    """Answers requests."""

    def __init__(self, supervision: Supervision, name: str) -> None:
        self._supervision = supervision
        self._name = name
        self._path: Path | None = None
        self._inode = 0
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, in the first folder that can be written to; if there is none, do without."""
        fault: OSError | None = None
        for folder in folders():
            try:
                self._path = folder / _file(self._name)
                sock = _bound(self._path)
            except OSError as error:
                fault = error
                continue
            self._inode = self._path.stat().st_ino
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(lambda: _Visitor(self._reply), sock=sock)
            return
        log.warning("soundpost status, reload and restart cannot reach this server: no socket for them (%s)", fault)

    def stop(self) -> None:
        """Listen no more."""
        if self._listener is None or self._path is None:
            return
        self._listener.close()
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # not that of who listens on the port by now
                self._path.unlink()

    def _reply(self, line: bytes) -> Reply:
        try:
            request: Request = _read_request(line)
            if request.do == "status":
                return Reply(True, status=self._supervision.status())
            if request.do == "reload":
                return Reply(True, self._supervision.reload())
            return Reply(
                True, self._supervision.restart_all() if request.do == "restart all" else self._supervision.restart()
            )
        except SoundpostError as error:
            return Reply(False, str(error))


class _Visitor(asyncio.Protocol):
    """Who asks one thing, and is answered."""

    def __init__(self, reply: Callable[[bytes], Reply]) -> None:
        self._reply = reply
        self._line = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(_TIMEOUT, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._line += data
        if b"\n" in data:
            self._transport.write(msgspec.json.encode(self._reply(self._line.partition(b"\n")[0])) + b"\n")
        if b"\n" in data or len(self._line) > _LONGEST:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()


def folders() -> Iterator[Path]:
    """Where such sockets are: systemd's RuntimeDirectory, root's place, the user's."""
    if "RUNTIME_DIRECTORY" in os.environ:
        yield Path(os.environ["RUNTIME_DIRECTORY"].partition(":")[0])
    if os.geteuid() == 0 and "XDG_RUNTIME_DIR" not in os.environ:
        yield _FOLDER_OF_ROOT
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache") / "soundpost"


def control_name(port: int, unix_socket: str | None) -> str:
    """By which a server that listens there is asked."""
    if unix_socket is None:
        return str(port)
    return f"unix-{hashlib.sha256(os.fsencode(Path(unix_socket).absolute())).hexdigest()[:12]}"


def ask(command: Command, name: str) -> Reply | None:
    """Ask a server; None if none of this user's is there.

    Raises OSError for one that does not answer, and when several users have one, or one is not what it seems.
    """
    impostor = ""
    with ExitStack() as stack:
        found: dict[int, socket.socket] = {}
        for folder in _all_folders():
            path = folder / _file(name)
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.settimeout(_TIMEOUT)
            if not _connects(sock, path):
                continue
            peer = peer_of(sock)
            if peer.uid == os.geteuid():
                return _asked(sock, command, "")
            if _is_believed(peer, name):
                found.setdefault(peer.uid, sock)
            else:
                impostor = f"{path} belongs to user {peer.user}, who does not listen there, and is not asked"
        if len(found) > 1:
            users = ", ".join(Peer(uid, 0).user for uid in found)
            raise PermissionError(f"several users have one: {users}; ask as one of them, by sudo -u")
        for uid, sock in found.items():
            return _asked(sock, command, Peer(uid, 0).user)
    if impostor:
        raise PermissionError(impostor)
    return None


def _is_believed(peer: Peer, name: str) -> bool:
    if peer.is_trusted:
        return True
    port = int(name) if name.isdecimal() else None
    return os.geteuid() == 0 and listens(peer, port, lambda path: control_name(0, str(path)) == name)


def _asked(sock: socket.socket, command: Command, user: str) -> Reply:
    """The answer of a server. Raises OSError for one that does not answer, or not as it should."""
    sock.sendall(msgspec.json.encode(Request(command)) + b"\n")
    line, deadline = b"", time.monotonic() + _TIMEOUT
    while b"\n" not in line:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = sock.recv(65_536)
        line += data
        if not data or len(line) > _LONGEST_REPLY:
            break
    if not line:
        raise ConnectionResetError("it ended meanwhile")
    try:
        reply: Reply = _read_reply(line)
    except JsonError:
        raise ConnectionError("it does not answer as a server of this version does") from None
    reply.user = user
    return reply


def names() -> list[str]:
    """Of this user's servers that run: ports, or what stands for Unix sockets."""
    found: set[str] = set()
    for folder in _all_folders():
        for path in folder.glob("control-*.sock"):
            name = path.stem.removeprefix("control-")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, suppress(OSError):
                if _connects(sock, path) and _is_believed(peer_of(sock), name):
                    found.add(name)
    return sorted(found)


def _connects(sock: socket.socket, path: Path) -> bool:
    """Whether somebody listens. Raises OSError for one that this user may not ask."""
    try:
        with _short(path) as address:
            sock.connect(address)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return False
    return True


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of a socket's path that is short enough for the kernel, which takes no more than 107 bytes."""
    if len(os.fsencode(path)) <= _LONGEST_PATH or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _all_folders() -> Iterator[Path]:
    yield from dict.fromkeys((*folders(), _FOLDER_OF_ROOT, *_folders_of_others()))


def _folders_of_others() -> Iterator[Path]:
    """Where servers of other users have their sockets, for root: under Supervisor in the home of the program's user."""
    if os.geteuid() == 0:
        with suppress(OSError):
            for line in Path("/proc/net/unix").read_text(errors="replace").splitlines():
                path = Path(line.rpartition(" ")[2])
                if path.parent.name == "soundpost" and path.name.startswith("control-"):
                    yield path.parent


def _bound(path: Path) -> socket.socket:
    """A socket that is only for this user; one that a killed server left is taken away. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _short(path) as address:
            sock.bind(address)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _file(name: str) -> str:
    return f"control-{name}.sock"


def as_json(value: Any) -> bytes:
    """For ``--json``."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
