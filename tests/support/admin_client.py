"""A raw client of listeners for operators, in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from soundpost.server.admin_http import AdminListener, Handle, Timeouts


class Answer:
    """An HTTP response: header names in lower case."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error."""
        found: str = self.json()["error"]
        return found


class AdminClient:
    """One connection. What a test does not read waits in the socket, as at a client that is slow."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, source: str = "127.0.0.1") -> AdminClient:
        """Connect from an address of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=65_536, local_addr=(source, 0)))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    async def request(self, method: str, target: str, body: bytes | None = None, /, **headers: str) -> Answer:
        """Send a request, and read the response; ``x_csrf_token`` is the header ``X-CSRF-Token``."""
        fields = {"host": "127.0.0.1"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            fields["content-length"] = str(len(body))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return await self.read(without_body=method == "HEAD")

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}

    async def read(self, *, without_body: bool = False) -> Answer:
        """Read a response to its end."""
        status, headers = await self.read_head()
        body = b""
        if "content-length" in headers and not without_body:
            body = await self._reader.readexactly(int(headers["content-length"]))
        return Answer(status, headers, body)

    async def read_part(self) -> bytes:
        """Read the next part of a chunked body; empty at its end."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def read_event(self) -> Any:
        """Read the next server-sent event with data."""
        while True:
            for line in (await self.read_part()).decode().splitlines():
                if line.startswith("data: "):
                    return msgspec.json.decode(line.removeprefix("data: "))

    async def read_rest(self) -> bytes:
        """Read until the server closes the connection, whether in order or not."""
        data = bytearray()
        try:
            while part := await self._reader.read(65_536):
                data += part
        except ConnectionResetError:
            pass
        return bytes(data)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


@asynccontextmanager
async def listening(handle: Handle, timeouts: Timeouts = Timeouts()) -> AsyncIterator[AdminListener]:  # noqa: B008
    """A listener on a free port of 127.0.0.1."""
    listener = AdminListener("127.0.0.1", 0, handle, name="test", timeouts=timeouts)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()
