"""Clients that come back at once when they are sent away, as pusher-js does: ``crowd.py PORT COUNT STREAMS``.

Says ``READY`` when all are subscribed; at the end of its standard input it prints what became of them as JSON:
``moves``, seconds from each close frame to the next subscription; ``refused``, why a connection failed, was cut off or
closed for another reason; ``stays``, each time that a client was subscribed: since when (``time.monotonic``), of each
stream of events the first and highest number heard, ``gaps`` between two numbers, and what came ``late``, behind a
higher one; ``away``, how many are not subscribed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop

CHANNEL = "room"
_UPGRADE = (
    b"GET /app/app-key?protocol=7&client=crowd&version=1.0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_MASK = b"\0\0\0\0"
_SUBSCRIBE = json.dumps({"event": "pusher:subscribe", "data": {"channel": CHANNEL}}).encode()
_PONG = b'{"event":"pusher:pong","data":{}}'
_TICK = b'{"event":"tick","data":"'
_TEXT, _CLOSE = 0x81, 0x88
_RETRY = 0.05  # seconds after a failure


def frame(opcode: int, payload: bytes) -> bytes:
    """From a client, of less than 126 bytes."""
    return bytes((opcode, 0x80 | len(payload))) + _MASK + payload


class Stay:
    """A time that a client was subscribed."""

    def __init__(self, streams: int) -> None:
        self.since = time.monotonic()
        self.first = [0] * streams
        self.last = [0] * streams
        self.gaps: list[tuple[int, int, int]] = []
        self.late: list[tuple[int, int]] = []
        self.is_open = True


class Client(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, crowd: Crowd, left: float | None) -> None:
        self._crowd = crowd
        self._left = left
        self._buffer = b""
        self._is_open = self._over = False
        self._stay: Stay | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._is_open:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._buffer = data
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._end(head.partition(b"\r\n")[0].decode("latin-1"))
                return
            self._is_open, data = True, rest
        at, size = 0, len(data)
        while size - at >= 2:
            begin, length = at + 2, data[at + 1]
            if length == 126:
                begin, length = at + 4, int.from_bytes(data[at + 2 : at + 4], "big")
            if size < begin + length:
                break
            self._take(data[at], data[begin : begin + length])
            at = begin + length
        self._buffer = data[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if payload.startswith(_TICK):
            self._hear(payload[24] - 48, int(payload[25:33]))
        elif opcode == _CLOSE:
            self._transport.write(frame(_CLOSE, payload[:2]))
            code = int.from_bytes(payload[:2], "big")
            self._end("" if code == 4200 else f"closed with {code}")
        elif b'"pusher:connection_established"' in payload:
            self._transport.write(frame(_TEXT, _SUBSCRIBE))
        elif b'"pusher_internal:subscription_succeeded"' in payload:
            self._stay = self._crowd.arrived(self._left)
        elif b'"pusher:ping"' in payload:
            self._transport.write(frame(_TEXT, _PONG))

    def _hear(self, stream: int, number: int) -> None:
        stay = self._stay
        if stay is None:
            return
        last = stay.last[stream]
        if number == last + 1:
            stay.last[stream] = number
            stay.first[stream] = stay.first[stream] or number
        elif not last:
            stay.first[stream] = stay.last[stream] = number
        elif number > last:
            stay.gaps.append((stream, last, number))
            stay.last[stream] = number
        else:
            stay.late.append((stream, number))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over:
            self._end("cut off")

    def _end(self, refusal: str) -> None:
        self._over = True
        self._transport.close()
        if self._stay is not None:
            self._crowd.away += 1
            self._stay.is_open = False
        left = self._left if self._stay is None and self._left is not None else time.monotonic()
        self._crowd.connect_again(refusal, left)


class Crowd:
    """All clients."""

    def __init__(self, port: int, count: int, streams: int) -> None:
        self._port = port
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False
        self.all_here = asyncio.Event()
        self.away = count
        self.moves: list[float] = []
        self.refused: list[str] = []
        self.stays: list[Stay] = []

    def arrived(self, left: float | None) -> Stay:
        """A client is subscribed that had left then."""
        stay = Stay(self._streams)
        self.stays.append(stay)
        if left is not None:
            self.moves.append(stay.since - left)
        self.away -= 1
        if not self.away:
            self.all_here.set()
        return stay

    def connect_again(self, refusal: str, left: float) -> None:
        """A client was sent away, or refused."""
        if not self._over:
            if refusal:
                self.refused.append(refusal)
            self._do(self.connect(left, _RETRY if refusal else 0))

    def _do(self, connecting: Any) -> None:
        task = self._loop.create_task(connecting)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def connect(self, left: float | None = None, wait: float = 0) -> None:
        """Connect a client, until there is a connection."""
        while not self._over:
            if wait:
                await asyncio.sleep(wait)
            try:
                await self._loop.create_connection(lambda: Client(self, left), "127.0.0.1", self._port)
            except OSError as error:
                self.refused.append(repr(error))
                wait = _RETRY
            else:
                return

    def report(self) -> dict[str, Any]:
        """What became of them."""
        self._over = True
        return {
            "moves": self.moves,
            "refused": self.refused,
            "away": self.away,
            "stays": [vars(stay) for stay in self.stays],
        }


async def main() -> None:
    port, count, streams = map(int, sys.argv[1:])
    crowd = Crowd(port, count, streams)
    for number in range(count):
        await crowd.connect()
        if number % 50 == 0:
            await asyncio.sleep(0.02)
    await crowd.all_here.wait()
    print("READY", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(crowd.report()), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
