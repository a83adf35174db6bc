"""Callers that publish numbered events, all ways at once, and a client that notes what arrives."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import defaultdict
from types import TracebackType
from typing import Any, Final, Self

from soundpost.broadcasting.broadcaster import Broadcaster
from soundpost.broadcasting.delivery.background import BackgroundDelivery
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings
from soundpost.client import Gap, SyncClient
from soundpost.errors import BroadcastError
from support.harness import DEFAULT_APP

CHANNEL: Final = "room"
THREADS: Final = 4
TASKS: Final = 4
BURST: Final = 20
"""Events that a caller publishes without a pause."""
PAUSE: Final = 0.1
"""Seconds between two bursts of a caller: the listener, a Python client on the same cores, has to keep up."""
_NAME: Final = re.compile(r"(\w+\.\d+) on room")

Numbers = dict[str, list[int]]
"""Numbers of events by caller, in order."""


def broadcaster(port: int, deliver: str) -> Broadcaster:
    """Return a broadcaster to a port of this machine."""
    connection = ConnectionSettings(app_id="1", key="app-key", secret=DEFAULT_APP.secret, port=port)
    return Broadcaster(BroadcastSettings(connections={"soundpost": connection}, deliver=deliver))


class Callers:
    """Threads, tasks, and a caller of the background thread, which publish while the ``with`` lasts."""

    def __init__(self, port: int) -> None:
        self.accepted: Numbers = defaultdict(list)
        """Events whose call has returned, by caller."""
        self.errors: list[str] = []
        """Reasons of the calls that raised."""
        self._now, self._background = broadcaster(port, "now"), broadcaster(port, "background")
        self._over = threading.Event()
        callers = [(self._publish, (self._now, f"thread{number}")) for number in range(THREADS)]
        callers.append((self._publish, (self._background, "background")))
        self._threads = [threading.Thread(target=target, args=args) for target, args in callers]
        self._threads.append(threading.Thread(target=lambda: asyncio.run(self._tasks())))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Publish no more; what waits in the background is sent then, or given up."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert isinstance(self._background.delivery, BackgroundDelivery)
        self._background.delivery.drain(60.0)

    def _publish(self, publish: Broadcaster, caller: str) -> None:
        number = 0
        while not self._over.wait(PAUSE):
            for _ in range(BURST):
                number += 1
                try:
                    publish.publish(CHANNEL, f"{caller}.{number}", {"n": number})
                except BroadcastError as error:
                    self.errors.append(error.reason)
                else:
                    self.accepted[caller].append(number)

    async def _tasks(self) -> None:
        await asyncio.gather(*[self._apublish(f"task{number}") for number in range(TASKS)])
        await self._now.aclose()

    async def _apublish(self, caller: str) -> None:
        number = 0
        while not self._over.is_set():
            await asyncio.sleep(PAUSE)
            for _ in range(BURST):
                number += 1
                try:
                    await self._now.apublish(CHANNEL, f"{caller}.{number}", {"n": number})
                except BroadcastError as error:
                    self.errors.append(error.reason)
                else:
                    self.accepted[caller].append(number)


class Listener:
    """A client of the channel, which resumes; notes the numbers that arrive, by caller.

    Where it is told that events are missing it notes that too: by a gap, or, without ``history``, by each subscription
    after the first, as that is all a client knows then.
    """

    def __init__(self, port: int, *, history: bool = True) -> None:
        self.heard: Numbers = defaultdict(list)
        self.count = 0
        self.gaps: list[str] = []
        self._told: list[dict[str, int]] = []  # how many numbers of each caller had come when it was told
        self._client = SyncClient(f"http://127.0.0.1:{port}", "app-key")
        self._client.connect()
        self._events = self._client.subscribe(CHANNEL, subscription_events=not history)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
        self._thread.join()

    def _listen(self) -> None:
        for event in self._events:
            self.count += 1
            if isinstance(event, Gap):
                self.gaps.append(event.reason)
                self._note_told()
            elif event.name == "pusher:subscription_succeeded":
                self._note_told()
            elif not event.is_protocol:
                caller, _, number = event.name.partition(".")
                self.heard[caller].append(int(number))

    def is_told(self, caller: str, number: int) -> bool:
        """Tell whether the listener was told, in the place of an event, that events are missing."""
        heard = self.heard[caller]
        for told in self._told:
            place = told.get(caller, 0)
            if (not place or heard[place - 1] < number) and (place == len(heard) or number < heard[place]):
                return True
        return False

    def _note_told(self) -> None:
        self._told.append({caller: len(numbers) for caller, numbers in list(self.heard.items())})


class GivenUp(logging.Handler):
    """The names of the events that the log says were given up."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.names: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Take the names in a line."""
        self.names.update(_NAME.findall(record.getMessage()))

    def __enter__(self) -> Self:
        logging.getLogger("soundpost.broadcast").addHandler(self)
        return self

    def __exit__(self, *_: Any) -> None:
        logging.getLogger("soundpost.broadcast").removeHandler(self)
