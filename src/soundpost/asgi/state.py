"""What an embedded server is while an event loop runs: a node, its timers, its clients."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Final

from soundpost.asgi.connection import AsgiConnection, Message, Receive, Send, deliver
from soundpost.asgi.processes import Claim
from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.config.settings import ServerSettings
from soundpost.core.app import App
from soundpost.core.app_settings import AppSettings
from soundpost.core.connection import Connection
from soundpost.core.node import Node
from soundpost.core.peers import Admission
from soundpost.errors import ProtocolError
from soundpost.log_throttle import LogThrottle
from soundpost.server.api.requests import Request
from soundpost.server.connections.timer_wheel import TimerWheel
from soundpost.server.connections.upgrade import admit, full
from soundpost.wire import codes, messages
from soundpost.wire.frames import frame_payload

log = logging.getLogger("soundpost.server")

_HOUSEKEEPING: Final = 5
"""Seconds between rounds of Node.housekeep."""
_HANDING_OVER: Final = 3
"""Seconds for which a worker that ends, and the one in its place, may both be there."""


class State:
    """The server in one event loop, which must be the running one."""

    def __init__(self, settings: ServerSettings, apps: Iterable[AppSettings]) -> None:
        apps = tuple(apps)
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.wheel = TimerWheel()
        self.node = Node(
            apps,
            peers=SingleNode(MemoryRegistry(apps, call_soon=self.loop.call_soon)),
            call_soon=self.loop.call_soon,
            deliver=deliver,
        )
        self.close_timeout = settings.close_timeout
        self.open_websockets = 0
        self.overflows = 0
        """How many slow clients were closed with 4100."""
        self.stopping = False
        self.notices = LogThrottle(log)
        self._max_websockets = settings.max_connections
        self._shutdown_timeout = settings.shutdown_timeout
        self._claim: Claim | None = Claim(apps)
        self._claim.contender()
        self._clock = self.loop.call_later(1, self._tick, self.loop.time() + 1)

    async def websocket(self, request: Request, prefix: str, origin: str | None, receive: Receive, send: Send) -> None:
        """Serve a WebSocket from handshake to end. A refused one is opened too, to be told why."""
        if (await receive())["type"] != "websocket.connect":  # the client is gone already
            return
        await send({"type": "websocket.accept"})
        try:
            app = admit(self.node, prefix, request, origin, self.notices)
            if self._max_websockets is not None and self.open_websockets >= self._max_websockets:
                raise full("server_full")
            await self._admit(app)
        except ProtocolError as error:
            await _refuse(send, error)
            return
        self.open_websockets += 1
        try:
            await AsgiConnection(app, self, send).serve(receive)
        finally:
            self.open_websockets -= 1

    async def _admit(self, app: App) -> None:
        admission: asyncio.Future[Admission] = self.loop.create_future()
        self.node.peers.admit(app.settings.id, admission.set_result)
        admitted = await admission
        if admitted != "admitted":
            raise full(admitted)

    async def stop(self) -> None:
        """Close every connection with 4200 (pusher-js reconnects at once); wait for them to go, for a while."""
        self.stopping = True
        self.node.outbox.flush()
        for app in self.node.by_id.values():
            for connection in list(app.connections.values()):
                self.send_away(connection)
        if self._claim is not None:
            self._claim.release()
        deadline = self.loop.time() + self._shutdown_timeout
        while self.open_websockets and self.loop.time() < deadline:  # noqa: ASYNC110 - only at the very end
            await asyncio.sleep(0.02)
        self._clock.cancel()

    def send_away(self, connection: Connection) -> None:
        """Have a client connect to a server that goes on."""
        connection.close(codes.GENERIC_RECONNECT, "Server is going down: reconnect")

    def overflowed(self, connection: Connection) -> None:
        """A slow client is closed."""
        self.overflows += 1
        self.notices.warn(
            f"overflowed {connection.app.settings.id}",
            "closed socket %s of app %s with 4100: it read too slowly, more than max_output_buffer (%d bytes) waited. "
            "No further ones are logged within a minute",
            connection.socket_id,
            connection.app.settings.id,
            connection.app.settings.max_output_buffer,
            silence=60,
        )

    def _tick(self, due: float) -> None:
        """Once a second; a loop that was late is not made up for: clients must have the time to be heard."""
        self.wheel.tick()
        if self.wheel.now == _HANDING_OVER:
            self._look_for_others()
        self.node.every_second()
        if self.wheel.now % _HOUSEKEEPING == 0:
            self.node.housekeep()
        due = max(due + 1, self.loop.time())
        self._clock = self.loop.call_at(due, self._tick, due)

    def _look_for_others(self) -> None:
        """Say so if another process has clients of the same apps."""
        other = None if self._claim is None else self._claim.contender()
        if other is not None:
            log.warning(
                "processes %s and %d have an embedded server each: an event reaches the clients of one process only. "
                "Serve with one process, or run 'soundpost start' beside the application",
                other or "of another id",
                os.getpid(),
            )


async def _refuse(send: Send, error: ProtocolError) -> None:
    text = frame_payload(messages.error(error.code, error.message)).decode()
    close: Message = {"type": "websocket.close", "code": error.code, "reason": error.message[:100]}
    try:
        await send({"type": "websocket.send", "text": text})
        await send(close)
    except Exception as gone:  # servers raise what they like once the client is gone
        log.debug("a refused client is gone: %s", gone)
