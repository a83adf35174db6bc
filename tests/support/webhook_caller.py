"""The server's own client of an endpoint, and endpoints that answer it byte by byte as a test says."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from soundpost.server.webhooks.addresses import Resolver
from soundpost.server.webhooks.answers import Answer
from soundpost.server.webhooks.http_client import HttpClient
from support.raw_socket import TIMEOUT

NAMES: Final = {
    "hooks.test": ["127.0.0.1"],
    "twice.test": ["127.0.0.2", "127.0.0.1"],
    "mixed.test": ["::1", "127.0.0.1"],
}
"""The addresses of hosts."""
BODY: Final = b'{"events":[]}'


class Caller:
    """A client of one URL."""

    def __init__(self, url: str, allow_private: bool = True, kept: float = 75.0) -> None:
        self._resolver = Resolver(allow_private=allow_private, look_up=lambda host, port: NAMES[host])
        self.client = HttpClient(url, self._resolver, kept=kept)

    def start(self, seconds: float = TIMEOUT, headers: dict[str, str] | None = None) -> asyncio.Future[Answer]:
        """Send a request; its answer will come."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.client.post(BODY, headers or {"Content-Type": "application/json"}, seconds, answer.set_result)
        return answer

    async def post(self, seconds: float = TIMEOUT, headers: dict[str, str] | None = None) -> Answer:
        """Send a request; its answer."""
        return await self.start(seconds, headers)


@asynccontextmanager
async def calling(url: str, allow_private: bool = True, kept: float = 75.0) -> AsyncIterator[Caller]:
    """A caller that leaves no task behind."""
    made = Caller(url, allow_private, kept)
    try:
        yield made
    finally:
        made.client.close()
        await asyncio.gather(*made.client._tasks)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(serve: Serve) -> AsyncIterator[str]:
    """A listener that is not a proper endpoint; its URL."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


OK: Final = b"HTTP/1.1 200 OK\r\n"
EMPTY: Final = OK + b"Content-Length: 0\r\n\r\n"

Step = bytes | str
"""Bytes to write; or ``request`` (wait for one), ``close``, ``reset``, ``wait`` (for the client to close)."""


class Script:
    """An endpoint that takes a list of steps for each connection; the last list is for all that follow."""

    def __init__(self, *connections: Sequence[Step]) -> None:
        self._connections = list(connections)
        self.requests: list[tuple[bytes, bytes]] = []
        """Head and body of each request that came, in order."""
        self.opened = 0
        self.ended = asyncio.Condition()
        self.open = 0
        """Number of connections that the client has not closed, nor a step."""

    async def all_ended(self) -> None:
        """Wait until no connection is open."""
        async with self.ended, asyncio.timeout(TIMEOUT):
            await self.ended.wait_for(lambda: not self.open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the steps of a connection, then wait for its end."""
        steps = self._connections[min(self.opened, len(self._connections) - 1)]
        self.opened += 1
        self.open += 1
        with suppress(OSError, EOFError):
            for step in steps:
                await self._take(step, reader, writer)
            await reader.read()
        writer.close()
        self.open -= 1
        async with self.ended:
            self.ended.notify_all()

    async def _take(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case "request":
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                self.requests.append((head, await reader.readexactly(int(length[1]) if length else 0)))
            case "reset":
                at_once = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                writer.close()
                raise EOFError
            case "wait":
                await reader.read()
            case _:
                writer.close()
                raise EOFError


@asynccontextmanager
async def scripted(*connections: Sequence[Step]) -> AsyncIterator[tuple[str, Script]]:
    """An endpoint that follows a script; its URL, and the script."""
    script = Script(*connections)
    async with peer(script.serve) as url:
        yield url, script
