"""Resumption: a subscriber reads the history after its position, piece by piece, until it meets what is new.

While it reads, the subscriber gets everything of the channel at once but the kept events: those come from the history.
No event is kept for a reader in particular, so a slow one costs nothing, and a replay may be larger than what
``max_output_buffer`` allows to wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from soundpost.core.history import HistoryPage
from soundpost.core.peers import HistoryQuery
from soundpost.core.token_bucket import TokenBucket
from soundpost.wire import messages

if TYPE_CHECKING:
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection

PIECE: Final = 65_536
"""Bytes of events that a reader is sent at a time."""
_MOST: Final = 1_000
"""Largest number of events that a reader is sent at a time."""
_MINUTE: Final = 60
_FORMER_IDS: Final = 16
"""Largest number of earlier socket ids that are noted for one client."""
REPLAYS_AGAIN: Final = 10
"""Replays a minute of channels that a connection had been subscribed to before."""


class Reader:
    """A subscriber that reads the history of one channel."""

    __slots__ = ("after", "asked", "channel", "connection", "excluded")

    def __init__(self, connection: Connection, channel: Channel, after: str, was: Iterable[str]) -> None:
        self.connection = connection
        self.channel = channel
        self.after = after
        """Position behind the last event that the subscriber was sent."""
        self.asked = False
        """True while the next piece is on its way from the backplane."""
        self.excluded = frozenset((connection.socket_id, *was))
        """Socket ids of the client, whose own events it does not get."""


class Replays:
    """All subscribers of a channel that read its history.

    Those that wait for the same piece share one question to the backplane and one join of the frames.
    """

    __slots__ = ("_waiting", "channel", "readers")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.readers: dict[Connection, Reader] = {}
        self._waiting: dict[str, list[Reader]] = {}
        """Readers that wait for an answer, by the position that was asked for."""

    def begin(self, reader: Reader) -> None:
        """Take a new reader, in place of the connection's earlier one."""
        self.readers[reader.connection] = reader
        self.read(reader)

    def end(self, connection: Connection) -> None:
        """Forget a reader, if the connection is one."""
        reader = self.readers.pop(connection, None)
        if reader is not None and connection.reading is not None:
            connection.reading.waiting.pop(self.channel, None)
        if not self.readers:
            self.channel.replays = None

    def read(self, reader: Reader) -> None:
        """Have the next piece come for a reader, as soon as its client has taken what it was sent."""
        if reader.asked or self.readers.get(reader.connection) is not reader:
            return
        if not reader.connection.has_room:
            reading_of(reader.connection).waiting[self.channel] = reader
            return
        reader.asked = True
        waiting = self._waiting.get(reader.after)
        if waiting is not None:
            waiting.append(reader)
            return
        self._waiting[reader.after] = [reader]
        app = self.channel.app
        query = HistoryQuery(app.settings.id, self.channel.name, reader.after, _MOST, PIECE)
        app.node.peers.ask(query, partial(self._take, reader.after))

    def _take(self, after: str, page: HistoryPage) -> None:
        """Send a piece to the readers that wait for it; those who have read everything get what is new from now on."""
        channel, node = self.channel, self.channel.app.node
        readers = [
            reader
            for reader in self._waiting.pop(after)
            if self.readers.get(reader.connection) is reader and reader.after == after
        ]
        if page.gap is not None:
            for reader in readers:
                self._meet(reader)
                _send_gap(reader.connection, channel, page.gap, page.position)
            return
        excluding = {event.except_socket_id for event in page.events} - {None}
        everything = b"".join([event.frame for event in page.events])
        whole_page = [reader for reader in readers if not excluding & reader.excluded]
        if everything and whole_page:
            node.deliver([reader.connection for reader in whole_page], everything)
        for reader in readers:
            if excluding & reader.excluded:
                own = [event.frame for event in page.events if event.except_socket_id not in reader.excluded]
                if own:
                    reader.connection.write(b"".join(own))
            for observer in node.observers:
                for event in page.events:
                    if event.except_socket_id not in reader.excluded:
                        observer.message_sent(reader.connection, event.frame)
            reader.asked = False
            reader.after = page.position
            if page.whole:
                self._meet(reader)
            else:
                node.call_soon(partial(self.read, reader))

    def _meet(self, reader: Reader) -> None:
        """Let a reader have what is new: it has all that is kept."""
        self.channel.skip_kept(reader.connection)
        self.end(reader.connection)


class ReadingHistory:
    """The histories that one connection reads."""

    __slots__ = ("allowance", "former_ids", "waiting")

    def __init__(self) -> None:
        self.former_ids: set[str] = set()
        """Earlier socket ids of the client."""
        self.waiting: dict[Channel, Reader] = {}
        """Readers whose next piece waits until the client has taken the last one."""
        self.allowance: TokenBucket | None = None


def reading_of(connection: Connection) -> ReadingHistory:
    """Return what a connection reads of histories."""
    if connection.reading is None:
        connection.reading = ReadingHistory()
    return connection.reading


def read_on(connection: Connection) -> None:
    """Go on with replays that waited for a client to take its output. Called by the transport."""
    reading = connection.reading
    if reading is None or not reading.waiting:
        return
    waiting, reading.waiting = reading.waiting, {}
    for channel, reader in waiting.items():
        if channel.replays is not None:
            channel.replays.read(reader)


def may_replay_again(connection: Connection) -> bool:
    """Count a replay of a channel that the connection had before; False if there were too many within a minute.

    A client could ask for the same history over and over with a few bytes each time.
    """
    reading, now = reading_of(connection), connection.app.node.clock()
    if reading.allowance is None:
        reading.allowance = TokenBucket(REPLAYS_AGAIN, now)
    return reading.allowance.take(REPLAYS_AGAIN, _MINUTE, now)


def note_former_ids(connection: Connection, socket_ids: Iterable[str]) -> None:
    """Note earlier socket ids of a client: it does not get events that were published with one of them."""
    former = reading_of(connection).former_ids
    for socket_id in socket_ids:
        if len(former) < _FORMER_IDS:
            former.add(socket_id)
            connection.app.former_connections[socket_id] = connection


def forget_former_ids(connection: Connection) -> None:
    """Forget the earlier socket ids of a client that is gone."""
    if connection.reading is None:
        return
    connections = connection.app.former_connections
    for socket_id in connection.reading.former_ids:
        if connections.get(socket_id) is connection:
            del connections[socket_id]


def begin(connection: Connection, channel: Channel, after: str, was: Iterable[str]) -> None:
    """Let a subscriber read the history after a position; it gets kept events from there until it has read all."""
    if channel.replays is None:
        channel.replays = Replays(channel)
    channel.replays.begin(Reader(connection, channel, after, was))


def tell_gap(channel: Channel, reason: str, position: str) -> None:
    """Tell all subscribers that can resume of a gap; who reads the history reads no further."""
    channel.flush()  # what came before the gap
    for connection in list(channel.resumable or ()):
        if channel.replays is not None:
            channel.replays.end(connection)
        _send_gap(connection, channel, reason, position)


def _send_gap(connection: Connection, channel: Channel, reason: str, position: str) -> None:
    connection.send(messages.gap(channel.name, reason, position))
    for observer in channel.app.node.observers:
        observer.gap_told(connection, channel, reason)
