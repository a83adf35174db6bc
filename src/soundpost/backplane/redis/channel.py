"""A channel on this host: its own subscriptions by node, and the state of all hosts as heard from Redis."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from soundpost.backplane.members import Members
from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis.kept_channel import KeptChannel
from soundpost.core.gathered_notices import GATHERED_ABOVE, MemberNotice
from soundpost.core.member import Member
from soundpost.core.peers import ChannelSnapshot, PeersHandler
from soundpost.wire import messages
from soundpost.wire.channel_names import kind_of


class Share:
    """One node's subscriptions to a channel."""

    __slots__ = ("count", "users")

    def __init__(self) -> None:
        self.count = 0
        """Number of subscriptions."""
        self.users: dict[str, int] = {}
        """Number of subscriptions by user id, on presence channels."""


class SharedChannel:
    """One channel that has subscribers on this host."""

    __slots__ = (
        "app_id",
        "bucket",
        "count",
        "given",
        "history",
        "is_resuming",
        "is_stated",
        "last",
        "last_until",
        "members",
        "name",
        "occupancy",
        "own_members",
        "shares",
        "stated_by",
        "syncing",
        "topic",
        "version",
        "waiting",
    )

    def __init__(self, app_id: str, name: str, bucket: bytes, topic: bytes, occupancy: Occupancy) -> None:
        self.app_id = app_id
        self.name = name
        self.bucket = bucket
        self.topic = topic
        self.occupancy = occupancy
        self.shares: dict[PeersHandler, Share] = {}
        self.count = 0
        """Number of subscriptions on this host."""
        self.own_members: dict[str, tuple[Member, int]] = {}
        """Members on this host with their number of connections, including those whose join is under way."""
        self.members = Members() if kind_of(name).is_presence else None
        """Members on all hosts, as last heard; None on channels without members."""
        self.history: KeptChannel | None = None
        """Part of the channel's history that this host has; None if the channel keeps none."""
        self.given: frozenset[str] = frozenset()
        """Ids of events of a history that has ended here: subscribers have them, and Redis is still to place them."""
        self.version = 0
        """Version of members and last event, as last heard."""
        self.last: bytes | None = None
        """Frame of the last event, on cache channels."""
        self.last_until = 0.0
        """Time when the last event expires, in seconds of the loop's clock."""
        self.stated_by = b""
        """Node as which this host has last stated the channel: with each connection to Redis it is another one."""
        self.syncing = True
        """True while the state is asked for: messages that come before the answer are part of the answer."""
        self.is_stated = False
        """True once the request was sent to Redis. Redis may have carried out a request that it did not answer."""
        self.waiting: deque[tuple[str | None, Callable[[], None]]] | None = deque()
        """Joins that wait for the first answer, and for those before them, with the user ids of members; None once all
        of them have run."""
        self.is_resuming = False
        """True while these joins are run: one of them may be for a client that is gone, and leaves at once."""

    @property
    def is_wanted(self) -> bool:
        """True if the channel has subscribers here, or subscriptions on their way."""
        return bool(self.count or self.own_members or self.waiting or self.is_resuming)

    @property
    def stated_count(self) -> int:
        """The number to state to Redis: not 0 while a join is under way, as 0 removes all users of the node."""
        return self.count or int(self.is_wanted)

    def keep(self, frame: bytes, until: float) -> None:
        """Keep the last event until a time."""
        self.last, self.last_until = frame, until

    def forget(self) -> None:
        """Drop the last event."""
        self.last, self.last_until = None, 0.0

    def last_at(self, now: float) -> bytes | None:
        """Return the last event's frame; None if there is none or it has expired."""
        return self.last if now < self.last_until else None

    def snapshot(self, now: float) -> ChannelSnapshot:
        """Return the state that a subscriber is sent."""
        return ChannelSnapshot(None if self.members is None else self.members.as_json_string(), self.last_at(now))

    def deliver(
        self, frame: bytes, except_socket_id: str | None = None, except_node: PeersHandler | None = None
    ) -> None:
        """Deliver a frame to the nodes of this host that have subscribers, except one node."""
        for node in self.shares:
            if node is not except_node:
                node.deliver_event(self.app_id, self.name, frame, except_socket_id)

    def deliver_all(self, frames: list[bytes], except_socket_id: str | None, except_node: PeersHandler) -> None:
        """Deliver several frames, as :meth:`deliver` does each."""
        for node in self.shares:
            if node is not except_node:
                node.deliver_events(self.app_id, self.name, frames, except_socket_id)

    def deliver_kept(self, frame: bytes, except_socket_id: str | None) -> None:
        """Deliver an event of the history. Who still reads the history gets the event there."""
        for node in self.shares:
            node.deliver_event(self.app_id, self.name, frame, except_socket_id, True)

    def enter(self, member: Member) -> None:
        """Add a member of this or another host, and tell the subscribers if the member is new to them."""
        if self.members is not None and member.id not in self.members:
            self.members.enter(member)
            frame = messages.member_added(self.name, member.id_json, member.info_json)
            self._notify(MemberNotice(member.id, True, frame))

    def renew(self, member: Member) -> None:
        """Take the new info of a member who is back within the grace, without a notice to clients."""
        if self.members is not None and member.id in self.members:
            self.members.renew(member)

    def leave(self, user_id: str) -> None:
        """Remove a member, and tell the subscribers; ignored for a user with connections on this host."""
        if self.members is not None and user_id in self.members and user_id not in self.own_members:
            member = self.members.leave(user_id)
            if member is not None:
                self._notify(MemberNotice(user_id, False, messages.member_removed(self.name, member.id_json)))

    def _notify(self, notice: MemberNotice) -> None:
        """Tell the nodes of this host of a member; where members are many, notices are gathered."""
        if self.members is not None and len(self.members) > GATHERED_ABOVE:
            for node in self.shares:
                node.deliver_notice(self.app_id, self.name, notice)
        else:
            self.deliver(notice.frame)

    def replacing_members(self, members: Iterable[Member]) -> Iterator[None]:
        """Take all members from Redis, and tell the subscribers of the differences; one member with each step."""
        if self.members is None:
            return
        present: dict[str, Member] = {}
        for member in members:
            present[member.id] = member
            yield
        for user_id in [id for id in self.members if id not in present]:
            self.leave(user_id)
            yield
        for member in present.values():
            self.renew(member)
            self.enter(member)
            yield

    def is_full_for(self, user_id: str, max_members: int) -> bool:
        """Return whether the channel has no room for a user, as far as was heard."""
        return self.members is not None and user_id not in self.members and len(self.members) >= max_members

    # Subscriptions of this host

    def add(self, node: PeersHandler, user_id: str | None) -> None:
        """Count a subscription."""
        share = self.shares.get(node)
        if share is None:
            share = self.shares[node] = Share()
        share.count += 1
        self.count += 1
        if user_id is not None:
            share.users[user_id] = share.users.get(user_id, 0) + 1

    def remove(self, node: PeersHandler, user_id: str | None) -> bool:
        """Stop counting a subscription; return whether it had been counted."""
        share = self.shares.get(node)
        if share is None:
            return False
        share.count -= 1
        self.count -= 1
        if user_id is not None:
            share.users[user_id] -= 1
            if not share.users[user_id]:
                del share.users[user_id]
        if not share.count:
            del self.shares[node]
        return True

    def count_member(self, newcomer: Member) -> None:
        """Count one more connection of a member on this host, present or about to be."""
        member, times = self.own_members.get(newcomer.id, (newcomer, 0))
        if not times:
            self.occupancy.members += 1
        self.own_members[newcomer.id] = (member, times + 1)

    def uncount_member(self, user_id: str) -> bool:
        """Count one connection of a member less; return whether it was the last on this host."""
        member, times = self.own_members[user_id]
        if times > 1:
            self.own_members[user_id] = (member, times - 1)
            return False
        del self.own_members[user_id]
        self.occupancy.members -= 1
        return True
