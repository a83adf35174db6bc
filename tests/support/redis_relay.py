"""A relay of bytes between a client and a server, which can hold them back, or be cut."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast


class Relay:
    """Listens on ``port`` of 127.0.0.1, and connects to another."""

    port: int

    def __init__(self, target: int) -> None:
        self._target = target
        self._held: list[tuple[asyncio.Transport, bytes]] | None = None
        self.loses_answers = False
        """True to let nothing of what the server sends pass."""
        self._transports: list[asyncio.Transport] = []
        self._server: asyncio.Server

    @classmethod
    async def start(cls, target: int) -> Relay:
        relay = cls(target)
        relay._server = await asyncio.get_running_loop().create_server(lambda: _Client(relay), "127.0.0.1", 0)
        relay.port = relay._server.sockets[0].getsockname()[1]
        return relay

    def hold(self) -> None:
        """Keep all bytes, in both directions."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Let go what was kept."""
        held, self._held = self._held, None
        for transport, data in held or ():
            transport.write(data)

    def forget(self) -> None:
        """Let go of what was kept, to nobody."""
        self._held = None

    def cut(self) -> None:
        """End all connections, without what is held."""
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    async def stop(self) -> None:
        self.cut()
        self._server.close()

    def pass_on(self, transport: asyncio.Transport, data: bytes) -> None:
        if self._held is None:
            transport.write(data)
        else:
            self._held.append((transport, data))


@contextmanager
def relay_in_background(target: int) -> Iterator[BackgroundRelay]:
    """A relay with a thread of its own, for tests that wait in the foreground."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        relay = asyncio.run_coroutine_threadsafe(Relay.start(target), loop).result()
        yield BackgroundRelay(loop, relay)
        asyncio.run_coroutine_threadsafe(relay.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class BackgroundRelay:
    """Listens on ``port``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, relay: Relay) -> None:
        self._loop = loop
        self._relay = relay
        self.port = relay.port

    def hold(self) -> None:
        """As if the cable were pulled: nothing passes, and nobody is told."""
        self._loop.call_soon_threadsafe(self._relay.hold)

    def mend(self) -> None:
        """What was under way is lost; new connections pass."""
        self._loop.call_soon_threadsafe(self._relay.cut)
        self._loop.call_soon_threadsafe(self._relay.forget)


class _Client(asyncio.Protocol):
    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.early: list[bytes] | None = []
        self.other: asyncio.Transport
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.relay._transports.append(self.transport)
        self.connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(lambda: _Server(self), "127.0.0.1", self.relay._target)
        except OSError:
            self.transport.abort()
            return
        self.other = transport
        self.relay._transports.append(transport)
        early, self.early = self.early, None
        for data in early or ():
            self.relay.pass_on(self.other, data)

    def data_received(self, data: bytes) -> None:
        if self.early is not None:
            self.early.append(data)
        else:
            self.relay.pass_on(self.other, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.early is None:
            self.other.abort()


class _Server(asyncio.Protocol):
    def __init__(self, client: _Client) -> None:
        self.client = client

    def data_received(self, data: bytes) -> None:
        if not self.client.relay.loses_answers:
            self.client.relay.pass_on(self.client.transport, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.client.transport.abort()
