"""Turns: callers that publish at the same time, one request after the other, each with all that waited for it.

While a request is under way, messages of further callers gather; when its answer comes, all that wait go as one batch.
No timer delays a message that is alone. One request at a time keeps the order of the callers, whatever fails.
Databases know this as group commit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from threading import Lock
from typing import Any, Final

from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.failures import Errors, error_of_all, failed
from soundpost.broadcasting.drivers.requests import description, most_bytes_of
from soundpost.broadcasting.message import Message
from soundpost.errors import BroadcastError

MAX_WAITING: Final = 10_000
"""Messages that may wait for their turn; further ones are refused."""


class Turn:
    """The messages of one call, and how they fared: ``error`` is None if all were taken."""

    __slots__ = ("context", "error", "is_done", "messages", "shares", "since", "wake")

    def __init__(self, messages: Sequence[Message], since: float) -> None:
        self.messages = messages
        self.since = since
        """Time of the call, in seconds."""
        self.shares = all(len(message.channels) == 1 for message in messages)
        """False if a message goes to several channels: that has a request of its own, which may fail by itself."""
        self.error: BroadcastError | None = None
        self.is_done = False
        self.wake: Callable[[], object] = _nobody_waits
        """Function that wakes the caller."""
        self.context: Context | None = None
        """Context of the call, for the spans of traces."""

    def end(self, error: BroadcastError | None) -> None:
        """Take note of the outcome, and wake the caller."""
        self.error = error
        self.is_done = True
        self.wake()


def _nobody_waits() -> None:
    """Do nothing: the caller sends by itself."""


class Turns:
    """The turns of one publisher. Turns that wait longer than ``max_wait`` seconds end with an error."""

    def __init__(self, max_wait: float, most: int = MAX_WAITING) -> None:
        self._max_wait = max_wait
        self._most = most
        self._waiting: deque[Turn] = deque()
        self._count = 0  # messages of the turns that wait
        self.is_busy = False
        """True while a request is under way."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, turn: Turn) -> None:
        """Let a turn wait. Raises BroadcastError if too many messages wait."""
        if self._count + len(turn.messages) > self._most and self._waiting:
            raise failed(
                description(turn.messages),
                f"{self._count} messages wait for the answer of the server, {self._most} may: does it answer?",
            )
        self._waiting.append(turn)
        self._count += len(turn.messages)

    def take(self, limit: BatchLimit, now: float, taken: list[Turn] | None = None) -> list[Turn]:
        """Begin a request, and return the turns that share it, first come first; none if nobody waits.

        The first one is taken in any case, others as far as they fit. ``now`` is in seconds. ``taken``: an empty list
        to fill, for a thread that may be interrupted in here.
        """
        taken = [] if taken is None else taken
        events = size = 0
        waiting = self._waiting
        while waiting:
            turn = waiting[0]
            events += len(turn.messages)
            if taken or len(waiting) > 1:  # a single message need not fit. Measured: 0.5 µs for a message
                size += sum([most_bytes_of(message) for message in turn.messages])
            if taken and (events > limit.events or size > limit.bytes or not (taken[0].shares and turn.shares)):
                break
            taken.append(turn)  # first, so that an interrupted thread knows of it
            waiting.popleft()
            self._count -= len(turn.messages)
            if now - turn.since > self._max_wait:
                taken.remove(turn)
                turn.end(self.too_late(turn))
                events, size = 0, 0
        self.is_busy = bool(taken)
        return taken

    def withdraw(self, turn: Turn) -> bool:
        """Remove a turn whose caller is gone, if it still waits; tell whether it did."""
        if turn not in self._waiting:
            return False
        self._waiting.remove(turn)
        self._count -= len(turn.messages)
        return True

    def clear(self) -> list[Turn]:
        """Remove all turns that wait, and return them."""
        waiting, self._waiting, self._count = list(self._waiting), deque(), 0
        return waiting

    def too_late(self, turn: Turn) -> BroadcastError:
        """Return the error of a turn that has waited for too long."""
        return failed(description(turn.messages), f"no answer to earlier events in {self._max_wait:g} s")

    def first(self) -> Turn | None:
        """Return the turn that is next; None if nobody waits."""
        while self._waiting and self._waiting[0].is_done:  # of a thread that was interrupted while it took turns
            self._count -= len(self._waiting.popleft().messages)
        return self._waiting[0] if self._waiting else None


def messages_of(turns: Sequence[Turn]) -> list[Message]:
    """Return the messages of some turns, in order."""
    return [message for turn in turns for message in turn.messages]


def end_all(turns: Sequence[Turn], errors: Errors) -> None:
    """End each turn with the error of its messages; ``errors`` are by place among all messages."""
    start = 0
    for turn in turns:
        end = start + len(turn.messages)
        own = {place: errors[place] for place in range(start, end) if place in errors} if errors else None
        turn.end(error_of_all(own) if own else None)
        start = end


def fail_all(turns: Sequence[Turn], error: BroadcastError) -> None:
    """End each turn with an error about its own messages, for the reason of an error about all."""
    for turn in turns:
        turn.end(failed(description(turn.messages), error.reason, error.status))


def fail_request(turns: Sequence[Turn], error: BroadcastError) -> None:
    """End the turns of a request that failed. The error of one alone stays: it knows what was sent before."""
    if len(turns) == 1:
        turns[0].end(error)
    else:
        fail_all(turns, error)


class ThreadTurns:
    """The turns of the threads of a process: the first of those that wait sends for all that fit with it."""

    def __init__(
        self,
        send: Callable[[list[Message], BatchLimit], Errors],
        limit: Callable[[], BatchLimit],
        max_wait: float,
    ) -> None:
        self._send = send
        self._limit = limit
        self._max_wait = max_wait
        self._turns = Turns(max_wait)
        self._lock = threading.RLock()  # a handler of signals may publish in any moment
        self._leader: Turn | None = None
        """The turn whose thread sends, or is about to."""
        self._within: set[int] = set()
        """The threads that send or wait."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Send messages, in the order of the calls. Raises BroadcastError."""
        turn = Turn(messages, time.monotonic())
        own = threading.get_ident()
        if own in self._within:  # a handler of signals, or of logs, in the midst of a turn
            end_all([turn], self._send(list(messages), self._limit()))
        else:
            try:
                self._within.add(own)
                self._wait_and_send(turn)
            finally:
                self._within.discard(own)
        if turn.error is not None:
            raise turn.error

    def _wait_and_send(self, turn: Turn) -> None:
        woken = None
        try:
            with self._lock:
                self._turns.add(turn)
                if self._turns.is_busy:
                    woken = _Signal()
                    turn.wake = woken.set
                else:
                    self._leader = turn
                    self._turns.is_busy = True
            if woken is not None:
                self._wait(turn, woken)
            if not turn.is_done:
                self._lead(turn)
        except BaseException:  # of a signal, in any line above
            self._give_up(turn)
            raise

    def _wait(self, turn: Turn, woken: _Signal) -> None:
        """Wait until a turn has come, or was sent by another thread."""
        if woken.wait(self._max_wait):
            return
        with self._lock:
            if self._leader is turn:  # the thread that handed it on was interrupted before it woke this one
                return
            if self._turns.withdraw(turn):
                turn.end(self._turns.too_late(turn))
                return
        woken.wait()  # the turn is being sent

    def _lead(self, turn: Turn) -> None:
        """Send the messages of the first turn, and of those that fit with it."""
        limit = self._limit()
        batch: list[Turn] = []
        try:
            with self._lock:
                self._turns.take(limit, time.monotonic(), batch)
                self._turns.is_busy = True  # also if all were too late
            end_all(batch, self._send(messages_of(batch), limit) if batch else {})
        except BroadcastError as error:
            fail_request(batch, error)
        except BaseException as error:
            fail_all(batch, failed("", f"the thread that sent it was stopped by {error!r}; it may be published"))
            raise
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            following = self._turns.first()
            self._turns.is_busy = following is not None
            self._leader = following  # set before the thread is woken: an interrupted thread wakes the leader
            if following is not None:
                following.wake()

    def _give_up(self, turn: Turn) -> None:
        """Remove the turn of a thread that was interrupted, and hand the lead on if the thread had it."""
        with self._lock:
            self._turns.withdraw(turn)
            if self._leader is turn:
                self._pass_on()
            elif self._leader is not None:
                self._leader.wake()


class _Signal:
    """A sign to one thread that waits, which may be given again.

    A thread that is interrupted within ``threading.Event.set`` may leave the event's lock taken, for ever.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the thread that waits."""
        with suppress(RuntimeError):  # the thread was woken before
            self._lock.release()

    def wait(self, seconds: float = -1) -> bool:
        """Wait for the signal, at most for the given seconds; return True if it came."""
        return self._lock.acquire(timeout=seconds)


class TaskTurns:
    """The turns of the tasks of an event loop. A task that is alone sends by itself; batches have tasks of their own.

    So a caller that is cancelled takes no other caller's message with it.
    """

    def __init__(
        self,
        send: Callable[[list[Message], BatchLimit], Coroutine[Any, Any, Errors]],
        limit: Callable[[], BatchLimit],
        max_wait: float,
    ) -> None:
        self._send = send
        self._limit = limit
        self._turns = Turns(max_wait)
        self._sender: asyncio.Task[None] | None = None  # the loop keeps no strong reference

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send messages, in the order of the calls. Raises BroadcastError."""
        loop = asyncio.get_running_loop()
        turn = Turn(messages, loop.time())
        if self._turns.is_busy:
            woken = loop.create_future()
            turn.wake = partial(_wake, woken)
            turn.context = copy_context()
            self._turns.add(turn)
            try:
                await woken
            except BaseException:
                self._turns.withdraw(turn)
                raise
        else:
            self._turns.is_busy = True
            try:
                end_all([turn], await self._send(list(messages), self._limit()))
            finally:
                self._turns.is_busy = len(self._turns) > 0
                if self._turns.is_busy:
                    self._sender = loop.create_task(self._send_waiting())
        if turn.error is not None:
            raise turn.error

    async def _send_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        batch: list[Turn] = []
        try:
            while batch := self._turns.take(limit := self._limit(), loop.time()):
                try:
                    # An application's task factory may know no contexts.
                    create = partial(loop.create_task, self._send(messages_of(batch), limit))
                    end_all(batch, await (batch[0].context or copy_context()).run(create))
                except BroadcastError as error:
                    fail_request(batch, error)
                except Exception as error:
                    fail_all(batch, failed("", repr(error)))
        finally:
            self._turns.is_busy = False
            self._sender = None  # the task refers to the loop, which must not be kept alive
            left = [turn for turn in batch if not turn.is_done] + self._turns.clear()
            fail_all(left, failed("", "the task that sends it was cancelled, as all tasks are when an event loop ends"))


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
