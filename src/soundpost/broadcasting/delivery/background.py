"""Send from a thread of this process, so that no request waits for it."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.message import Message
from soundpost.errors import BroadcastError

log = logging.getLogger("soundpost.broadcast")

MAX_WAITING: Final = 10_000
"""Messages that may wait; further ones are refused."""
KEEP_TRYING: Final = 30.0
"""Seconds for which a server that does not answer is tried again; then what waited so long is given up, and logged."""
FLUSH_TIME: Final = 5.0
"""Seconds that the end of the process waits for what is still to be sent."""
_BACK_OFF: Final = (0.2, 0.5, 1.0, 2.0)
_LAST_BACK_OFF: Final = 0.2
"""While the process waits for its end."""


class BackgroundDelivery:
    """One daemon thread per process sends in order; started when first needed, and anew after a fork."""

    def __init__(
        self,
        drivers: Drivers,
        *,
        max_waiting: int = MAX_WAITING,
        keep_trying: float = KEEP_TRYING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._drivers = drivers
        self._max_waiting = max_waiting
        self._keep_trying = keep_trying
        self._clock = clock
        self._waiting: deque[tuple[Sequence[Message], float]]
        self._thread: threading.Thread | None
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)
        atexit.register(self.close)

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Take them to be sent. Raises BroadcastError if too many wait."""
        with self._news:
            if self._count + len(messages) > self._max_waiting:
                raise BroadcastError(
                    f"event {messages[0]}: {self._count} messages wait to be sent in the background, "
                    f"{self._max_waiting} may: does the server answer?"
                )
            self._waiting.append((messages, self._clock()))
            self._count += len(messages)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="soundpost-broadcast", daemon=True)
                self._thread.start()
            self._news.notify_all()

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """The same: it never waits."""
        self.deliver(messages, queue)

    def close(self) -> None:
        """Wait until all is sent, for 5 seconds at most; what is not is logged."""
        with self._news:
            self._closing = True
            self._news.notify_all()
            self._news.wait_for(lambda: not self._waiting, FLUSH_TIME)
            self._closing = False
            if self._waiting:
                log.error(
                    "%d message(s) were not sent before the end, the first: %s", self._count, self._waiting[0][0][0]
                )

    def _begin(self) -> None:
        """Nothing waits, no thread runs: at first, and in a forked process."""
        self._waiting = deque()
        self._count = 0
        self._news = threading.Condition()
        self._thread = None
        self._closing = False

    def _run(self) -> None:
        failures = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: bool(self._waiting))
                messages, since = self._waiting[0]
            pause = self._send(messages, since, failures)
            with self._news:
                if pause is None:
                    failures = 0
                    self._waiting.popleft()
                    self._count -= len(messages)
                    self._news.notify_all()
                else:
                    failures += 1
                    if self._closing:
                        self._news.wait(min(pause, _LAST_BACK_OFF))
                    else:
                        self._news.wait_for(lambda: self._closing, pause)

    def _send(self, messages: Sequence[Message], since: float, failures: int) -> float | None:
        """Send messages that wait since then. Seconds until another try; None: they are dealt with."""
        try:
            self._drivers.send(messages)
        except BroadcastError as error:
            if error.may_pass and self._clock() - since < self._keep_trying:
                return _BACK_OFF[min(failures, len(_BACK_OFF) - 1)]
            log.error("not sent: %s", error)
        except Exception:
            log.exception("not sent: event %s", messages[0])
        return None
