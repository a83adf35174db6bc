"""An endpoint that counts events and answers at once: ``sink.py PORT``, on core 1.

Reads numbers from its standard input, one a line, and answers each with a line when it has got so many events in all.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Sink(asyncio.Protocol):
    """Counts events by their ids."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            if len(rest) < size:
                return
            Sink.count += rest[:size].count(b'"id":"')
            self._buffer = rest[size:]
            self._transport.write(ANSWER)


async def main() -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    await loop.create_server(Sink, "127.0.0.1", int(sys.argv[1]))
    print("READY", flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        while Sink.count < int(line):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        print(Sink.count, flush=True)


if __name__ == "__main__":
    uvloop.run(main())
