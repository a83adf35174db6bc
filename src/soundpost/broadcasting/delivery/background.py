"""The delivery ``background``: a thread of this process sends messages, so that no request waits for the server."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from msgspec.structs import replace

from soundpost.broadcasting.delivery import exit_hooks
from soundpost.broadcasting.delivery.exit_hooks import FLUSH_TIME
from soundpost.broadcasting.delivery.send_queue import Entry, SendQueue
from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.failures import Errors
from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.retry import RetryPolicy
from soundpost.errors import BroadcastError
from soundpost.per_process import PerProcess

log = logging.getLogger("soundpost.broadcast")

MAX_WAITING: Final = 10_000
"""Messages that may wait; further ones are refused."""
KEEP_TRYING: Final = 30.0
"""Seconds for which messages are retried while a server does not answer; then they are given up, and logged."""
RETRY_POLICY: Final = RetryPolicy(backoff=(0.2, 0.5, 1.0, 2.0))
_NAMES_PER_LINE: Final = 50


class BackgroundDelivery:
    """A delivery by one daemon thread per process, which sends in order and is started when first needed.

    In a process whose exit runs no hook (:class:`exit_hooks.ExitHooks`) no message waits: the caller sends.
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
        self._queue = PerProcess(SendQueue)
        exit_hooks.of_this_process().will_run()  # sets the handlers of signals, if this is the main thread
        exit_hooks.register(self)

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Append messages to the queue of the thread. Raises BroadcastError if too many wait."""
        if self._enqueue(messages):
            return
        retries = self._retries_now(messages)
        limit = self._limit_of(messages[0].connection)
        while retries.pause is not None:
            time.sleep(retries.pause)
            with retries.attempt():
                retries.refused(self._drivers.send_each(retries.messages, limit))

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """Append messages to the queue without blocking the event loop. Raises BroadcastError if too many wait."""
        if self._enqueue(messages):
            return
        retries = self._retries_now(messages)
        limit = self._limit_of(messages[0].connection)
        while retries.pause is not None:
            await asyncio.sleep(retries.pause)
            with retries.attempt():
                retries.refused(await self._drivers.asend_each(retries.messages, limit))

    def close(self) -> None:
        """Wait until all messages are sent, for 5 seconds at most; the rest is logged, and given up."""
        self.drain(FLUSH_TIME)

    def drain(self, seconds: float) -> None:
        """Wait until all messages are sent, at most for the given seconds. The rest is logged, and given up."""
        queue = self._queue()
        try:
            queue.wait_until_empty(seconds)
        finally:
            lost = queue.clear()
            for names in _summaries(lost):
                log.error("%d message(s) were not sent before the end: %s", len(lost), names)

    def flush(self, seconds: float) -> None:
        """Have the thread send all messages and end, so that it does not run when the process is forked."""
        queue = self._queue()
        if queue.failing_since is None and queue.thread is not threading.current_thread():
            queue.wait_until_empty(seconds)

    def _enqueue(self, messages: Sequence[Message]) -> bool:
        """Take messages for the thread to send; return False if no message may wait in this process."""
        queue, count = self._queue(), len(messages)
        with queue.lock:
            if not queue.exit_hooks.will_run():
                return False
            if queue.count + count > self._max_waiting and queue.entries:
                raise BroadcastError(
                    f"event {messages[0]}: {queue.count} messages wait to be sent in the background, "
                    f"{self._max_waiting} may: does the server answer?"
                )
            if queue.thread is None:
                thread = threading.Thread(target=self._run, args=(queue,), name="soundpost-broadcast", daemon=True)
                queue.thread = thread  # first: a handler of signals that publishes meanwhile starts no other one
                try:
                    thread.start()
                except RuntimeError:  # the machine has no more threads, or the interpreter is ending
                    queue.thread = None
                    return False
            queue.entries.append(Entry(messages, self._clock()))
            queue.count += count
            if queue.is_idle:  # otherwise the thread is at work, or waits before it tries again
                queue.changed.notify_all()
        return True

    def _run(self, queue: SendQueue) -> None:
        try:
            self._send_all(queue)
        finally:
            queue.end_thread()  # also if a handler of the log has raised: the next message starts another one

    def _send_all(self, queue: SendQueue) -> None:
        while (connection := queue.next_connection()) is not None:
            limit = self._limit_of(connection)
            batch = queue.first_batch(limit)
            if batch is None:
                continue
            # The messages of a batch are given up together, each after its whole time.
            retries = _Retries(queue, batch.messages, batch.entries[-1].since, self._keep_trying, self._clock)
            while queue.is_first(batch):
                refused: Errors = {}
                try:
                    refused = self._drivers.send_each(retries.messages, limit)
                    retries.succeeded()
                except BaseException as error:  # the thread has to go on, whatever a driver raises
                    retries.failed(error)
                if retries.pause is None:
                    queue.remove(batch)
                    retries.refused(refused)
                else:
                    if retries.failures == 1:
                        reason, seconds = retries.reason, self._keep_trying
                        log.warning("not sent yet: %s: events wait, and are tried again for %g s each", reason, seconds)
                    queue.pause(retries.pause)

    def _limit_of(self, connection: str) -> BatchLimit | None:
        """Return the limit of a batch; None for a connection that has none, or fails when it is asked."""
        with suppress(Exception):  # sending raises it again
            return self._drivers.batch_limit(connection)
        return None

    def _retries_now(self, messages: Sequence[Message]) -> _Retries:
        """Return the attempts of a sending caller: an outage holds the process up once, then each has one attempt."""
        queue = self._queue()
        return _Retries(queue, messages, queue.failing_since or self._clock(), FLUSH_TIME, self._clock)


class _Retries:
    """The attempts to send some messages, until ``keep_trying`` seconds after ``since``, and their lines in the log."""

    def __init__(
        self,
        queue: SendQueue,
        messages: Sequence[Message],
        since: float,
        keep_trying: float,
        clock: Callable[[], float],
    ) -> None:
        self.pause: float | None = 0.0
        """Seconds to wait before the next attempt; None when the messages are sent, or given up."""
        self.failures = 0
        self.reason = ""
        self.messages: Sequence[Message] = messages
        """The messages to send; marked as repeated once an attempt has failed, which the server may have taken."""
        self._queue = queue
        self._since = since
        self._keep_trying = keep_trying
        self._clock = clock

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Take note of how the attempt in the block ends; no Exception leaves the block."""
        try:
            yield
        except Exception as error:
            self.failed(error)
        else:
            self.succeeded()

    def succeeded(self) -> None:
        """Take note that the messages are sent."""
        self._queue.failing_since = None
        self.pause = None

    def refused(self, errors: Errors) -> None:
        """Log that single messages were refused: sending them again does not help."""
        for error in errors.values():
            log.error("not sent: %s", error)

    def failed(self, error: BaseException) -> None:
        """Set the pause before another attempt, or log that the messages are given up."""
        if isinstance(error, BroadcastError) and error.may_pass:
            now = self._clock()
            self._queue.failing_since = self._queue.failing_since or now
            if (rest := self._since + self._keep_trying - now) > 0:
                self.reason = str(error)
                self.failures += 1
                self.messages = [replace(each, repeated=True, given_id=each.id) for each in self.messages]
                wanted = error.retry_after or 0.0
                if wanted > rest:  # the messages would be given up before: the server may be back earlier than it says
                    wanted = 0.0
                self.pause = max(RETRY_POLICY.pause_after(self.failures) or 0.0, wanted)
                return
        self.pause = None
        if isinstance(error, BroadcastError):
            log.error("not sent: %s", error)
        else:
            log.error("not sent: event %s", self.messages[0], exc_info=error)
        if len(self.messages) > 1:
            for names in _summaries(self.messages):
                log.error("not sent, or not known to be, are all of this batch: %s", names)


def _summaries(messages: Sequence[Message]) -> list[str]:
    """Return names and channels of messages for the log, as texts of at most 50 names each."""
    names = [f"{name} ({times} times)" if times > 1 else name for name, times in Counter(map(str, messages)).items()]
    return [", ".join(names[at : at + _NAMES_PER_LINE]) for at in range(0, len(names), _NAMES_PER_LINE)]
