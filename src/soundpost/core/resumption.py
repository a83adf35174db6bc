"""Resumption: a subscriber reads the history after its position, piece by piece, until it has all kept events.

While a subscriber reads, it gets kept events from the history only, and all other frames of the channel at once.
No event is stored for a single reader. So a slow reader costs nothing, and a replay can be larger than
``max_output_buffer``. A connection reads one history at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from soundpost.core.history import HistoryPage
from soundpost.core.outbox import CallSoon
from soundpost.core.peers import HistoryQuery
from soundpost.core.replay_allowances import count_replay
from soundpost.core.token_bucket import TokenBucket
from soundpost.wire import messages

if TYPE_CHECKING:
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection

PIECE: Final = 65_536
"""Bytes of events in one piece."""
_MAX_EVENTS: Final = 1_000
"""Largest number of events in one piece."""
READERS_AT_ONCE: Final = 64
"""Largest number of readers that get the same piece in one step."""
SENT_AT_ONCE: Final = 1_048_576
"""Bytes that are sent to all readers together in one step."""
QUESTIONS: Final = 8
"""Largest number of pieces that a node requests from the backplane at a time."""
_TURN: Final = 0.004
"""Seconds of a loop turn for sending pieces to readers."""


class Reader:
    """A subscriber that reads the history of one channel."""

    __slots__ = ("after", "channel", "connection", "excluded")

    def __init__(self, connection: Connection, channel: Channel, after: str) -> None:
        self.connection = connection
        self.channel = channel
        self.after = after
        """Position behind the last event that the subscriber was sent."""
        self.excluded = frozenset((connection.socket_id, *connection.former_ids))
        """Present and earlier socket ids of the client, which does not get events sent with one of them."""

    @property
    def reads(self) -> bool:
        """True while this object is the channel's reader for the subscriber, and has not been replaced or ended."""
        replays = self.channel.replays
        return replays is not None and replays.readers.get(self.connection) is self


class ReadingHistory:
    """The histories that one connection reads, one after the other."""

    __slots__ = ("address", "allowance", "current", "waiting")

    def __init__(self) -> None:
        self.current: Reader | None = None
        """The reader whose next piece is on its way."""
        self.waiting: dict[Channel, Reader] = {}
        """The other readers, by their channels."""
        self.allowance: TokenBucket | None = None
        self.address: str | None = None
        """Client address whose allowance pays for the replays; None before the first piece."""


class Replays:
    """All subscribers of a channel that read its history. Those that wait for the same piece share it."""

    __slots__ = ("channel", "readers", "waiting")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.readers: dict[Connection, Reader] = {}
        self.waiting: dict[str, list[Reader]] = {}
        """Readers whose next piece is not requested yet, by the position that the piece follows."""

    def end(self, connection: Connection) -> None:
        """Forget a reader, if the connection is one."""
        reader = self.readers.pop(connection, None)
        if not self.readers:
            self.channel.replays = None
        reading = connection.reading
        if reader is None or reading is None:
            return
        if reading.current is reader:
            reading.current = None
            read_on(connection)
        else:
            reading.waiting.pop(self.channel, None)


class ReplayQueue:
    """The pieces that the readers of a node wait for, sent for some milliseconds in each loop turn.

    ``clock`` is in seconds. Very many clients that come back at once neither stop the loop nor fill the backplane.
    """

    def __init__(self, call_soon: CallSoon, clock: Callable[[], float]) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._pieces: deque[tuple[Replays, str]] = deque()
        self._questions = 0
        self._is_scheduled = False

    def add(self, reader: Reader) -> None:
        """Queue a reader for its next piece."""
        replays = reader.channel.replays
        assert replays is not None
        readers = replays.waiting.get(reader.after)
        if readers is None:
            replays.waiting[reader.after] = [reader]
            self._pieces.append((replays, reader.after))
            self._schedule()
        else:
            readers.append(reader)

    def _schedule(self) -> None:
        if not self._is_scheduled and self._pieces and self._questions < QUESTIONS:
            self._is_scheduled = True
            self._call_soon(self._work)

    def _work(self) -> None:
        self._is_scheduled = False
        deadline = self._clock() + _TURN
        while self._pieces and self._questions < QUESTIONS:
            self._ask(*self._pieces.popleft())
            if self._clock() >= deadline:
                break
        self._schedule()

    def _ask(self, replays: Replays, after: str) -> None:
        waiting = replays.waiting.pop(after)
        readers = [reader for reader in waiting[:READERS_AT_ONCE] if _has_turn(reader)]
        if len(waiting) > READERS_AT_ONCE:
            replays.waiting[after] = waiting[READERS_AT_ONCE:]
            self._pieces.append((replays, after))
        if not readers:
            return
        app = replays.channel.app
        size = min(PIECE, app.settings.max_output_buffer // 2)
        query = HistoryQuery(app.settings.id, replays.channel.name, after, _MAX_EVENTS, size, delivered=True)
        self._questions += 1
        app.node.peers.ask(query, partial(self._take, readers))

    def _take(self, readers: list[Reader], page: HistoryPage) -> None:
        self._questions -= 1
        self._schedule()
        waiting = [reader for reader in readers if _has_turn(reader)]
        most = max(1, SENT_AT_ONCE // max(1, sum(len(event.frame) for event in page.events)))
        for reader in waiting[most:]:
            self.add(reader)
        _send_page(waiting[:most], page)


def _has_turn(reader: Reader) -> bool:
    """Return True if a reader still waits for its piece and its client has taken all earlier output."""
    if not reader.reads:
        return False
    connection = reader.connection
    if connection.has_room:
        return True
    reading = reading_of(connection)
    reading.current = None
    reading.waiting[reader.channel] = reader
    return False


def _send_page(readers: list[Reader], page: HistoryPage) -> None:
    """Send a piece to readers that wait for it. Readers that have read all kept events get new events from now on."""
    if not readers:
        return
    channel, node = readers[0].channel, readers[0].channel.app.node
    senders = {event.except_socket_id for event in page.events} - {None}
    everything = b"".join([event.frame for event in page.events])
    own = {id(reader) for reader in readers if senders & reader.excluded} if senders else set()
    if everything and len(own) < len(readers):
        _count_frames(channel, len(readers) - len(own), len(page.events), everything)
        node.deliver([reader.connection for reader in readers if id(reader) not in own], everything)
    for reader in readers:
        connection = reader.connection
        if id(reader) in own:
            frames = [event.frame for event in page.events if event.except_socket_id not in reader.excluded]
            data = b"".join(frames)
            _count_frames(channel, 1, len(frames), data)
            connection.write(data)
        for observer in node.observers:
            for event in page.events:
                if event.except_socket_id not in reader.excluded:
                    observer.message_sent(connection, event.frame)
        count_replay(connection, reading_of(connection), len(everything))
        reader.after = page.position
        if page.whole:
            _meet(reader)
            if page.gap is not None:
                _send_gap(connection, channel, page.gap, page.position)
        else:
            reading_of(connection).current = None
            reading_of(connection).waiting[channel] = reader
        read_on(connection)


def _count_frames(channel: Channel, readers: int, frames: int, data: bytes) -> None:
    """Count the frames in ``data`` as sent to each of the readers."""
    figures = channel.app.figures
    figures.joined += readers * (frames - 1)
    figures.replayed += readers * frames
    figures.deliveries += readers * frames
    figures.delivered_bytes += readers * len(data)


def _meet(reader: Reader) -> None:
    """End the reading of a subscriber that has all kept events: from now on it gets new events at once."""
    reader.channel.skip_kept(reader.connection)
    if reader.channel.replays is not None:
        reader.channel.replays.end(reader.connection)


def reading_of(connection: Connection) -> ReadingHistory:
    """Return the histories that a connection reads; make the object at the first call."""
    if connection.reading is None:
        connection.reading = ReadingHistory()
    return connection.reading


def read_on(connection: Connection) -> None:
    """Request the next piece for a connection, if none is on its way and the client has taken all earlier output.

    The transport calls the function too, once waiting output has left.
    """
    reading = connection.reading
    if reading is None or reading.current is not None:
        return
    if not reading.waiting:
        if reading.allowance is None:
            connection.reading = None
        return
    if not connection.has_room:
        return
    channel = next(iter(reading.waiting))
    reading.current = reader = reading.waiting.pop(channel)
    connection.app.node.replay_queue.add(reader)


def begin(connection: Connection, channel: Channel, after: str) -> None:
    """Begin to send a subscriber the kept events after a position, until it has all of them."""
    if channel.replays is not None:
        channel.replays.end(connection)
    if channel.replays is None:
        channel.replays = Replays(channel)
    channel.replays.readers[connection] = reader = Reader(connection, channel, after)
    reading_of(connection).waiting[channel] = reader
    read_on(connection)


def broadcast_gap(channel: Channel, reason: str, position: str) -> None:
    """Report a gap to all subscribers that can resume. Readers of the history continue behind the gap."""
    channel.flush()  # frames from before the gap
    subscribers = list(channel.resumable or ())
    channel.app.figures.gaps += len(subscribers)
    frame = messages.gap(channel.name, reason, position)
    channel.app.node.outbox.write(channel, subscribers, frame)
    for connection in () if channel.replays is None else list(channel.replays.readers):
        channel.app.node.outbox.send_to(channel, connection)  # the reader's next piece must not overtake the gap
        begin(connection, channel, position)
    if channel.app.node.observers:
        for connection in subscribers:
            _observe_gap(connection, channel, reason, frame)


def _send_gap(connection: Connection, channel: Channel, reason: str, position: str) -> None:
    channel.app.figures.gaps += 1
    frame = messages.gap(channel.name, reason, position)
    connection.write(frame)
    _observe_gap(connection, channel, reason, frame)


def _observe_gap(connection: Connection, channel: Channel, reason: str, frame: bytes) -> None:
    for observer in channel.app.node.observers:
        observer.message_sent(connection, frame)
        observer.gap_sent(connection, channel, reason)
