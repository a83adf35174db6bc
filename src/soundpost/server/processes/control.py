"""The server's end of the control socket, for ``soundpost status``, ``top``, ``reload``, ``restart`` and ``stop``.

The control socket is a Unix socket that only the server's user (and root) may use. Its name comes from the port and
address, or from the path of the Unix socket, that the server listens on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from soundpost.compilation import build
from soundpost.errors import SoundpostError
from soundpost.server.connections.socket_activation import inherited_sockets, make_inheritable
from soundpost.server.figures.collector import FiguresCollector
from soundpost.server.processes.control_figures import bounded
from soundpost.server.processes.control_messages import (
    MAX_REQUEST,
    TIMEOUT,
    ControlReply,
    ControlRequest,
    read_request,
)
from soundpost.server.processes.control_paths import folders, short_path, socket_file
from soundpost.server.processes.supervision import Supervision

log = logging.getLogger("soundpost.server")

_LISTENER: Final = "control"
_PATH: Final = "_SOUNDPOST_CONTROL_SOCKET"


class ControlSocket(NamedTuple):
    """A control socket that listens, with the path and the inode of its file."""

    sock: socket.socket
    path: Path
    inode: int

    @property
    def has_file(self) -> bool:
        """True unless the file was removed, or is the socket of another server by now."""
        try:
            return self.path.stat().st_ino == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """Close the socket, and remove its file."""
        if self.has_file:
            with suppress(OSError):
                self.path.unlink()
        self.sock.close()


def inherited_control_socket() -> ControlSocket | None:
    """Return the control socket of the process before the restart, once; None for most processes."""
    inode, _, path = os.environ.pop(_PATH, "").partition(":")
    sockets = inherited_sockets(_LISTENER)
    return ControlSocket(sockets[0], Path(path), int(inode)) if sockets else None


class ControlServer:
    """A listener on the control socket that has requests carried out.

    ``configuration`` is the path of the server's configuration file, by which commands know their own server. Commands
    that came during a restart wait at ``inherited``, the socket of the process before.
    """

    def __init__(
        self,
        supervision: Supervision,
        collector: FiguresCollector,
        name: str,
        configuration: str = "",
        inherited: ControlSocket | None = None,
    ) -> None:
        self._supervision = supervision
        self._collector = collector
        self._commands = {
            "reload": supervision.reload,
            "restart": supervision.restart,
            "restart all": supervision.restart_all,
            "stop": supervision.stop,
        }
        self._name = name
        self._configuration = configuration
        self._inherited = inherited
        self._socket: ControlSocket | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen in the first folder that can be written to; if there is none, log a warning."""
        inherited, self._inherited = self._inherited, None
        fault: OSError | None = None
        for folder in folders():
            path = folder / socket_file(self._name)
            try:
                if inherited is not None and inherited.path == path and inherited.has_file:
                    self._socket, inherited = inherited, None
                else:
                    self._socket = ControlSocket(_bound(path), path, path.stat().st_ino)
            except OSError as error:
                fault = error
                continue
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(
                lambda: _ControlConnection(self._reply), sock=self._socket.sock.dup()
            )
            break
        else:
            log.warning(
                "soundpost status, top, reload, restart and stop cannot reach this server: no socket for them (%s)",
                fault,
            )
        if inherited is not None:  # the server has another address now
            inherited.close()

    def hand_over(self) -> None:
        """Leave the socket to the program that this process executes next: commands wait meanwhile."""
        if self._listener is None or self._socket is None:
            return
        self._listener.close()
        make_inheritable([self._socket.sock], _LISTENER)
        os.environ[_PATH] = f"{self._socket.inode}:{self._socket.path}"

    def stop(self) -> None:
        """Close the control socket, and remove its file."""
        if self._listener is None or self._socket is None:
            return
        self._listener.close()
        self._socket.close()

    async def _reply(self, line: bytes) -> ControlReply:
        try:
            request: ControlRequest = read_request(line)
            if request.do == "figures":
                return bounded(await self._collector.cluster_figures())
            if request.do == "status":
                facts = await asyncio.to_thread(build)  # looks through the folders of the package at first: 10 ms
                status = self._supervision.status()
                status = msgspec.structs.replace(status, configuration=self._configuration, build=facts)
                return ControlReply(True, status=status)
            if request.do == "restart progress":
                return ControlReply(True, done=self._supervision.restart_is_done())
            return ControlReply(True, self._commands[request.do]())
        except SoundpostError as error:
            return ControlReply(False, str(error))


class _ControlConnection(asyncio.Protocol):
    """A connection with one request and its reply."""

    def __init__(self, reply: Callable[[bytes], Coroutine[Any, Any, ControlReply]]) -> None:
        self._reply = reply
        self._line = b""
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._answering is not None:
            return
        self._line += data
        if b"\n" in data:
            self._answering = asyncio.ensure_future(self._answer(self._line.partition(b"\n")[0]))
        elif len(self._line) > MAX_REQUEST:
            self._transport.close()

    def eof_received(self) -> bool:
        return self._answering is not None  # the client may have shut down its writing side, and still reads

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        if self._answering is not None:
            self._answering.cancel()

    async def _answer(self, line: bytes) -> None:
        try:
            self._transport.write(msgspec.json.encode(await self._reply(line)) + b"\n")
        finally:
            self._transport.close()


def _bound(path: Path) -> socket.socket:
    """Bind a socket for this user only, in place of one that a killed server left. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with short_path(path) as address:
            sock.bind(address)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock
