"""Clients that come back at once when they are sent away, as pusher-js does: arguments PORT COUNT STREAMS.

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
from typing import Any

import uvloop

from returning.connection import Connection

CHANNEL = "room"
_SUBSCRIBE = json.dumps({"event": "pusher:subscribe", "data": {"channel": CHANNEL}}).encode()
_TICK = b'{"event":"tick","data":"'
_MOVE = 4200
"""Code with which a server sends clients away that come back at once."""
_RETRY = 0.05  # seconds after a failure


class Stay:
    """A time that a client was subscribed."""

    def __init__(self, streams: int) -> None:
        self.since = time.monotonic()
        self.first = [0] * streams
        self.last = [0] * streams
        self.gaps: list[tuple[int, int, int]] = []
        self.late: list[tuple[int, int]] = []
        self.is_open = True


class Client(Connection):
    """One connection of a client."""

    def __init__(self, crowd: Crowd, left: float | None) -> None:
        super().__init__()
        self._crowd = crowd
        self._left = left
        self._stay: Stay | None = None

    def take(self, payload: bytes) -> None:
        """Take a message."""
        if payload.startswith(_TICK):
            self._hear(payload[24] - 48, int(payload[25:33]))
        elif b'"pusher:connection_established"' in payload:
            self.send(_SUBSCRIBE)
        elif b'"pusher_internal:subscription_succeeded"' in payload:
            self._stay = self._crowd.arrived(self._left)

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

    def ended(self, code: int, refusal: str) -> None:
        """Come back."""
        if code:
            refusal = "" if code == _MOVE else f"closed with {code}"
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
