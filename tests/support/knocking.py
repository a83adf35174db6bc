"""Who connects and publishes all the time, and notes what is refused; and clients that come back when they are sent
away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from soundpost.wire.frames import CLOSE, parse_close
from support.harness import RawSocket, until
from support.operated import Operated


class Knocking:
    """Threads that open one WebSocket after the other, and read what the server says first."""

    def __init__(self, port: int, threads: int = 2) -> None:
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._knock) for _ in range(threads)]
        self.greeted = 0
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, times: int = 20) -> None:
        """Wait until so many more were greeted."""
        enough = self.greeted + times
        until(lambda: self.greeted >= enough, lambda: f"more are greeted: {self.failed}")

    def _knock(self) -> None:
        while not self._ended.is_set():
            try:
                with RawSocket.open(self._port):
                    self.greeted += 1
            except (OSError, EOFError, AssertionError) as error:
                self.failed.append(repr(error))


class Publisher:
    """A thread that publishes numbered events, and notes which of them the server took."""

    def __init__(self, server: Operated, channel: str) -> None:
        self._server = server
        self._channel = channel
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self.taken: list[str] = []
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.goes_on()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def goes_on(self, times: int = 20) -> None:
        """Wait until so many more were taken."""
        enough = len(self.taken) + times
        until(lambda: len(self.taken) >= enough, lambda: f"more are taken: {self.failed}")

    def _publish(self) -> None:
        number = 0
        while not self._ended.wait(0.005):
            number += 1
            try:
                answer = self._server.publish(self._channel, str(number))
            except (OSError, EOFError) as error:
                self.failed.append(repr(error))
            else:
                (self.taken if answer.status == 200 else self.failed).append(str(number))


class Guest:
    """A thread with a client of a channel that connects anew whenever it is sent away, as pusher-js does."""

    def __init__(self, port: int, channel: str) -> None:
        self._port = port
        self._channel = channel
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live)
        self.stays: list[list[str]] = []
        """What it has heard in each time that it was connected."""
        self.codes: list[int] = []
        self.faults: list[str] = []
        self.is_there = False
        self.came: list[float] = []
        self.left: list[float] = []

    def _live(self) -> None:
        while not self._ended.is_set():
            try:
                with RawSocket.open(self._port) as client:
                    self._stay(client)
            except (OSError, EOFError, AssertionError) as error:
                self.faults.append(repr(error))
            self.is_there = False

    def _stay(self, client: RawSocket) -> None:
        client.send_event("pusher:subscribe", {"channel": self._channel})
        heard: list[str] = []
        client.socket.settimeout(0.1)
        while not self._ended.is_set():
            try:
                opcode, payload = client.read_frame()
            except TimeoutError:
                continue
            if opcode == CLOSE:
                self.codes.append(parse_close(payload)[0])
                self.left.append(time.monotonic())
                client.send_frame(CLOSE, payload)
                return
            event = payload.split(b'"', 4)[3].decode()
            if event == "pusher_internal:subscription_succeeded":
                self.is_there = True
                self.came.append(time.monotonic())
                self.stays.append(heard)
            else:
                heard.append(event)

    def start(self) -> None:
        """Connect."""
        self._thread.start()

    def end(self) -> None:
        """Disconnect."""
        self._ended.set()
        self._thread.join()

    def missed(self, taken: list[str]) -> list[str]:
        """Events that were published between two which it heard without being away in between."""
        order = {name: number for number, name in enumerate(taken)}
        lost = []
        for stay in self.stays:
            known = [name for name in stay if name in order]
            if known:
                expected = taken[order[known[0]] : order[known[-1]] + 1]
                lost += [name for name in expected if name not in set(stay)]
        return lost


@contextmanager
def guests(port: int, channel: str, count: int) -> Iterator[list[Guest]]:
    """So many, all of them there."""
    invited = [Guest(port, channel) for _ in range(count)]
    try:
        for guest in invited:
            guest.start()
        all_there(invited)
        yield invited
    finally:
        for guest in invited:
            guest.end()


def all_there(invited: list[Guest]) -> None:
    """Wait until all are subscribed."""
    until(lambda: all(guest.is_there for guest in invited), lambda: str([guest.faults for guest in invited]))
