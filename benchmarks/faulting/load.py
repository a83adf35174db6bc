"""Load during a fault: applications publish on all hosts in turn, and clients note the events that they get."""

from __future__ import annotations

import itertools
import threading
import time
from types import TracebackType
from typing import Any, NamedTuple, Self

from support.fleet import Fleet, Member
from support.harness import RunningServer

CHANNEL, ROOM = "room", "presence-room"
RATE = 60.0
"""Events a second, on all hosts together."""


class Published(NamedTuple):
    """Which host it was published on, and when that began (``time.monotonic``)."""

    host: int
    at: float


class Load:
    """Publishes while its ``with`` lasts. Each host has a thread: one that has to wait does not hold up the others, and
    does not catch up on what it missed."""

    def __init__(self, fleet: Fleet) -> None:
        self.published: dict[str, Published] = {}
        """Events by name: those that were answered with 200."""
        self.refused: list[str] = []
        """What else was answered, or why there was no answer, by hosts that are meant to live."""
        self._fleet = fleet
        self._step = len(fleet.servers) / RATE
        self._began = time.monotonic()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._publish_on, args=(server, host)) for host, server in enumerate(fleet.servers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Publish no more; all is answered then, or refused."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _publish_on(self, server: RunningServer, host: int) -> None:
        due = self._began + host / RATE
        for turn in itertools.count():
            if self._over.wait(max(0.0, due - time.monotonic())):
                return
            name, at = f"event {host}.{turn}", time.monotonic()
            refusal = _refusal(server, name)
            if not refusal:
                self.published[name] = Published(host, at)
            elif server in self._fleet.servers:
                self.refused.append(f"host {host}: {refusal}")
            else:
                return
            due = max(due + self._step, time.monotonic())


def _refusal(server: RunningServer, name: str) -> str:
    """Publish; empty if that was answered with 200."""
    try:
        status = server.publish(CHANNEL, name).status
    except (OSError, EOFError) as error:
        return repr(error)
    return "" if status == 200 else f"HTTP {status}"


class Listener(Member):
    """A client on ``host``, subscribed to both channels, that counts what it is told twice."""

    def __init__(self, server: RunningServer, host: int, user: str) -> None:
        super().__init__(server, user)
        self.host = host
        self.notices_twice = 0
        self.join(ROOM)
        self.join(CHANNEL)

    def heard(self) -> list[str]:
        """Names of the events of the load so far."""
        return [name for name in self.names(CHANNEL) if name.startswith("event ")]

    def _take(self, event: dict[str, Any]) -> None:
        try:
            super()._take(event)
        except AssertionError:
            self.notices_twice += 1
