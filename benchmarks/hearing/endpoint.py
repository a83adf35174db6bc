"""An endpoint that takes webhooks, and can be away, fail, hang or be slow."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from typing import Any, Final, NamedTuple

from processes import free_port

SECRET: Final = b"app-secret"


class Heard(NamedTuple):
    """An event that a handler got: the first with its id."""

    at: float
    """Time of day in seconds."""
    event: dict[str, Any]


class Endpoint:
    """Takes requests on a port that stays the same. What it does with them:

    ``ok``: handle the events, and answer 200. ``slow``: the same, with the answer :attr:`pause` seconds later.
    ``hang``: handle the events, and never answer. ``error``: answer 500, handled is nothing.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.mode = "ok"
        self.pause = 0.0
        self.handled: list[Heard] = []
        self.requests = self.unsigned = self.repeated = 0
        """Requests; those without a right signature; events that came again with their id."""
        self._ids: set[str] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The address that the server posts to."""
        return f"http://127.0.0.1:{self.port}/hooks"

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Be gone: connections are refused from now on, and those that are open end."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._connections:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:-2])
                await self._answer(headers, await reader.readexactly(int(headers["content-length"])), writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        mode = self.mode
        self.requests += 1
        self.unsigned += headers.get("x-pusher-signature") != hmac.digest(SECRET, body, "sha256").hex()
        if mode != "error":
            self._handle(json.loads(body)["events"])
        if mode == "hang":
            await asyncio.Event().wait()
        if mode == "slow":
            await asyncio.sleep(self.pause)
        status = "500 Internal Server Error" if mode == "error" else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    def _handle(self, events: list[dict[str, Any]]) -> None:
        now = time.time()
        for event in events:
            if event["id"] in self._ids:
                self.repeated += 1
            else:
                self._ids.add(event["id"])
                self.handled.append(Heard(now, event))
