"""Numbered events, so many a second, in streams that each wait for their answers; and what a crowd missed of them."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, NamedTuple, Self

from returning.subscribers import CHANNEL

from support.harness import RawSocket
from support.operated import publication


class Event(NamedTuple):
    """When its request was sent, and when it was answered (``time.monotonic``)."""

    sent: float
    answered: float


class Stream:
    """Publishes so many events a second over a connection that is kept, and made anew when the server closes it."""

    def __init__(self, port: int, stream: int, rate: float, over: threading.Event) -> None:
        self.taken: dict[int, Event] = {}
        """Events by their number from 1: those that were answered with 200."""
        self.refused: list[str] = []
        self._port = port
        self._stream = stream
        self._pause = 1 / rate
        self._over = over
        self._connection: RawSocket | None = None

    def run(self) -> None:
        """Publish until it is over."""
        number, due = 0, time.monotonic() + self._pause * self._stream / 10
        while not self._over.wait(max(0.0, due - time.monotonic())):
            number += 1
            sent = time.monotonic()
            try:
                self._publish(number)
            except (OSError, EOFError, AssertionError) as error:
                self.refused.append(repr(error))
                self._connection = None
            else:
                self.taken[number] = Event(sent, time.monotonic())
            due = max(due + self._pause, time.monotonic())

    def _publish(self, number: int) -> None:
        if self._connection is not None and self._connection.has_input():  # closed, as pools of connections notice too
            self._connection.socket.close()
            self._connection = None
        if self._connection is None:
            self._connection = RawSocket(self._port)
        self._connection.send(publication(CHANNEL, "tick", f"{self._stream}{number:08d}"))
        answer = self._connection.read_response()
        assert answer.status == 200, f"HTTP {answer.status} {answer.body!r}"
        if answer.headers.get("connection") == "close":
            self._connection.socket.close()
            self._connection = None


class Publishing:
    """Streams that publish while its ``with`` lasts."""

    def __init__(self, port: int, streams: int, rate: float) -> None:
        self._over = threading.Event()
        self.streams = [Stream(port, number, rate / streams, self._over) for number in range(streams)]
        self._threads = [threading.Thread(target=stream.run) for stream in self.streams]
        self._began = time.monotonic()
        self.seconds = 0.0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Publish no more; all is answered then."""
        if not self._over.is_set():
            self._over.set()
            for thread in self._threads:
                thread.join()
            self.seconds = time.monotonic() - self._began

    @property
    def refused(self) -> list[str]:
        """Why events were not taken."""
        return [refusal for stream in self.streams for refusal in stream.refused]

    @property
    def taken(self) -> int:
        """How many events were taken."""
        return sum(len(stream.taken) for stream in self.streams)

    def lost(self, report: dict[str, Any]) -> int:
        """How many deliveries a crowd missed while it was connected: between two events that a client heard in one
        stay, from the first one sent after it was subscribed, and up to the last if it stayed to the end."""
        return sum(len(self._missed(stay)) for stay in report["stays"])

    def _missed(self, stay: dict[str, Any]) -> set[tuple[int, int]]:
        missed = {(stream, number) for stream, before, after in stay["gaps"] for number in range(before + 1, after)}
        for number, (stream, first, last) in enumerate(zip(self.streams, stay["first"], stay["last"], strict=True)):
            meant = [each for each, event in stream.taken.items() if event.sent > stay["since"]]
            missed |= {
                (number, each) for each in meant if (first and each < first) or (stay["is_open"] and each > last)
            }
        missed -= {(stream, number) for stream, number in stay["late"]}
        return {(stream, number) for stream, number in missed if number in self.streams[stream].taken}

    def late(self, report: dict[str, Any]) -> int:
        """How many deliveries came behind a later event of the same publisher."""
        return sum(len(stay["late"]) for stay in report["stays"])

    def delivered(self, report: dict[str, Any]) -> int:
        """How many deliveries there were, by the numbers of the first and last of each stay."""
        return sum(
            last - first + 1
            for stay in report["stays"]
            for first, last in zip(stay["first"], stay["last"], strict=True)
            if first
        )
