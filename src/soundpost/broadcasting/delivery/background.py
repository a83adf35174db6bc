"""Send from a thread of this process, so that no request waits for it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from soundpost.broadcasting.delivery import process_end
from soundpost.broadcasting.delivery.process_end import FLUSH_TIME
from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.message import Message
from soundpost.errors import BroadcastError
from soundpost.per_process import PerProcess

log = logging.getLogger("soundpost.broadcast")

MAX_WAITING: Final = 10_000
"""Messages that may wait; further ones are refused."""
KEEP_TRYING: Final = 30.0
"""Seconds for which a server that does not answer is tried again; then what waited so long is given up, and logged."""
_BACK_OFF: Final = (0.2, 0.5, 1.0, 2.0)
_LAST_BACK_OFF: Final = 0.2
"""While the process waits for its end."""
_NAMES_PER_LINE: Final = 50


class BackgroundDelivery:
    """One daemon thread per process sends in order; it is started when first needed.

    In a process that would not hear of its end (:func:`process_end.is_heard`) nothing waits: who broadcasts sends.
    """

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
        self._line = PerProcess(_Line)
        process_end.is_heard()  # of signals too, if this is the main thread
        process_end.watch(self)

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Take them to be sent. Raises BroadcastError if too many wait."""
        if self._taken(messages):
            return
        tries = self._tries_now(messages)
        while True:
            try:
                self._drivers.send(messages)
                tries.succeeded()
                return
            except Exception as error:
                pause = tries.failed(error)
            if pause is None:
                return
            time.sleep(pause)

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """The same, without blocking the event loop."""
        if self._taken(messages):
            return
        tries = self._tries_now(messages)
        while True:
            try:
                await self._drivers.asend(messages)
                tries.succeeded()
                return
            except Exception as error:
                pause = tries.failed(error)
            if pause is None:
                return
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Wait until all is sent, for 5 seconds at most; what is not is logged, and given up."""
        self.drain(FLUSH_TIME)

    def drain(self, seconds: float) -> None:
        """The same, with a time of one's own."""
        line = self._line()
        try:
            line.wait_until_empty(seconds)
        finally:
            lost = line.give_up()
            for names in _named(lost):
                log.error("%d message(s) were not sent before the end: %s", len(lost), names)

    def rest(self, seconds: float) -> None:
        """Have the thread send what waits and end, for there to be none when the process is forked."""
        line = self._line()
        if line.failing_since is None and line.thread is not threading.current_thread():
            line.wait_until_empty(seconds)

    def _taken(self, messages: Sequence[Message]) -> bool:
        """Take messages for the thread to send; False if nothing may wait in this process."""
        line = self._line()
        with line.news:
            if not process_end.is_heard():
                return False
            if line.count + len(messages) > self._max_waiting:
                raise BroadcastError(
                    f"event {messages[0]}: {line.count} messages wait to be sent in the background, "
                    f"{self._max_waiting} may: does the server answer?"
                )
            if line.thread is None:
                thread = threading.Thread(target=self._run, args=(line,), name="soundpost-broadcast", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the machine has no more threads, or the interpreter is ending
                    return False
                line.thread = thread
            line.waiting.append(_Waiting(messages, self._clock()))
            line.count += len(messages)
            line.news.notify_all()
        return True

    def _run(self, line: _Line) -> None:
        while (waiting := line.next()) is not None:
            tries = _Tries(line, waiting.messages, waiting.since, self._keep_trying, self._clock)
            while line.waits(waiting):
                try:
                    self._drivers.send(waiting.messages)
                    tries.succeeded()
                    pause = None
                except BaseException as error:  # the thread has to go on, whatever a driver raises
                    pause = tries.failed(error)
                if pause is None:
                    line.done(waiting)
                else:
                    if tries.failures == 1:
                        log.warning(
                            "not sent yet: %s: events wait, and are tried again for %g s each",
                            tries.reason,
                            self._keep_trying,
                        )
                    line.pause(pause)

    def _tries_now(self, messages: Sequence[Message]) -> _Tries:
        """One outage holds the process up once: messages that follow are tried once each."""
        line = self._line()
        return _Tries(line, messages, line.failing_since or self._clock(), FLUSH_TIME, self._clock)


class _Waiting(NamedTuple):
    messages: Sequence[Message]
    since: float


class _Line:
    """What waits in a process, and the thread that sends it."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.waiting: deque[_Waiting] = deque()
        self.count = 0
        self.thread: threading.Thread | None = None
        self.failing_since: float | None = None
        """When the server was first found not to answer; None if it did at last."""
        self._waiters = 0
        """Who waits until it is empty: the thread ends then, and pauses are short."""

    def next(self) -> _Waiting | None:
        """Wait for the first in line; None: the thread is to end."""
        with self.news:
            self.news.wait_for(lambda: self.waiting or self._waiters)
            if self.waiting:
                return self.waiting[0]
            self.thread = None
            self.news.notify_all()
            return None

    def waits(self, waiting: _Waiting) -> bool:
        """Return whether it is still the first in line, and has not been given up."""
        with self.news:
            return bool(self.waiting) and self.waiting[0] is waiting

    def done(self, waiting: _Waiting) -> None:
        """Take the first from the line, unless it has been given up meanwhile."""
        with self.news:
            if self.waits(waiting):
                self.waiting.popleft()
                self.count -= len(waiting.messages)

    def pause(self, seconds: float) -> None:
        """Wait before another try; not for long if somebody waits for the end."""
        with self.news:
            self.news.wait_for(lambda: self._waiters, seconds)
            if self._waiters:
                self.news.wait(min(seconds, _LAST_BACK_OFF))

    def wait_until_empty(self, seconds: float) -> None:
        """Wait until all is sent and the thread has ended, for so many seconds."""
        with self.news:
            self._waiters += 1
            self.news.notify_all()
            try:
                self.news.wait_for(lambda: self.thread is None, seconds)
            finally:
                self._waiters -= 1

    def give_up(self) -> list[Message]:
        """Empty it, and give what was in it."""
        with self.news:
            lost = [message for waiting in self.waiting for message in waiting.messages]
            self.waiting.clear()
            self.count = 0
            self.news.notify_all()
        return lost


class _Tries:
    """How often messages are tried, from a moment on and for so many seconds; and what the log has to say of them."""

    def __init__(
        self,
        line: _Line,
        messages: Sequence[Message],
        since: float,
        keep_trying: float,
        clock: Callable[[], float],
    ) -> None:
        self.failures = 0
        self.reason = ""
        self._line = line
        self._messages = messages
        self._since = since
        self._keep_trying = keep_trying
        self._clock = clock

    def succeeded(self) -> None:
        """They are sent."""
        self._line.failing_since = None

    def failed(self, error: BaseException) -> float | None:
        """Give the seconds until another try; None if they are given up, which is logged."""
        if isinstance(error, BroadcastError) and error.may_pass:
            now = self._clock()
            self._line.failing_since = self._line.failing_since or now
            if now - self._since < self._keep_trying:
                self.reason = str(error)
                self.failures += 1
                return _BACK_OFF[min(self.failures, len(_BACK_OFF)) - 1]
        if isinstance(error, BroadcastError):
            log.error("not sent: %s", error)
        else:
            log.error("not sent: event %s", self._messages[0], exc_info=error)
        if len(self._messages) > 1:
            for names in _named(self._messages):
                log.error("not sent, or not known to be, are all of this batch: %s", names)
        return None


def _named(messages: Sequence[Message]) -> list[str]:
    """Names and channels of messages, for the log: no line is too long for it."""
    names = [f"{name} ({times} times)" if times > 1 else name for name, times in Counter(map(str, messages)).items()]
    return [", ".join(names[at : at + _NAMES_PER_LINE]) for at in range(0, len(names), _NAMES_PER_LINE)]
