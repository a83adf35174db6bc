"""The runtime of an embedded server in one event loop."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from functools import partial
from typing import Final

from soundpost.asgi.connection import AsgiConnection, Message, Receive, Send, deliver
from soundpost.asgi.handlers import URL as HANDLERS
from soundpost.asgi.handlers import HandlerClient, with_handlers
from soundpost.asgi.process_lock import ProcessLock
from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.backplane.history_store import HistoryStore
from soundpost.config.settings import ServerSettings
from soundpost.core import reports
from soundpost.core.app import App
from soundpost.core.app_settings import AppSettings
from soundpost.core.peers import Admission
from soundpost.errors import ProtocolError
from soundpost.server.api.requests import Request
from soundpost.server.connections.refused_clients import note_refused_client
from soundpost.server.connections.upgrade import app_for, app_named, no_room_error
from soundpost.server.runtime import Runtime
from soundpost.server.webhooks.over_http import http_dispatcher
from soundpost.webhooks.endpoint import WebhookEndpoint
from soundpost.wire import messages
from soundpost.wire.frames import frame_payload

log = logging.getLogger("soundpost.server")

_WORKER_HANDOVER_TIME: Final = 3
"""Seconds for which an old worker of the ASGI server and its replacement may both run."""


class EmbeddedRuntime(Runtime):
    """An embedded server in the running event loop.

    After the application has blocked the loop, missed ticks are not made up for: pongs of clients must be read first.
    """

    def __init__(self, settings: ServerSettings, apps: Iterable[AppSettings], handlers: WebhookEndpoint) -> None:
        """Make the runtime; ``handlers`` are those of the application for webhooks."""
        apps = with_handlers(apps, handlers)
        history = HistoryStore(settings.max_history_size)
        self.webhooks = http_dispatcher(apps, settings, clients={HANDLERS: partial(HandlerClient, handlers)})
        call_soon = asyncio.get_running_loop().call_soon
        registry = MemoryRegistry(apps, history=history, call_soon=call_soon, webhooks=self.webhooks)
        super().__init__(apps, deliver=deliver, close_timeout=settings.close_timeout, peers=SingleNode(registry))
        self.pid = os.getpid()
        self._max_websockets = settings.max_connections
        self._shutdown_timeout = settings.shutdown_timeout
        self._process_lock: ProcessLock | None = ProcessLock(apps)
        self._process_lock.other_owner()
        self.start_clock()

    async def websocket(
        self, request: Request, prefix: str, origin: str | None, address: str, receive: Receive, send: Send
    ) -> None:
        """Serve a WebSocket from handshake to close; also accept a refused one, to send the reason."""
        if (await receive())["type"] != "websocket.connect":  # the client is gone already
            return
        await send({"type": "websocket.accept"})
        try:
            app, client = app_for(self.node, prefix, request, origin, self.log_throttle)
            if self._max_websockets is not None and self.open_websockets >= self._max_websockets:
                raise no_room_error("server_full")
            await self._admit(app)
        except ProtocolError as error:
            note_refused_client(self.node, app_named(self.node, prefix, request), error, address, origin)
            await _refuse(send, error)
            return
        self.open_websockets += 1
        try:
            connection = AsgiConnection(app, self, send, address)
            connection.client = client
            if app.reports:
                reports.note_origin(connection, origin)
            await connection.serve(receive)
        finally:
            self.open_websockets -= 1

    async def _admit(self, app: App) -> None:
        admission: asyncio.Future[Admission] = self.loop.create_future()
        self.node.peers.admit(app.settings.id, admission.set_result)
        admitted = await admission
        if admitted != "admitted":
            raise no_room_error(admitted)

    async def stop(self) -> None:
        """Close every connection with 4200, and wait up to ``shutdown_timeout`` seconds for the clients to go."""
        self.stopping = True
        self.node.outbox.flush()
        self.close_all_for_reconnect()
        if self._process_lock is not None:
            self._process_lock.release()
        deadline = self.loop.time() + self._shutdown_timeout
        while (self.open_websockets or self.leave_queue) and self.loop.time() < deadline:  # noqa: ASYNC110 - only at the very end
            await asyncio.sleep(0.02)
        self.stop_clock()
        await self.webhooks.stop(max(1.0, deadline - self.loop.time()))

    def _after_tick(self) -> None:
        if self.wheel.now == _WORKER_HANDOVER_TIME:
            self._look_for_others()

    def _look_for_others(self) -> None:
        """Log a warning if another process has an embedded server for the same apps."""
        other = None if self._process_lock is None else self._process_lock.other_owner()
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
