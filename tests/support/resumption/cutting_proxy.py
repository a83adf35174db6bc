"""A TCP proxy that breaks connections: ``python -m support.resumption.cutting_proxy``, told how in lines of JSON."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import uvloop

from support.resumption import lines

PATIENCE: Final = 3.0
"""Seconds in which a server that starts may begin to listen. pusher-js waits longer after a connection that failed."""


class Proxy:
    """Passes connections on to ``targets`` in turn. Each method without an underscore is a command."""

    def __init__(self) -> None:
        self.targets: list[int] = []
        self.is_held = False
        """Whether nothing passes from servers to clients: what comes meanwhile is thrown away."""
        self.answers_to_drop = 0
        self.dropped = 0
        self.downstream: set[_Client] = set()
        self._turn = 0

    async def listen(self, targets: list[int]) -> int:
        """Listen before servers on these ports; the proxy's own."""
        self.targets = targets
        server = await asyncio.get_running_loop().create_server(lambda: _Client(self), "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    def cut(self) -> int:
        """End all connections, each in the middle of the next bytes from its server; how many there are."""
        for client in self.downstream:
            client.is_doomed = True
        return len(self.downstream)

    def abort(self) -> int:
        """End all connections at once."""
        count = len(self.downstream)
        for client in list(self.downstream):
            client.abort()
        return count

    def hold(self, held: bool) -> int:
        """Let nothing pass to clients, and lose it, or let all pass again on new connections."""
        self.is_held = held
        if not held:
            self.abort()
        return len(self.downstream)

    def drop_answers(self, count: int) -> int:
        """Throw away so many answers of servers, and close the connection instead; how many were thrown away before."""
        self.answers_to_drop = count
        return self.dropped

    def target(self) -> int:
        """The port that is next."""
        self._turn += 1
        return self.targets[self._turn % len(self.targets)]


class _Client(asyncio.Protocol):
    """A connection from a client, and the one to its server."""

    def __init__(self, proxy: Proxy) -> None:
        self.is_doomed = False
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._server: asyncio.Transport | None = None
        self._waiting = b""
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._proxy.downstream.add(self)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while self._transport is not None:
            try:
                server, _ = await loop.create_connection(lambda: _Server(self), "127.0.0.1", self._proxy.target())
            except OSError:
                if loop.time() > deadline:
                    self.abort()
                    return
                await asyncio.sleep(0.1)
                continue
            self._server = server
            if self._transport is None:
                self._server.abort()
            else:
                self._server.write(self._waiting)
            return

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._waiting += data
        else:
            self._server.write(data)

    def from_server(self, data: bytes) -> None:
        """Pass on what a server sends, or break it."""
        proxy = self._proxy
        if self._transport is None or proxy.is_held:
            return
        if proxy.answers_to_drop and data.startswith(b"HTTP/1.1 200"):
            proxy.answers_to_drop -= 1
            proxy.dropped += 1
            self.abort()
        elif self.is_doomed:
            # Written by close() before the connection ends, so the client has a part of a message.
            self._transport.write(data[: len(data) // 2])
            self._transport.close()
            if self._server is not None:
                self._server.abort()
        else:
            self._transport.write(data)

    def abort(self) -> None:
        """End both connections."""
        for transport in (self._transport, self._server):
            if transport is not None:
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._proxy.downstream.discard(self)
        if self._server is not None:
            self._server.abort()

    def server_lost(self) -> None:
        """The server has closed: the client reads what was sent until then."""
        if self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None:
            self._server.resume_reading()


class _Server(asyncio.Protocol):
    """The connection to the server."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.from_server(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.server_lost()


async def main() -> None:
    """Do what is asked until standard input ends."""
    proxy = Proxy()

    def command(name: str) -> Any:
        return getattr(proxy, name)

    await lines.answer_lines(command)


if __name__ == "__main__":
    uvloop.run(main())
