"""The outbox: frames of one loop turn, sent together at its end, with one write per subscriber.

The kernel's ``send()`` is the main cost of a delivery. One write for all frames of a turn makes deliveries cheaper
under load, and delays none without load.

An event to 10,000 subscribers takes 25 ms and more. What cannot be sent within some milliseconds is sent in the next
turns, in order; what is published meanwhile waits behind it, and is joined. The publishers who are answered at its end
have a moment to send what they publish next, before the next fan-out begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from soundpost.core.publisher_gathering import PublisherGathering

if TYPE_CHECKING:
    from soundpost.core.connection import Connection

CallSoon = Callable[[Callable[[], None]], object]
"""A loop's ``call_soon``: call back in the next loop turn."""
CallLater = Callable[[float, Callable[[], None]], object]
"""A loop's ``call_later``: call back after some seconds."""

_TURN: Final = 0.004
"""Seconds of a loop turn in which frames are sent."""
_AT_ONCE: Final = 1_000
"""Deliveries of small frames without a look at the clock: some 2.5 ms, 8 ms where the machine is busy."""
_CHUNK: Final = 100
"""Deliveries between two looks at the clock in a larger fan-out. To clients that are cut off they take 5 ms."""
_SMALL: Final = 2_048
"""Bytes that are delivered in about the time of a small frame."""
_MAX_WAITING: Final = 10_000
"""Frames that may wait for a fan-out to end. If there are more, it ends at once: then clients and other nodes send more
than can be delivered, and only a loop that does not read from them holds them up."""
_CHANNELS_COUNTED: Final = 1_000
"""Channels whose waiting frames are counted."""


def never(seconds: float, callback: Callable[[], None]) -> None:
    """Do not call back: a ``call_later`` for code without a loop."""


class Flushable(Protocol):
    """An object with queued frames: a channel."""

    @property
    def has_one_reader(self) -> bool:
        """True if no more than one connection gets the queued frames."""

    @property
    def queued(self) -> int:
        """The number of queued frames."""

    def flush(self) -> None:
        """Write all queued frames, by :meth:`Outbox.write`."""


class _Write:
    """Bytes on their way to connections, a chunk of them at a time."""

    __slots__ = ("_at", "_chunk", "_connections", "data", "left", "source")

    def __init__(self, source: object, connections: Iterable[Connection], data: bytes, chunk: int) -> None:
        self.source = source
        self.data = data
        self.left: set[Connection] = set()
        """Connections that get no more of it: they have left the source, or have been sent the bytes already."""
        self._connections = tuple(connections)  # itself, if it is a tuple
        self._chunk = max(1, chunk // _weight(data))
        self._at = 0

    @property
    def is_sent(self) -> bool:
        """True if all connections had their turn."""
        return self._at >= len(self._connections)

    def next_chunk(self) -> Sequence[Connection]:
        """Return the connections whose turn it is."""
        chunk = self._connections[self._at : self._at + self._chunk]
        self._at += self._chunk
        return [connection for connection in chunk if connection not in self.left] if self.left else chunk

    def is_for(self, connection: Connection) -> bool:
        """Return whether a connection is still to be sent the bytes."""
        return connection not in self.left and connection in self._connections[self._at :]


def _weight(data: bytes) -> int:
    """Return how many small frames take as long to deliver as these bytes."""
    return 1 + len(data) // _SMALL


class Outbox:
    """Channels with queued frames, writes on their way, and callbacks that wait until all of that is sent.

    ``before`` is called before a turn's first write, ``deliver`` writes. ``clock`` is in seconds.
    """

    def __init__(
        self,
        call_soon: CallSoon,
        call_later: CallLater,
        before: Callable[[], None],
        deliver: Callable[[Iterable[Connection], bytes], None],
        clock: Callable[[], float],
    ) -> None:
        self._call_soon = call_soon
        self._before = before  # other nodes first: writing to this node's clients takes long
        self._deliver = deliver
        self._clock = clock
        self._channels: list[Flushable] = []
        self._waiting: list[Callable[[], None]] = []
        self._is_scheduled = False
        self.is_reading = False
        """True while a client's input is handled: what it queues waits for :meth:`end_reading`."""
        self._unsent: deque[_Write | Callable[[], None]] = deque()
        """Writes that did not fit into a turn, and callbacks for the time when those before are sent."""
        self._writes: dict[object, list[_Write]] = {}
        """The writes among them, by source."""
        self._gathering = PublisherGathering(call_later, clock, self._call_turn)
        self._answers = 0  # callbacks at the end of a large fan-out that is on its way
        self._until: float | None = None  # time at which the writes of this turn end; None before it is needed
        self.at_once, self.chunk, self.most_waiting = _AT_ONCE, _CHUNK, _MAX_WAITING
        self._left = self.at_once  # deliveries until the next look at the clock
        self._next_turn = self._turn  # the bound method: every publish hands it on

    @property
    def is_free(self) -> bool:
        """True if what a client's input brings may be written at once: nothing waits before it."""
        return self.is_reading and not self._channels and not self._unsent

    def mark(self, channel: Flushable) -> None:
        """Note a channel that has its first frame of this loop turn."""
        if not self._is_scheduled and not self.is_reading:
            self._schedule()
        self._channels.append(channel)

    def end_reading(self) -> None:
        """Send what a client's input has queued: now if it is for one other client, else at the end of the turn.

        The frames of several clients are joined for those that get them. Where a channel's only other client gets them,
        there is nothing to join with what this client has sent, and a callback of the loop would only cost time.
        """
        self.is_reading = False
        channels = self._channels
        if not channels or self._is_scheduled:
            return
        if len(channels) == 1 and channels[0].has_one_reader:
            self._flush_channels(None)
        else:
            self._schedule()

    def after_flush(self, callback: Callable[[], None]) -> None:
        """Call back once all frames queued up to now are sent; at once if there are none."""
        if self._channels:
            self._waiting.append(callback)
            if self._gathering.is_on:
                self._gathering.count(len(self._waiting))
        elif self._unsent:
            self._unsent.append(callback)
        else:
            callback()

    def flush(self) -> None:
        """Send the queued frames of all channels now, however long it takes."""
        self._send_unsent(inf)
        self._flush_channels(inf)
        self._until = None

    def write(self, source: object, connections: Collection[Connection], data: bytes) -> None:
        """Write bytes to connections: now if there is time, else in the next turns, in order.

        ``source`` is what the connections have subscribed to: a channel, or a user whom they watch.
        """
        if not self._unsent:
            weight = len(connections) * (1 + len(data) // _SMALL)  # a call of _weight takes longer
            if weight > self._left:
                if self._until is None:
                    self._until = self._clock() + _TURN
                    if not self._is_scheduled:
                        self._schedule()  # the time of this turn ends with it
                if self._clock() < self._until:
                    self._left = self.at_once
            if weight <= self._left:
                self._left -= weight
                self._deliver(connections, data)
                return
        write = _Write(source, connections, data, self.chunk)
        if not self._unsent and self._send(write):
            return
        self._unsent.append(write)
        self._writes.setdefault(source, []).append(write)
        if not self._is_scheduled:
            self._schedule()

    def leave(self, source: object, connection: Connection) -> None:
        """Do not send a connection what is on its way from a source that it leaves."""
        for write in self._writes.get(source, ()):
            write.left.add(connection)

    def send_to(self, source: object, connection: Connection) -> None:
        """Send a connection now what is on its way to it from a source."""
        for write in self._writes.get(source, ()):
            if write.is_for(connection):
                self._deliver((connection,), write.data)
                write.left.add(connection)

    def _schedule(self) -> None:
        self._is_scheduled = True
        if not self._gathering.may_begin or self._unsent or not self._gathering.begin():
            self._call_turn()

    def _call_turn(self) -> None:
        self._call_soon(self._next_turn)

    def _turn(self) -> None:
        """Send for some milliseconds. What is queued meanwhile waits, and is joined, until all before it is sent."""
        self._is_scheduled = False
        try:
            until = self._until  # set if callbacks that came before in this loop turn have written
            if not self._unsent:
                self._flush_channels(until)
            elif self._has_too_many():
                self._send_unsent(inf)
            else:
                self._send_unsent(self._clock() + _TURN if until is None else until)
        finally:
            self._until = None
            if self._answers > 1 and not self._unsent:
                self._gathering.expect(self._answers + len(self._waiting))
                self._answers = 0
            if (self._unsent or self._channels) and not self._is_scheduled:
                self._schedule()

    def _has_too_many(self) -> bool:
        return sum(channel.queued for channel in islice(self._channels, _CHANNELS_COUNTED)) > self.most_waiting

    def _flush_channels(self, until: float | None) -> None:
        self._before()
        self._until, self._left = until, self.at_once if until is None else 0
        channels, self._channels = self._channels, []
        waiting, self._waiting = self._waiting, []
        left = iter(channels)
        try:
            for channel in left:
                channel.flush()
        except BaseException:
            self._channels[:0] = left  # the fault of one channel silences no other
            self._waiting[:0] = waiting
            if not self._is_scheduled:
                self._schedule()
            raise
        is_large = self._until is not None or self._left <= self.at_once // 2
        self._answers = len(waiting) if is_large else 0
        if self._unsent:
            self._unsent.extend(waiting)
            return
        rest = iter(waiting)
        try:
            for callback in rest:
                callback()
        except BaseException:
            self._unsent.extend(rest)
            if not self._is_scheduled:
                self._schedule()
            raise

    def _send_unsent(self, until: float) -> None:
        self._until = until
        unsent = self._unsent
        while unsent:
            first = unsent[0]
            if isinstance(first, _Write):
                if not self._send(first):
                    return
                self._forget(first)
                unsent.popleft()
                if self._clock() >= until:
                    return
            else:
                unsent.popleft()
                first()

    def _send(self, write: _Write) -> bool:
        """Send a chunk of a write, and more while there is time; return whether all of it is sent."""
        while not write.is_sent:
            self._deliver(write.next_chunk(), write.data)
            if self._until is None or self._clock() >= self._until:
                break
        return write.is_sent

    def _forget(self, write: _Write) -> None:
        writes = self._writes[write.source]
        writes.remove(write)
        if not writes:
            del self._writes[write.source]
