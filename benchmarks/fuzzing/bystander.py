"""A well-behaved client beside the fuzzing: connected throughout, answered, and told of every event."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from support.harness import RawSocket, RunningServer

CHANNEL = "bystander"
PAUSE = 0.05
PATIENCE = 10.0
"""Seconds that an answer may take."""


class Bystander:
    """Asks and publishes in turn, in a thread; ``fault`` says what it met, ``worst`` how long it waited at most."""

    def __init__(self, server: RunningServer) -> None:
        self.fault = ""
        self.worst = 0.0
        self.rounds = 0
        self._server = server
        self._over = threading.Event()
        self._client = RawSocket.open(server.port)
        self._client.socket.settimeout(PATIENCE)
        self._client.subscribe(CHANNEL)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._client.socket.close()

    def _run(self) -> None:
        while not self._over.wait(PAUSE):
            began = time.monotonic()
            try:
                self._round(f"round-{self.rounds}")
            except (OSError, EOFError, AssertionError, ValueError) as error:
                self.fault = f"after {self.rounds} rounds: {error!r}"
                return
            self.worst = max(self.worst, time.monotonic() - began)
            self.rounds += 1

    def _round(self, name: str) -> None:
        self._client.send_event("pusher:ping")
        self._await("pusher:pong")
        answer = self._server.publish(CHANNEL, name)
        assert answer.status == 200, f"a publish was answered {answer.status} {answer.body!r}"
        self._await(name)

    def _await(self, name: str) -> None:
        while (event := self._client.read_event())["event"] != name:
            assert event["event"] == "pusher:ping", f"unasked: {event}"
            self._client.send_event("pusher:pong")
