"""One publisher of a soak, and the questions that it asks: a keep-alive connection to the HTTP API."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from soaking.client import EVENT, Client, said
from soaking.ledger import Ledger
from soundpost.tools.bench.api_connection import ApiConnection
from soundpost.tools.bench.error_counts import ErrorCounts
from soundpost.tools.bench.messages import Endpoint
from soundpost.wire import signatures

PAUSE_AFTER_FAILURE = 0.5


async def pause(over: asyncio.Event, seconds: float) -> bool:
    """Wait so long; False if it is over before."""
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return True
    return False


class Pace:
    """So many a second; what could not be done in time is not made up for."""

    def __init__(self, rate: float, over: asyncio.Event) -> None:
        self._rate = rate
        self._over = over
        self._due = time.monotonic()

    async def wait(self, count: int = 1) -> bool:
        """Wait until ``count`` more are due; False if it is over before."""
        self._due = max(self._due, time.monotonic() - 1) + count / self._rate
        return await pause(self._over, self._due - time.monotonic())


class Publisher:
    """Publishes to ``channels`` in every way that the API has; to ``cache_channel`` nobody else does: which event is
    the last is then known exactly."""

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        faults: ErrorCounts,
        name: str,
        channels: list[str],
        cache_channel: str,
    ) -> None:
        self.published = 0
        """Events, one for each channel, that the server has said yes to."""
        self._endpoint = endpoint
        self._ledger = ledger
        self._faults = faults
        self._name = name
        self._channels = channels
        self._cache_channel = cache_channel
        self._api = ApiConnection(endpoint, None)
        self._random = random.Random(name)

    async def run(self, rate: float, over: asyncio.Event, listeners: Callable[[], list[Client]]) -> None:
        """Publish so many events a second until it is over; some are not for one of the ``listeners``."""
        pace = Pace(rate, over)
        for turn in itertools.count():
            channels = self._channels_of(turn)
            if not await pace.wait(len(channels)):
                return
            if turn % 5 == 0:
                done = await self._batch(channels)
            else:
                excepting = self._random.choice(listeners() or [None]) if turn % 5 == 1 else None
                done = await self._event(channels, excepting)
            if not done:
                await pause(over, PAUSE_AFTER_FAILURE)

    async def ask(self, route: str) -> Any:
        """The answer to a GET of ``/apps/ID/ROUTE``. Raises OSError."""
        path, _, query = route.partition("?")
        await self._api.connect()
        answer = await self._api.request(self._request("GET", path, query=dict(urllib.parse.parse_qsl(query))))
        return json.loads(answer.body)

    def _channels_of(self, turn: int) -> list[str]:
        """To the own cache channel, to two channels in one event, to any three in a batch, or to one channel."""
        if turn % 5 == 3:
            return [self._cache_channel]
        if turn % 5 == 0:
            return self._random.choices(self._channels, k=3)
        return self._random.sample(self._channels, 2 if turn % 5 == 2 else 1)

    async def _event(self, channels: list[str], excepting: Client | None) -> bool:
        numbers = {channel: self._ledger.streams[channel][self._name].next() for channel in channels}
        event: dict[str, Any] = {"name": EVENT, "channels": channels, "data": said(self._name, numbers)}
        if excepting is not None:
            event["socket_id"] = excepting.socket_id
            for channel, number in numbers.items():
                self._ledger.streams[channel][self._name].withheld[excepting.name].add(number)
        return await self._post("events", event, list(numbers.items()))

    async def _batch(self, channels: list[str]) -> bool:
        numbers = [(channel, self._ledger.streams[channel][self._name].next()) for channel in channels]
        events = [
            {"name": EVENT, "channel": channel, "data": said(self._name, {channel: number})}
            for channel, number in numbers
        ]
        return await self._post("batch_events", {"batch": events}, numbers)

    async def _post(self, route: str, body: dict[str, Any], numbers: list[tuple[str, int]]) -> bool:
        """Publish, and note what the server said yes to."""
        try:
            await self._api.connect()
            answer = await self._api.request(self._request("POST", route, json.dumps(body).encode()))
            fault = "" if answer.status == 200 else f"{answer.status}: {answer.body.decode(errors='replace')}"
        except OSError as error:
            fault = str(error) or type(error).__name__
        for channel, number in numbers:
            stream = self._ledger.streams[channel][self._name]
            if fault:
                stream.doubtful.add(number)
            stream.answered = number + 1
        if fault:
            self._faults.add("error: publish", fault)
            return False
        self.published += len(numbers)
        return True

    def _request(self, method: str, route: str, body: bytes = b"", query: dict[str, str] | None = None) -> bytes:
        path = f"/apps/{self._endpoint.app_id}/{route}"
        parameters = signatures.signed_query(
            self._endpoint.key, self._endpoint.secret, method, path, int(time.time()), body=body, query=query
        )
        head = f"{method} {path}?{urllib.parse.urlencode(parameters)} HTTP/1.1\r\nHost: soak\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
