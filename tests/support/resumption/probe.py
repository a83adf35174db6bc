"""How long a server lets a client wait: ``python -m support.resumption.probe``, told what to do in lines of JSON."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop

from soundpost.tools.bench.server_frames import masked_text
from support.resumption import lines

PAUSE = 0.01
CLOSE_FRAME = 0x88
_PING = masked_text('{"event":"pusher:ping","data":{}}')
_UPGRADE = (
    b"GET /app/app-key?protocol=7&client=probe&version=1.0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Probe:
    """A client that asks whether the server is there, again and again. Each method is a command."""

    def __init__(self) -> None:
        self._waits: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def start(self, port: int) -> bool:
        """Begin to ask."""
        self._task = asyncio.get_running_loop().create_task(self._run(port))
        return True

    def waits(self) -> list[float]:
        """Seconds of all waits for an answer so far, in order of length."""
        return sorted(self._waits)

    async def _run(self, port: int) -> None:
        while True:
            try:
                await self._ask(port)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.2)

    async def _ask(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            while True:
                began = time.monotonic()
                writer.write(_PING)
                while b"pusher:pong" not in (data := await reader.read(65_536)):
                    if not data or data[0] == CLOSE_FRAME:
                        raise ConnectionResetError("closed")
                self._waits.append(time.monotonic() - began)
                await asyncio.sleep(PAUSE)
        finally:
            writer.close()


async def main() -> None:
    """Do what is asked until standard input ends."""
    probe = Probe()

    def command(name: str) -> Any:
        return getattr(probe, name)

    await lines.answer_lines(command)


if __name__ == "__main__":
    uvloop.run(main())
