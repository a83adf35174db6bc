"""The runtime of a server in one event loop, shared by ``soundpost start`` and the server embedded in ASGI."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.compilation import mypyc_attr
from soundpost.core import presence_grace
from soundpost.core.app_settings import AppSettings
from soundpost.core.connection import Connection
from soundpost.core.node import Deliver, Node
from soundpost.core.observer import Observer
from soundpost.core.peers import Peers
from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.server.connections.leave_queue import LeaveQueue
from soundpost.server.connections.peer import shown
from soundpost.server.connections.timer_wheel import TimerWheel
from soundpost.wire import codes

log = logging.getLogger("soundpost.server")

HOUSEKEEPING_INTERVAL: Final = 5
"""Seconds between two rounds of a node's housekeeping."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Runtime:
    """A node in the running event loop, with its timers, its warnings and the rules for its WebSockets."""

    max_catch_up: ClassVar[float] = 1
    """Seconds of missed ticks that a late loop makes up for. A later one goes on from the current time."""

    def __init__(
        self,
        apps: Iterable[AppSettings],
        *,
        deliver: Deliver,
        close_timeout: int,
        peers: Peers | None = None,
        compress: Callable[[bytes], bytes] | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        """Give clients ``close_timeout`` seconds to answer a close frame. Without ``peers`` the node is alone."""
        apps = tuple(apps)
        self.loop = asyncio.get_running_loop()
        self.wheel = TimerWheel(self.loop.call_soon)
        self.node = Node(
            apps,
            peers=peers
            or SingleNode(MemoryRegistry(apps, call_soon=self.loop.call_soon, call_later=self.loop.call_later)),
            call_soon=self.loop.call_soon,
            call_later=self.loop.call_later,
            deliver=deliver,
            compress=compress,
            observers=observers,
        )
        self.leave_queue = LeaveQueue(self.loop.call_soon, self.loop.call_later, lambda: self.node.peers.is_behind)
        self.log_throttle = LogThrottle(log)
        self.close_timeout = close_timeout
        self.open_websockets = 0
        self.overflows = 0
        """The number of slow clients that were closed with 4100."""
        self.stopping = False
        """True once every new client is sent away."""
        self._clock: asyncio.TimerHandle | None = None

    def start_clock(self) -> None:
        """Begin to tick, once a second."""
        self._clock = self.loop.call_later(1, self._tick, self.loop.time() + 1)

    def stop_clock(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._clock.cancel()

    def close_for_reconnect(self, connection: Connection) -> None:
        """Close a connection with 4200: pusher-js reconnects at once, to a server that goes on."""
        presence_grace.note_close(connection, codes.GENERIC_RECONNECT)
        connection.close(codes.GENERIC_RECONNECT, "Server is going down: reconnect")

    def close_all_for_reconnect(self) -> None:
        """Close every connection with 4200."""
        for app in self.node.by_id.values():
            for connection in list(app.connections.values()):
                self.close_for_reconnect(connection)

    def close_slow_client(self, connection: Connection) -> None:
        """Close a client with 4100, as more than ``max_output_buffer`` bytes wait for it; log one a minute per app."""
        for observer in self.node.observers:
            observer.output_overflowed(connection)
        self.overflows += 1
        connection.app.figures.slow_clients += 1
        settings = connection.app.settings
        self.log_throttle.warn(
            f"overflowed {settings.id}",
            "closed socket %s of app %s from %s with 4100: it read too slowly, more than max_output_buffer (%d bytes) "
            "waited",
            connection.socket_id,
            settings.id,
            shown(connection.address),
            settings.max_output_buffer,
            interval=MINUTE,
            extra=fields(app=settings.id, address=connection.address, code=codes.OVER_CAPACITY),
        )
        presence_grace.note_close(connection, codes.OVER_CAPACITY)
        connection.close(codes.OVER_CAPACITY, "Too slow: more than max_output_buffer bytes were waiting for you")

    def _tick(self, due: float) -> None:
        """Advance the timer wheel each second; missed ticks are made up for within limits: the wheel keeps the time."""
        now = self.loop.time()
        if now - due >= self.max_catch_up:
            due = now
        ticks = 0
        while due <= now:
            due += 1
            ticks += 1
        self._clock = self.loop.call_at(due, self._tick, due)  # first: a fault below does not stop the clock
        for _ in range(ticks):
            self.wheel.tick()
            self.node.every_second()
            if self.wheel.now % HOUSEKEEPING_INTERVAL == 0:
                self.node.housekeep()
        self._after_tick()

    def _after_tick(self) -> None:
        """Run the other work of each second; missed ticks are not made up for."""
