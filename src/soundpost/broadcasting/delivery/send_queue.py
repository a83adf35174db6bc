"""The queue of the delivery ``background``: the messages that wait in a process, and the thread that sends them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from soundpost.broadcasting.delivery import exit_hooks
from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.requests import bytes_of_batch
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
        """True while the thread waits for an entry: whoever comes next wakes it, even if a caller was interrupted."""
        self.failing_since: float | None = None
        """Time since which the server does not answer; None while it answers."""
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

    def first_batch(self, limit: BatchLimit | None) -> list[Entry]:
        """Return the first entry, and those behind it that fit into a batch; nothing if all were given up meanwhile.

        The batch stays as it is however often it is tried: the server knows it by its first message and its size.
        """
        with self.changed:
            if limit is None:
                return [self.entries[0]] if self.entries else []
            return _batch(self.entries, limit)

    def is_first(self, batch: list[Entry]) -> bool:
        """Return whether a batch is still the first to send, and has not been given up."""
        with self.changed:
            return bool(self.entries) and self.entries[0] is batch[0]

    def remove(self, batch: list[Entry]) -> None:
        """Remove the first batch, unless it has been given up meanwhile."""
        with self.changed:
            if self.is_first(batch):
                self.count -= sum([len(entry.messages) for entry in batch])
                for _ in batch:
                    self.entries.popleft()

    def pause(self, seconds: float) -> None:
        """Wait before another attempt; 0.2 seconds at most while a caller waits for the end."""
        with self.changed:
            self.changed.wait_for(lambda: self._waiters, seconds)
            if self._waiters:
                self.changed.wait(min(seconds, _LAST_BACKOFF))

    def wait_until_empty(self, seconds: float) -> None:
        """Wait until all messages are sent and the thread has ended, for so many seconds at most."""
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


def _batch(entries: Iterable[Entry], limit: BatchLimit) -> list[Entry]:
    """Return the first entries, as many as fit in one batch and are of about one time."""
    batch: list[Entry] = []
    connection, events, size, latest = "", 0, 0, 0.0
    most_events, most_bytes = limit  # local names, as every message passes here
    for entry in entries:
        messages = entry.messages
        events += len(messages)
        size += len(messages[0].data) if len(messages) == 1 else sum([len(message.data) for message in messages])
        if not batch:
            connection, latest = messages[0].connection, entry.since + _SPAN
        elif events > most_events or size > most_bytes or entry.since > latest or messages[0].connection != connection:
            break
        batch.append(entry)
    # Measured to write all as JSON for its size: 0.3 µs for a message, 1.2 to look for characters to escape in each.
    while len(batch) > 1 and (size := bytes_of_batch(_messages(batch))) > most_bytes:
        del batch[min(len(batch) - 1, max(1, len(batch) * most_bytes // size)) :]
    return batch


def _messages(entries: Iterable[Entry]) -> list[Message]:
    return [message for entry in entries for message in entry.messages]
