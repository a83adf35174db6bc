"""A crowd with recorded actions: users who stay, users who come once and leave, and the client events of each."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Coroutine
from typing import Final

from returning.connection import CLOSE, Connection, frame

from hearing.expected import Expected
from soundpost.wire import signatures

KEY, SECRET = "app-key", "app-secret"
ROOMS: Final = 4
ANSWER_TIME: Final = 5.0
AWAY: Final = 0.5
"""Seconds for which a user who blinks is gone."""


class Client(Connection):
    """A connection of a user. Whoever waits for an answer gets a ConnectionError if the connection ends before."""

    def __init__(self, user: str, heard: Callable[[int], None]) -> None:
        super().__init__()
        self.user = user
        self.over = asyncio.get_running_loop().create_future()
        """Done when the connection has ended."""
        self.port = 0
        self._is_connected = False
        self._socket_id = ""
        self._heard = heard
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def connect(self, port: int) -> None:
        """Connect, and be greeted. Raises OSError."""
        self.port = port
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        await self._answer("hello")

    async def subscribe(self, channel: str) -> None:
        """Join a presence channel. Raises OSError."""
        member = json.dumps({"user_id": self.user, "user_info": {"name": self.user}})
        auth = f"{KEY}:{signatures.sign(SECRET, signatures.channel_text(self._socket_id, channel, member))}"
        data = {"channel": channel, "auth": auth, "channel_data": member}
        self.send(json.dumps({"event": "pusher:subscribe", "data": data}).encode())
        await self._answer(channel)

    async def sign_in(self) -> None:
        """Sign in. Raises OSError."""
        user = json.dumps({"id": self.user, "user_info": {"name": self.user}})
        auth = f"{KEY}:{signatures.sign(SECRET, signatures.user_text(self._socket_id, user))}"
        self.send(json.dumps({"event": "pusher:signin", "data": {"auth": auth, "user_data": user}}).encode())
        await self._answer("signin")

    def say(self, channel: str, number: int) -> None:
        """Send a client event."""
        self.send(json.dumps({"event": "client-said", "channel": channel, "data": {"n": number}}).encode())

    def leave(self) -> None:
        """Say goodbye, and close the connection if there is one."""
        if self._is_connected and not self.over.done():
            self._transport.write(frame(CLOSE, (1000).to_bytes(2, "big")))
            self._end(1000, "")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self._is_connected = True
        super().connection_made(transport)

    def take(self, payload: bytes) -> None:
        """Note what a message tells."""
        message = json.loads(payload)
        match message["event"]:
            case "client-said":
                self._heard(message["data"]["n"])
            case "pusher:connection_established":
                self._socket_id = json.loads(message["data"])["socket_id"]
                self._came("hello")
            case "pusher_internal:subscription_succeeded":
                self._came(message["channel"])
            case "pusher:signin_success":
                self._came("signin")

    def ended(self, code: int, refusal: str) -> None:
        """Give up what is waited for."""
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(ConnectionError(f"closed: {code} {refusal}"))
        if not self.over.done():
            self.over.set_result(None)

    async def _answer(self, what: str) -> None:
        if self.over.done():
            raise ConnectionError("closed")
        self._awaited[what] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(ANSWER_TIME):
            await self._awaited[what]

    def _came(self, what: str) -> None:
        if (future := self._awaited.pop(what, None)) is not None and not future.done():
            future.set_result(None)


class Crowd:
    """``stayers`` users who stay, and come back whenever they are cut off; every fourth of them goes and comes back
    within half a second, again and again. Visitors come ``rate`` times a second, speak once, and go for good."""

    def __init__(self, ports: list[int], stayers: int, rate: float, expected: Expected) -> None:
        self.ports = ports
        """Where to connect to; a host that is gone is taken out."""
        self.connected = 0
        """Stayers that are in their room now."""
        self._stayers = stayers
        self._rate = rate
        self._expected = expected
        self._numbers = itertools.count()
        self._random = random.Random(1)
        self._clients: set[Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._coming: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Let all stayers come, and visitors from then on."""
        for number in range(self._stayers):
            self._start(self._stay(number))
        while self.connected < self._stayers * 3 // 4:  # noqa: ASYNC110 - those that blink may be gone
            await asyncio.sleep(0.05)
        self._coming = asyncio.create_task(self._come())

    async def no_more_visitors(self) -> None:
        """Let no visitor come any more, and wait until all have gone."""
        assert self._coming is not None
        self._coming.cancel()
        while any(task.get_name() == "visitor" for task in self._tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def give_up(self, port: int) -> None:
        """Let all stayers that are connected to a port go, as clients do that get no answer."""
        for client in [client for client in self._clients if client.port == port]:
            client.leave()

    async def end(self) -> None:
        """Stop all."""
        for task in [*self._tasks, *([self._coming] if self._coming is not None else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, coroutine: Coroutine[None, None, None], name: str = "stayer") -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stay(self, number: int) -> None:
        user = f"stay-{number}"
        self._expected.stays(user)
        left = None
        while True:
            client = Client(user, self._expected.said)
            self._clients.add(client)
            try:
                await client.connect(self._random.choice(self.ports))
                await client.sign_in()
                self._expected.comes("user_online", "", user)
                await client.subscribe(f"presence-room-{number % ROOMS}")
                self._expected.comes("member_added", f"presence-room-{number % ROOMS}", user)
                self._expected.is_back(user, 0.0 if left is None else time.monotonic() - left)
                self.connected += 1
                try:
                    if number % 4 == 3:
                        await asyncio.wait([client.over], timeout=self._random.uniform(1, 2))
                        client.leave()
                        await asyncio.sleep(AWAY)
                    else:
                        await client.over
                finally:
                    self.connected -= 1
                    left = time.monotonic()
            except (OSError, TimeoutError):
                client.leave()
            finally:
                self._clients.discard(client)
            await asyncio.sleep(self._random.uniform(0.05, 0.5) if number % 4 != 3 else 0)

    async def _come(self) -> None:
        for number in itertools.count():
            self._start(self._visit(number), "visitor")
            await asyncio.sleep(1 / self._rate)

    async def _visit(self, number: int) -> None:
        user, own, room = f"visit-{number}", f"presence-visit-{number}", f"presence-room-{number % ROOMS}"
        client = Client(user, lambda _: None)
        try:
            await client.connect(self._random.choice(self.ports))
            await client.sign_in()
            self._expected.comes("user_online", "", user)
            await client.subscribe(own)
            self._expected.comes("channel_occupied", own)
            self._expected.comes("member_added", own, user)
            await client.subscribe(room)
            self._expected.comes("member_added", room, user)
            client.say(room, number)
            await asyncio.wait([client.over], timeout=self._random.uniform(0.3, 0.8))
            client.leave()
        except (OSError, TimeoutError):
            client.leave()
        finally:
            self._expected.goes(user)
