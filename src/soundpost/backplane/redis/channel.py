"""A channel as this host knows it: its own subscribers, node by node, and what Redis says of everybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from soundpost.backplane.members import Members
from soundpost.core.member import Member
from soundpost.core.peers import ChannelSnapshot
from soundpost.wire import messages
from soundpost.wire.channel_names import kind_of

if TYPE_CHECKING:
    from soundpost.backplane.registry import NodeEnd


class Share:
    """What one node of this host has of a channel."""

    __slots__ = ("count", "users")

    def __init__(self) -> None:
        self.count = 0
        self.users: dict[str, int] = {}
        """Subscriptions of each user, on presence channels."""


class SharedChannel:
    """One channel that has subscribers here."""

    __slots__ = (
        "app_id",
        "bucket",
        "count",
        "last",
        "last_until",
        "members",
        "name",
        "own",
        "shares",
        "syncing",
        "topic",
        "version",
        "waiting",
    )

    def __init__(self, app_id: str, name: str, bucket: bytes, topic: bytes) -> None:
        self.app_id = app_id
        self.name = name
        self.bucket = bucket
        self.topic = topic
        self.shares: dict[NodeEnd, Share] = {}
        self.count = 0
        """Subscriptions here."""
        self.own: dict[str, tuple[Member, int]] = {}
        """Users that are present here, and how often; those whose join is under way are counted."""
        self.members = Members() if kind_of(name).is_presence else None
        """Users present anywhere, as far as was heard."""
        self.version = 0
        """Of members and last event, as last heard."""
        self.last: bytes | None = None
        """The last event's frame, on cache channels."""
        self.last_until = 0.0
        self.syncing = True
        """What Redis has is being asked for: messages that come before the answer are part of it."""
        self.waiting: list[Callable[[], None]] | None = []
        """Joins that wait for the first answer; None once it has come."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody here is subscribed, or will be."""
        return bool(self.count or self.own or self.waiting)

    @property
    def stated_count(self) -> int:
        """What Redis is told: 0 takes all users with it, so not while the first join is still under way."""
        return self.count or int(self.is_wanted)

    def keep(self, frame: bytes, until: float) -> None:
        """Remember the last event, up to a time."""
        self.last, self.last_until = frame, until

    def forget(self) -> None:
        """The last event is kept no longer."""
        self.last, self.last_until = None, 0.0

    def last_at(self, now: float) -> bytes | None:
        """The last event's frame, unless it expired."""
        return self.last if now < self.last_until else None

    def snapshot(self, now: float) -> ChannelSnapshot:
        """What a subscriber is told."""
        return ChannelSnapshot(None if self.members is None else self.members.as_json_string(), self.last_at(now))

    def deliver(self, frame: bytes, except_socket_id: str | None = None, except_node: NodeEnd | None = None) -> None:
        """Hand a frame to the nodes of this host, but one."""
        for node in self.shares:
            if node is not except_node:
                node.deliver_event(self.app_id, self.name, frame, except_socket_id)

    def enter(self, member: Member) -> None:
        """Somebody is present, here or elsewhere: tell the subscribers if they do not know."""
        if self.members is not None and member.id not in self.members:
            self.members.enter(member)
            self.deliver(messages.member_added(self.name, member.id_json, member.info_json))

    def leave(self, user_id: str) -> None:
        """Somebody is present nowhere any more, or so it is said: those who are here know better."""
        if self.members is not None and user_id in self.members and user_id not in self.own:
            member = self.members.leave(user_id)
            if member is not None:
                self.deliver(messages.member_removed(self.name, member.id_json))

    def take_members(self, members: list[Member]) -> None:
        """Everybody who is present, as Redis has it: tell the subscribers of the difference."""
        if self.members is None:
            return
        present = {member.id for member in members}
        for user_id in [id for id in self.members if id not in present]:
            self.leave(user_id)
        for member in members:
            self.enter(member)

    def is_full_for(self, user_id: str, max_members: int) -> bool:
        """Whether there is no room for a user, as far as was heard."""
        return self.members is not None and user_id not in self.members and len(self.members) >= max_members

    # Subscriptions of this host

    def add(self, node: NodeEnd, user_id: str | None) -> None:
        """Count a subscription."""
        share = self.shares.get(node)
        if share is None:
            share = self.shares[node] = Share()
        share.count += 1
        self.count += 1
        if user_id is not None:
            share.users[user_id] = share.users.get(user_id, 0) + 1

    def remove(self, node: NodeEnd, user_id: str | None) -> bool:
        """A subscription is no more; whether it was counted."""
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

    def claim(self, newcomer: Member) -> None:
        """One more connection of a user wants to be present here, or is."""
        member, times = self.own.get(newcomer.id, (newcomer, 0))
        self.own[newcomer.id] = (member, times + 1)

    def waive(self, user_id: str) -> bool:
        """One less; whether it was the last."""
        member, times = self.own[user_id]
        if times > 1:
            self.own[user_id] = (member, times - 1)
            return False
        del self.own[user_id]
        return True
