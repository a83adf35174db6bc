"""A channel on one node: its subscribers, and the frames that wait for the end of the loop turn."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from soundpost.core.gathered_notices import GATHER_SECONDS, GatheredNotices
from soundpost.core.subscribers import Subscribers
from soundpost.wire import messages
from soundpost.wire.channel_names import Kind

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.connection import Connection
    from soundpost.core.gathered_notices import MemberNotice
    from soundpost.core.pending_subscriptions import PendingSubscription
    from soundpost.core.resumption import Replays

MAX_WRITE: Final = 65_536
"""Bytes joined into one write, so that a burst does not overrun the socket buffers of quick clients."""

_BEGINNING: Final = 80
"""Bytes of a frame that are kept for its event's name."""
_FEW: Final = 8
"""Largest number of subscribers that are checked one by one before a frame is sent. In a larger channel it takes
less time to remove the excluded subscribers for the moment of the write."""
_INTERNAL: Final = b"pusher_internal:"
"""Prefix of the names of the server's own events."""


class Channel:
    """One channel of one app on this node. A channel exists while it has subscribers here."""

    __slots__ = (
        "_compressing",
        "_confirmation",
        "_gathered",
        "_kept",
        "_partial",
        "_pending",
        "app",
        "kind",
        "last_event",
        "last_event_at",
        "name",
        "pending_subscribers",
        "replays",
        "resumable",
        "subscribers",
    )

    def __init__(self, app: App, name: str, kind: Kind) -> None:
        self.app = app
        self.name = name
        self.kind = kind
        self.last_event = b""
        """First bytes of the frame of the last event that an application or a client sent to the subscribers."""
        self.last_event_at = 0.0
        """Time of that event, in seconds since 1970; 0 if there was none."""
        self.subscribers = Subscribers()
        """Subscribers, each with its user id on presence channels."""
        self.pending_subscribers: dict[Connection, PendingSubscription] | None = None
        """Connections whose subscription is pending; None if there are none, which saves memory."""
        self.resumable: set[Connection] | None = None
        """Subscribers that can resume; None if there are none."""
        self.replays: Replays | None = None
        """Subscribers that still read the history; None if there are none."""
        self._confirmation: bytes | None = None
        self._compressing = 0  # number of subscribers that take compressed frames
        self._pending: list[bytes] | None = None
        self._kept: list[int] | None = None  # indexes of the pending frames that the history has
        # Connections that do not get all pending frames. Value: the index of the first frame that they get, then the
        # indexes of later frames that they do not get.
        self._partial: dict[Connection, list[int]] | None = None
        self._gathered: GatheredNotices | None = None

    def add(self, connection: Connection, user_id: str | None) -> None:
        """Add a subscriber. The subscriber does not get frames that were queued before."""
        self.subscribers[connection] = user_id
        self.app.figures.subscribed += 1
        if user_id is not None:
            self.app.add_membership(connection, user_id)
        self._compressing += connection.takes_compressed
        if self._pending:
            self._partly()[connection] = [len(self._pending)]
        if self._gathered is not None:
            self._gathered.add_newcomer(connection)

    def remove(self, connection: Connection) -> str | None:
        """Remove a subscriber, which gets no more frames; return its user id."""
        app = self.app
        app.node.outbox.leave(self, connection)
        self._compressing -= connection.takes_compressed
        user_id = self.subscribers.pop(connection)
        app.figures.unsubscribed += 1
        if self.resumable is not None:
            self.resumable.discard(connection)
        if self.replays is not None:
            self.replays.end(connection)
        if user_id is not None:
            app.remove_membership(connection, user_id)
        return user_id

    @property
    def confirmation(self) -> bytes:
        """The frame for ``subscription_succeeded`` without members; kept from the second subscriber on."""
        if self._confirmation is not None:
            return self._confirmation
        frame = messages.subscription_succeeded(self.name)
        if len(self.subscribers) > 1:
            self._confirmation = frame
        return frame

    def queue(self, frame: bytes, except_for: Iterable[Connection] = (), kept: bool = False) -> None:
        """Send a frame to all subscribers, with exceptions, at the end of this loop turn.

        A frame that the history has (``kept``) does not go to subscribers that still read the history.
        """
        if self._gathered is not None:
            self.send_gathered()  # the event must not overtake notices of members who joined before it
        pending = self._pending
        if pending is None:
            pending = self._pending = []
            self.app.node.outbox.mark(self)
        left_out = 0
        for connection in except_for:
            if connection in self.subscribers:
                self._partly().setdefault(connection, [0]).append(len(pending))
                left_out += 1
        if kept:
            if self._kept is None:
                self._kept = []
            self._kept.append(len(pending))
        pending.append(frame)
        for observer in self.app.node.observers:
            observer.event_queued(self, frame, len(self.subscribers) - left_out)

    def send_to_other(self, sender: Connection, frame: bytes) -> bool:
        """Send a client event at once to the only other subscriber; return False if the event has to be published.

        An event has to be published if other nodes or observers get it too, if something waits before it, or if it is
        compressed. Measured for a client event to one other member: a fifth of the CPU time less than with a publish
        and a flush.
        """
        app = self.app
        node = app.node
        if not node.outbox.is_free or not node.peers.is_alone or node.observers or app.former_connections:
            return False
        other = self.subscribers.other_than(sender)
        if other is None or other.takes_compressed or self._gathered is not None:
            return False
        self.last_event = frame[:_BEGINNING]
        self.last_event_at = node.wall_clock()
        app.figures.deliveries += 1
        app.figures.delivered_bytes += len(frame)
        other.write(frame)
        return True

    @property
    def queued(self) -> int:
        """The number of queued frames."""
        return 0 if self._pending is None else len(self._pending)

    @property
    def has_one_reader(self) -> bool:
        """True if at most one subscriber gets the queued frames, when another subscriber has sent them."""
        return len(self.subscribers) <= 2

    def gets_last(self, connection: Connection) -> bool:
        """Return True if a connection gets the frame that was queued last."""
        if connection not in self.subscribers:
            return False
        part = None if self._partial is None else self._partial.get(connection)
        if part is None or self._pending is None:
            return True
        last = len(self._pending) - 1
        return part[0] <= last and last not in part[1:]

    def skip_kept(self, connection: Connection) -> None:
        """Remove queued frames for one subscriber that has read the same events in the history."""
        if self._kept:
            self._partly().setdefault(connection, [0]).extend(self._kept)

    def _skip_kept_for(self, readers: Iterable[Connection]) -> None:
        """Remove queued frames that the history has, for subscribers that still read the history."""
        partly, without = self._partly(), [0, *(self._kept or ())]
        for connection in readers:
            if partly.setdefault(connection, without) is not without:
                self.skip_kept(connection)

    def gather(self, notice: MemberNotice) -> None:
        """Send a notice together with all other notices of the next 50 ms, or earlier with the next event."""
        if self._gathered is None:
            self._gathered = gathered = GatheredNotices()
            self.app.node.call_later(GATHER_SECONDS, partial(self._send_in_time, gathered))
        self._gathered.append(notice)

    def _send_in_time(self, gathered: GatheredNotices) -> None:
        if self._gathered is gathered:
            self.send_gathered()

    def send_gathered(self) -> None:
        """Send the gathered notices at the end of this loop turn. A newcomer does not get notices of members that its
        member list has already."""
        gathered, self._gathered = self._gathered, None
        if gathered is None:
            return
        newcomers = [connection for connection in gathered.newcomers if connection in self.subscribers]
        for connections, frames in gathered.for_newcomers(newcomers):
            self._send(connections, frames, frames)
        for frame in gathered.for_all():
            self.queue(frame)
        if self._pending is not None:
            for connection in newcomers:
                self._partly()[connection] = [len(self._pending)]

    def flush(self) -> None:
        """Write all queued frames to the outbox, joined, with one write per subscriber."""
        if self.replays is not None and self._kept:
            self._skip_kept_for(self.replays.readers)
        pending, self._pending = self._pending, None
        partial, self._partial = self._partial, None
        self._kept = None
        if pending is None:
            return
        last, node = pending[-1], self.app.node
        length = last[1]
        start = 12 if length < 126 else 14 if length == 126 else 20  # length of the frame's header and {"event":"
        if last[start : start + len(_INTERNAL)] != _INTERNAL:
            self.last_event = last[:_BEGINNING]
            self.last_event_at = node.wall_clock()
        compress = node.compress if self._compressing else None
        compressed = pending if compress is None else [compress(frame) for frame in pending]
        if partial is None:
            connections = self.subscribers.connections
            if compressed is pending:
                self._write(connections, pending)  # by far the most frequent case
            else:
                self._send(connections, pending, compressed)
            return
        if len(pending) == 1 and len(self.subscribers) <= _FEW:
            getting = [each for each in self.subscribers if each not in partial or partial[each] == [0]]
            if getting:
                self._send(getting, pending, compressed)
            return
        # Subscribers that get only some frames are removed while the others get all: so no subscriber needs a check.
        set_aside = {each: self.subscribers.pop(each) for each in partial if each in self.subscribers}
        if self.subscribers:
            self._send(self.subscribers, pending, compressed)
        self.subscribers.update(set_aside)
        if len(pending) == 1 and [0] not in partial.values():
            return  # excluded connections get nothing: the sender of a client event, or an event's socket_id
        groups: dict[tuple[int, ...], list[Connection]] = {}
        # Readers of a history share one list object: a tuple for each reader would take long.
        alike: dict[int, list[Connection]] = {}
        for connection in set_aside:
            alike.setdefault(id(partial[connection]), []).append(connection)
        for readers in alike.values():
            groups.setdefault(tuple(partial[readers[0]]), []).extend(readers)
        for (first, *skipped), readers in groups.items():
            left_out = set(skipped)  # for a reader of the history, nearly all of the frames
            own = [i for i in range(first, len(pending)) if i not in left_out]
            self._send(readers, [pending[i] for i in own], [compressed[i] for i in own])

    def _send(self, connections: Collection[Connection], frames: list[bytes], compressed: list[bytes]) -> None:
        """Send frames to connections: in compressed form to each connection that takes it."""
        if compressed is frames or compressed == frames:
            self._write(connections, frames)
            return
        for takes, variant in ((False, frames), (True, compressed)):
            group = [connection for connection in connections if connection.takes_compressed is takes]
            if group:
                self._write(group, variant)

    def _write(self, connections: Collection[Connection], frames: list[bytes]) -> None:
        app, count = self.app, len(connections)
        figures = app.figures
        if len(frames) == 1:  # by far the most frequent case
            data = frames[0]
            figures.deliveries += count
            figures.delivered_bytes += count * len(data)
            app.node.outbox.write(self, connections, data)
            return
        pieces = _joined(frames)
        figures.deliveries += count * len(frames)
        figures.joined += count * (len(frames) - len(pieces))
        for data in pieces:
            figures.delivered_bytes += count * len(data)
            app.node.outbox.write(self, connections, data)

    def _partly(self) -> dict[Connection, list[int]]:
        if self._partial is None:
            self._partial = {}
        return self._partial


def _joined(frames: list[bytes]) -> list[bytes]:
    """Return frames joined into as few pieces as MAX_WRITE allows."""
    if sum(map(len, frames)) <= MAX_WRITE:
        return [b"".join(frames)]
    pieces: list[bytes] = []
    start = size = 0
    for i, frame in enumerate(frames):
        if size and size + len(frame) > MAX_WRITE:
            pieces.append(b"".join(frames[start:i]))
            start, size = i, 0
        size += len(frame)
    if start < len(frames):
        pieces.append(b"".join(frames[start:]))
    return pieces
