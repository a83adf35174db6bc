"""A crowd of clients that connects, hears, whispers, comes and goes, is judged, and leaves altogether: one cycle."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter, defaultdict
from typing import Any

from soaking.client import PRESENCE, Client, user_of
from soaking.ledger import Ledger
from soaking.publisher import Pace, Publisher, pause
from soundpost.tools.bench.error_counts import ErrorCounts
from soundpost.tools.bench.messages import Endpoint

LOAD_SECONDS = 12.0
EVENTS_PER_SECOND = 200
WHISPERS_PER_SECOND = 100
WHISPERS_PER_CLIENT = 5
"""A second, at most: the server allows ten."""
PUBLISHERS = 4
IN_FLIGHT = 64
SETTLE_SECONDS = 0.5
QUIET = 5.0
"""Seconds without a frame after which what is missing is lost."""
PATIENCE = 30.0
"""Seconds in which what is still on its way must be here, and the API must come to say what is true."""

ABORTS, LEAVES, RESUBSCRIBES = range(3)


def channels_of(number: int) -> list[str]:
    """A public channel of all clients, a presence channel of 50 (25 users), a private and a cache channel of groups
    that cut across those."""
    shared = [f"presence-room-{number // 50}", f"private-team-{number % 20}", f"cache-board-{number % PUBLISHERS}"]
    return ["news", *shared]


def churn_of(number: int) -> int | None:
    """How a client comes and goes; None for one that stays. Of some users both clients do, of others one."""
    user = number // 2 % 10
    if user < 3:
        return user
    return user - 3 if user < 6 and number % 2 else None


def stays_away(number: int) -> bool:
    """Whether it is gone in the end: every other user both of whose clients come and go."""
    return number // 2 % 20 < 3


class Crowd:
    """Clients and publishers, and the account of what they said and heard, over all cycles."""

    def __init__(self, endpoint: Endpoint, count: int) -> None:
        self.faults = ErrorCounts()
        self.checked: Counter[bool] = Counter()
        """What was heard and judged: from clients (True), from publishers (False)."""
        self.connected = 0
        self.clients: dict[int, Client] = {}
        self._gone: list[Client] = []
        self._endpoint = endpoint
        self._count = count
        self._ledger = Ledger()
        self._over = asyncio.Event()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        channels = sorted({name for number in range(count) for name in channels_of(number)[:3]})
        self._publishers = [
            Publisher(endpoint, self._ledger, self.faults, f"publisher-{i}", channels, channels_of(i)[3])
            for i in range(PUBLISHERS)
        ]

    @property
    def published(self) -> int:
        return sum(publisher.published for publisher in self._publishers)

    async def cycle(self) -> None:
        """From an empty server to an empty server. Raises OSError if it does not answer questions."""
        self._over.clear()
        try:
            await asyncio.gather(*(self._open(number) for number in range(self._count)))
            async with asyncio.TaskGroup() as group:
                for publisher in self._publishers:
                    group.create_task(publisher.run(EVENTS_PER_SECOND / PUBLISHERS, self._over, self._stayers))
                group.create_task(self._whisper())
                for number in list(self.clients):
                    if (churn := churn_of(number)) is not None:
                        group.create_task(self._come_and_go(number, churn))
                await asyncio.sleep(LOAD_SECONDS)
                self._over.set()
            await self._check()
            await self._disconnect()
        finally:
            for client in self.clients.values():
                client.abort()
            self.clients.clear()
            self._gone.clear()

    # Coming and going

    async def _open(self, number: int) -> None:
        """A client that is subscribed to its channels; what hinders it is a fault."""
        client = Client(self._endpoint, self._ledger, self.faults, number)
        async with self._slots:
            try:
                await client.connect()
                self.clients[number] = client
                self.connected += 1
                await client.subscribe(channels_of(number))
            except OSError as error:
                self.faults.add("error: connect", f"{client.name}: {error}")

    async def _come_and_go(self, number: int, churn: int) -> None:
        chance = random.Random(number)
        while await pause(self._over, chance.uniform(0.5, 4)) and number in self.clients:
            client = self.clients[number]
            try:
                await self._go(client, churn)
                # At times at once: the server sees both in one turn.
                if not await pause(self._over, chance.choice((0.0, 0.1, 1.0, 2.0))) and stays_away(number):
                    return
                await self._come_back(client, churn)
            except OSError as error:
                self.faults.add("error: coming and going", f"{client.name}: {error}")
                return

    async def _go(self, client: Client, churn: int) -> None:
        if churn == RESUBSCRIBES:
            await client.unsubscribe(channels_of(client.number))
            return
        self._gone.append(self.clients.pop(client.number))
        if churn == ABORTS:
            client.abort()
        else:
            await client.leave()

    async def _come_back(self, client: Client, churn: int) -> None:
        if churn == RESUBSCRIBES:
            await client.subscribe(channels_of(client.number))
        else:
            await self._open(client.number)

    async def _disconnect(self) -> None:
        """All leave, half of them without a word. Nothing may be left of them."""
        leaving = []
        for client in self.clients.values():
            if client.number % 4 < 2:
                leaving.append(client.leave())
            else:
                client.abort()
        for failed in await asyncio.gather(*leaving, return_exceptions=True):
            if isinstance(failed, OSError):
                self.faults.add("error: goodbye", str(failed))
        await self._comes_true("channels", {"channels": {}})
        await self._comes_true("connections", {"connections": 0})

    # Saying

    def _stayers(self) -> list[Client]:
        return [client for number, client in self.clients.items() if churn_of(number) is None and client.is_open]

    async def _whisper(self) -> None:
        """The clients that stay whisper in turn, on their presence and their private channel."""
        pace = Pace(max(1, min(WHISPERS_PER_SECOND, len(self._stayers()) * WHISPERS_PER_CLIENT)), self._over)
        turns = itertools.count()
        while await pace.wait() and (stayers := self._stayers()):
            turn, number = divmod(next(turns), len(stayers))
            stayers[number].whisper(channels_of(stayers[number].number)[1 + turn % 2])

    # Judging

    async def _check(self) -> None:
        """Judge once all is here, or nothing has come for a while; ask the API whether it sees the same."""
        frames, began = -1, time.monotonic()
        since = began
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            faults, checked = self._judge()
            now, seen = time.monotonic(), sum(client.frames for client in self.clients.values())
            if seen != frames:
                frames, since = seen, now
            if not faults.by_kind or now - since > QUIET or now - began > PATIENCE:
                break
        self.faults.merge(faults)
        self.checked += checked
        self._ledger.settle()
        await self._comes_true("connections", {"connections": sum(client.is_open for client in self.clients.values())})
        counts = {channel: {"user_count": len(users)} for channel, users in self._present().items()}
        await self._comes_true("channels?filter_by_prefix=presence-&info=user_count", {"channels": counts}, PRESENCE)

    def _judge(self) -> tuple[ErrorCounts, Counter[bool]]:
        """What is wrong so far with what was heard, and how much was heard."""
        faults, checked, present = ErrorCounts(), Counter[bool](), self._present()
        for client in (*self._gone, *self.clients.values()):
            for hearing in client.past:
                checked += hearing.judge(faults, lasts=False)
            for hearing in client.hearings.values():
                checked += hearing.judge(faults, lasts=client.is_open)
            for channel in client.rooms if client.is_open else ():
                if client.members != present[channel]:
                    wrong = sorted(client.members ^ present[channel])
                    faults.add(PRESENCE, f"{client.name} is wrong about {wrong} on {channel}")
        return faults, checked

    def _present(self) -> dict[str, set[str]]:
        """Who is really on the presence channels."""
        present: defaultdict[str, set[str]] = defaultdict(set)
        for client in self.clients.values():
            for channel in client.rooms if client.is_open else ():
                present[channel].add(user_of(client.name))
        return present

    async def _comes_true(self, route: str, expected: dict[str, Any], kind: str = "error: API") -> None:
        """Ask until the answer is the expected one. Raises OSError."""
        deadline = time.monotonic() + PATIENCE
        while (answer := await self._publishers[0].ask(route)) != expected:
            if time.monotonic() > deadline:
                self.faults.add(kind, f"{route}: {json.dumps(answer)} instead of {json.dumps(expected)}")
                return
            await asyncio.sleep(0.1)
