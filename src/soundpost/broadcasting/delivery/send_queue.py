"""The queue of the delivery ``background``: the messages that wait in a process, and the thread that sends them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from soundpost.broadcasting.delivery import exit_hooks
from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.requests import WrittenBatch
from soundpost.broadcasting.message import Message

_LAST_BACKOFF: Final = 0.2
"""Seconds between attempts while the process waits for its end."""
_SPAN: Final = 1.0
"""Seconds that may lie between the first and the last message of a batch, as they are given up together."""


class Entry(Struct, gc=False):
    """The messages of one call, and its time in seconds."""

    # A Struct, as every call makes one. Measured: 0.1 µs, 0.3 as a NamedTuple.
    messages: Sequence[Message]
    since: float


class Batch(Struct, gc=False):
    """The entries whose messages are sent together; the batch stays as it is however often it is tried.

    So the server knows it by its first message and its size.
    """

    entries: list[Entry]
    messages: Sequence[Message]


class SendQueue:
    """The messages that wait in a process, and the thread that sends them."""

    def __init__(self) -> None:
        self.exit_hooks = exit_hooks.of_this_process()
        self.lock = threading.RLock()  # a handler of signals may publish in any moment
        self.changed = threading.Condition(self.lock)
        self.entries: deque[Entry] = deque()
        self.count = 0
        """Messages in all entries."""
        self.thread: threading.Thread | None = None
        self.is_idle = False
        """True while the thread waits for an entry: the next caller wakes it, even if a caller was interrupted."""
        self.failing_since: float | None = None
        """Time since which the server does not answer; None while it answers."""
        self._overhead = 0.0  # bytes of a message in the last batch, beside the characters of its data
        self._waiters = 0
        """Callers that wait until the queue is empty: the thread ends then, and pauses are short."""

    def next_connection(self) -> str | None:
        """Wait for the first entry, and return the connection it goes through; None if the thread is to end."""
        with self.changed:
            self.is_idle = True
            self.changed.wait_for(lambda: self.entries or self._waiters)
            self.is_idle = False
            if self.entries:
                return self.entries[0].messages[0].connection
            self.end_thread()
            return None

    def end_thread(self) -> None:
        """Take note that the thread that calls this ends."""
        with self.changed:
            if self.thread is threading.current_thread():
                self.thread = None
                self.changed.notify_all()

    def first_batch(self, limit: BatchLimit | None) -> Batch | None:
        """Return the first entry, and those behind it that fit into a batch; None if all were given up meanwhile."""
        with self.changed:
            if not self.entries:
                return None
            if limit is None:
                return Batch([self.entries[0]], self.entries[0].messages)
            entries = self._first_entries(limit)
        return self._written(entries, limit)

    def is_first(self, batch: Batch) -> bool:
        """Return whether a batch is still the first to send, and has not been given up."""
        with self.changed:
            return bool(self.entries) and self.entries[0] is batch.entries[0]

    def remove(self, batch: Batch) -> None:
        """Remove the first batch, unless it has been given up meanwhile."""
        with self.changed:
            if self.is_first(batch):
                self.count -= len(batch.messages)
                for _ in batch.entries:
                    self.entries.popleft()

    def pause(self, seconds: float) -> None:
        """Wait before another attempt; 0.2 seconds at most while a caller waits for the end."""
        with self.changed:
            self.changed.wait_for(lambda: self._waiters, seconds)
            if self._waiters:
                self.changed.wait(min(seconds, _LAST_BACKOFF))

    def wait_until_empty(self, seconds: float) -> None:
        """Wait until all messages are sent and the thread has ended, at most for the given seconds."""
        with self.changed:
            self._waiters += 1
            self.changed.notify_all()
            try:
                self.changed.wait_for(lambda: self.thread is None, seconds)
            finally:
                self._waiters -= 1

    def clear(self) -> list[Message]:
        """Remove all entries; return their messages."""
        with self.changed:
            lost = [message for entry in self.entries for message in entry.messages]
            self.entries.clear()
            self.count = 0
            self.changed.notify_all()
        return lost

    def _first_entries(self, limit: BatchLimit) -> list[Entry]:
        """Return the first entries, as many as may fit in one batch and are of about one time."""
        entries: list[Entry] = []
        connection, events, size, latest = "", 0, 0, 0.0
        most_events, most_bytes = limit  # local names, as every message passes here
        for entry in self.entries:
            messages = entry.messages
            events += len(messages)
            size += len(messages[0].data) if len(messages) == 1 else sum([len(message.data) for message in messages])
            if not entries:
                connection, latest = messages[0].connection, entry.since + _SPAN
            elif (
                events > most_events
                or size + events * self._overhead > most_bytes
                or entry.since > latest
                or messages[0].connection != connection
            ):
                break
            entries.append(entry)
        return entries

    def _written(self, entries: list[Entry], limit: BatchLimit) -> Batch:
        """Return a batch of the first of some entries, as many as fit."""
        # Measured to write all as JSON: 0.3 µs for a message, 1.2 to look for characters to escape in each.
        while len(entries) > 1:
            messages = WrittenBatch.of(_messages(entries))
            size = len(messages.body)
            self._overhead = (size - sum([len(message.data) for message in messages])) / len(messages)
            if size <= limit.bytes:
                return Batch(entries, messages)
            del entries[min(len(entries) - 1, max(1, len(entries) * limit.bytes // size)) :]
        self._overhead = 0.0  # the next messages are sent together again, even if this message has failed
        return Batch(entries, entries[0].messages)


def _messages(entries: Iterable[Entry]) -> list[Message]:
    return [message for entry in entries for message in entry.messages]
