"""Publishers of numbered events over kept HTTP connections, which send again what was not answered."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from soundpost.broadcasting.encryption import encrypt
from soundpost.core.app_settings import AppSettings
from soundpost.wire.channel_names import kind_of
from support.harness import DEFAULT_APP, HttpResponse, RawSocket, signed_request
from support.resumption.client_messages import EVENT
from support.resumption.stories import Publication

ANSWER_SECONDS: Final = 6.0
"""After which a request is sent again: longer than a host waits for Redis."""
PATIENCE: Final = 20.0
"""Seconds after which a publisher gives up an event."""
PAUSE: Final = 0.1
LONG: Final = 2_000


class Mixture(msgspec.Struct, frozen=True):
    """Shares of the requests that are not one event on one channel."""

    several_channels: float = 0.08
    batches: float = 0.08
    excluding: float = 0.05
    ephemeral: float = 0.03
    long: float = 0.05
    """Events of 2,000 bytes."""


class Publisher:
    """Publishes ``name.1``, ``name.2``, … on channels at random. One event after the other: each is answered, or given
    up, before the next."""

    def __init__(
        self,
        name: str,
        ports: Sequence[int],
        channels: Sequence[str],
        rate: float,
        *,
        mixture: Mixture = Mixture(),  # noqa: B008 - frozen
        app: AppSettings = DEFAULT_APP,
        seed: str = "",
        home: int | None = None,
    ) -> None:
        """``home``: number of a port to which it returns for each event, behind which are all hosts in turn."""
        self.publications: list[Publication] = []
        self.refused: list[str] = []
        """Why requests were not answered with 200, whether they were sent again or not."""
        self.sockets: list[str] = []
        """Socket ids of clients, some of which are excluded from events."""
        self.master_key = b""
        """Key that seals what goes to encrypted channels."""
        self.slowness = 1.0
        """What pauses between requests are multiplied by."""
        self._name = name
        self._ports = list(ports)
        self._channels = list(channels)
        self._pause = 1 / rate
        self._mixture = mixture
        self._app = app
        self._random = random.Random(f"{seed}{name}")
        self._number = 0
        self._home = home
        self._host = self._random.randrange(len(ports)) if home is None else home
        self._connection: RawSocket | None = None

    def run(self, over: threading.Event) -> None:
        """Publish until it is over."""
        due = time.monotonic() + self._pause * self._random.random()
        while not over.wait(max(0.0, due - time.monotonic())):
            self.publish_any(over)
            due = max(due + self._pause * self.slowness, time.monotonic())
        self.close()

    def publish_any(self, over: threading.Event | None = None) -> None:
        """Publish something."""
        chance, mixture = self._random.random(), self._mixture
        count = 1
        if chance < mixture.several_channels + mixture.batches:
            count = min(self._random.randint(2, 4), len(self._channels))
        channels = self._random.sample(self._channels, count)
        fields: dict[str, Any] = {}
        if self.sockets and self._random.random() < mixture.excluding:
            fields["socket_id"] = self._random.choice(self.sockets)
        elif self._random.random() < mixture.ephemeral:
            fields["ephemeral"] = True
        self.publish(channels, fields, as_batch=chance < mixture.batches and count > 1, over=over)

    def publish(
        self,
        channels: Sequence[str],
        fields: dict[str, Any] | None = None,
        *,
        as_batch: bool = False,
        size: int = 0,
        over: threading.Event | None = None,
    ) -> str:
        """Publish an event on channels, or one event on each of them as a batch; the last event's name. ``size``: bytes
        of padding, 0: some."""
        fields = fields or {}
        numbers = range(self._number + 1, self._number + 1 + (len(channels) if as_batch else 1))
        self._number = numbers[-1]
        new: list[Publication] = []
        now = time.monotonic()
        for index, channel in enumerate(channels):
            event = f"{self._name}.{numbers[index if as_batch else 0]}"
            new.append(
                Publication(
                    channel,
                    event,
                    sent=now,
                    excluded=fields.get("socket_id", ""),
                    is_ephemeral=fields.get("ephemeral", False),
                )
            )
        self.publications += new
        if as_batch:
            batch = [{"name": EVENT, "channel": each.channel, "data": self._data(each, size), **fields} for each in new]
            self._deliver("/batch_events", msgspec.json.encode({"batch": batch}), new, over)
        else:
            single = {"name": EVENT, "channels": list(channels), "data": self._data(new[0], size), **fields}
            self._deliver("/events", msgspec.json.encode(single), new, over)
        return new[-1].event

    def ask(self, path: str, method: str = "GET", **query: str) -> HttpResponse:
        """The answer to a signed request without a body. Raises OSError or EOFError."""
        return self._exchange(signed_request(method, path, app=self._app, query=query))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.socket.close()
            self._connection = None

    def _data(self, publication: Publication, size: int) -> str:
        size = size or (LONG if self._random.random() < self._mixture.long else 60)
        data = f"{publication.event} {'x' * size}"
        is_encrypted = kind_of(publication.channel).is_encrypted
        return encrypt(publication.channel, data, self.master_key) if is_encrypted else data

    def _deliver(self, path: str, body: bytes, new: list[Publication], over: threading.Event | None) -> None:
        """Send until it is answered: by another host after each failure, with the same key, and as a repeat."""
        header = f"Idempotency-Key: {uuid.UUID(int=self._random.getrandbits(128))}"
        deadline = time.monotonic() + PATIENCE
        if self._home not in (None, self._host):
            self.close()
            self._host = self._home
        for attempt in range(1, 1_000):
            refusal = self._attempt(path, body, header if attempt == 1 else f"{header}\r\nX-Soundpost-Repeat: 1")
            for publication in new:
                publication.attempts = attempt
                publication.host = -1 if self._host == self._home else self._host
                if not refusal:
                    publication.answered = time.monotonic()
            if not refusal:
                return
            self.refused.append(refusal)
            self.close()
            self._host = (self._host + 1) % len(self._ports)
            if refusal.startswith("HTTP 4") or time.monotonic() > deadline:
                return
            if over is not None:
                over.wait(PAUSE)

    def _attempt(self, path: str, body: bytes, header: str) -> str:
        request = signed_request("POST", path, body, app=self._app, headers=(header, "Content-Type: application/json"))
        try:
            answer = self._exchange(request)
        except (OSError, EOFError) as error:
            return repr(error)
        return "" if answer.status == 200 else f"HTTP {answer.status} {answer.body[:100]!r}"

    def _exchange(self, request: bytes) -> HttpResponse:
        if self._connection is not None and self._connection.has_input():
            self.close()  # the server has closed it, as it may
        if self._connection is None:
            self._connection = RawSocket(self._ports[self._host], timeout=ANSWER_SECONDS)
        self._connection.send(request)
        answer = self._connection.read_response()
        if answer.headers.get("connection") == "close":
            self.close()
        return answer


class Publishing:
    """Publishers that publish while its ``with`` lasts."""

    def __init__(self, publishers: Sequence[Publisher]) -> None:
        self.publishers = list(publishers)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each.run, args=(self._over,)) for each in self.publishers]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Publish no more; all is answered then, or given up."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def slow_down(self, factor: float) -> None:
        """Publish so many times less often than at first."""
        for publisher in self.publishers:
            publisher.slowness = factor

    def exclude(self, sockets: list[str]) -> None:
        """Choose those that are excluded among these socket ids."""
        for publisher in self.publishers:
            publisher.sockets = sockets
