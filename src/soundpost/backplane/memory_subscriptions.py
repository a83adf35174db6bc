"""Subscriptions of all nodes of a host that is alone, with the members and counts that come and go with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from soundpost.backplane.history_store import HistoryStore
from soundpost.backplane.lingering_members import Graces
from soundpost.backplane.memory_channels import AppEntry, ChannelEntry, Share
from soundpost.backplane.registry import COUNT_AT_ONCE
from soundpost.core import webhook_records
from soundpost.core.gathered_notices import GATHERED_ABOVE, MemberNotice
from soundpost.core.history import HistoryRequest
from soundpost.core.member import Member
from soundpost.core.observer_events import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    SubscriptionCountChanged,
)
from soundpost.core.outbox import CallLater, CallSoon
from soundpost.core.peers import ChannelSnapshot, PeersHandler
from soundpost.core.presence_grace import RECONNECT_GRACE, ends_finally
from soundpost.core.slices import TurnBudget, in_slices
from soundpost.core.webhooks import WebhookEvent
from soundpost.wire import messages
from soundpost.wire.channel_names import kind_of

_NOTHING: Final = ChannelSnapshot(None, None)
_USERS_AT_ONCE: Final = 100
"""Number of members of one channel who leave in one step after the end of their node: some 0.5 ms."""


class MemorySubscriptions:
    """The subscriptions of the nodes, counted one after the other.

    ``report`` takes the events for an app's webhooks, ``clock`` is in seconds, ``call_soon`` and ``call_later`` are the
    loop's.
    """

    def __init__(
        self,
        apps: dict[str, AppEntry],
        nodes: dict[PeersHandler, None],
        history: HistoryStore,
        report: Callable[[str, WebhookEvent], None],
        clock: Callable[[], float],
        call_soon: CallSoon,
        call_later: CallLater,
    ) -> None:
        self._apps = apps
        self._nodes = nodes
        self._history = history
        self._report = report
        self._call_soon = call_soon
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self._long_lists = TurnBudget(call_soon, lambda: self.turn_clock())
        self.graces = Graces(apps, clock, call_soon, call_later, self._uncount_lingering)
        """The members who stay after their connection was lost."""

    def join(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None = None,
        socket_id: str | None = None,
    ) -> None:
        """Count a subscription and tell the other subscribers of a new member. Answer None: the channel is full.

        Subscriptions to presence channels with very many members have some milliseconds of each loop turn: 10,000
        members are a list of 700 kB, and very many clients may come at once.
        """
        known = self._apps[app_id].channels.get(name)
        if known is None or known.members is None or len(known.members) <= GATHERED_ABOVE:
            self._join(node, app_id, name, newcomer, then, history, socket_id)
            return

        def join_later() -> None:
            if node in self._nodes:  # else it died while the subscription waited
                self._join(node, app_id, name, newcomer, then, history, socket_id)

        self._long_lists.do(join_later)

    def _join(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
        socket_id: str | None,
    ) -> None:
        entry = self._apps[app_id]
        channel = entry.channel(name)
        members = channel.members
        if newcomer is not None and channel.is_full_for(newcomer.id, entry.app.max_presence_members):
            then(None)
            return
        if not channel.count:
            entry.channels[name] = channel
            entry.occupancy.occupied(name)
            if node.has_observers:
                node.observe(ChannelOccupied(app_id, name))
            if "channel_occupied" in entry.reports:
                self._report(app_id, webhook_records.channel_event("channel_occupied", name))
        if members is not None and newcomer is not None:
            if members.enter(newcomer):
                entry.occupancy.members += 1
                frame = messages.member_added(name, newcomer.id_json, newcomer.info_json)
                self._notify(app_id, channel, MemberNotice(newcomer.id, True, frame))
                node.observe(MemberAdded(app_id, name, newcomer.id))
                if entry.reports:
                    self._report_member(entry, "member_added", channel, newcomer, socket_id)
            else:
                entry.lingering.take_back(channel, newcomer)
        share = channel.share_of(node)
        if share is None:
            share = Share(node, has_users=members is not None)
            channel.shares += (share,)
        if newcomer is not None:
            share.users[newcomer.id] = share.users.get(newcomer.id, 0) + 1
        share.count += 1
        channel.count += 1
        then(self._snapshot(entry, channel, history))
        if entry.app.subscription_count:
            self._count_changed(entry, channel, node)

    def snapshot(
        self, app_id: str, name: str, then: Callable[[ChannelSnapshot], None], history: HistoryRequest | None = None
    ) -> None:
        """Read the state that a subscriber of the channel is sent."""
        entry = self._apps[app_id]
        channel = entry.channel(name)
        if channel.members is None or len(channel.members) <= GATHERED_ABOVE:
            then(self._snapshot(entry, channel, history))
        else:
            self._long_lists.do(lambda: then(self._snapshot(entry, entry.channel(name), history)))

    def leave(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        user_id: str | None,
        linger: float = 0,
        socket_id: str | None = None,
    ) -> None:
        """Stop counting a subscription and tell the other subscribers of a member who left."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name)
        if (
            channel is not None
            and channel.members is not None
            and len(channel.members) > GATHERED_ABOVE
            and self._long_lists.is_behind
        ):  # a subscription of the same user may wait there, from before
            self._long_lists.do(partial(self._leave_by_name, node, app_id, name, user_id, linger, socket_id))
        else:
            self._leave(node, entry, channel, user_id, linger, socket_id)

    def _leave_by_name(
        self, node: PeersHandler, app_id: str, name: str, user_id: str | None, linger: float, socket_id: str | None
    ) -> None:
        entry = self._apps[app_id]
        self._leave(node, entry, entry.channels.get(name), user_id, linger, socket_id)

    def _leave(
        self,
        node: PeersHandler,
        entry: AppEntry,
        channel: ChannelEntry | None,
        user_id: str | None,
        linger: float,
        socket_id: str | None,
    ) -> None:
        share = None if channel is None else channel.share_of(node)
        if channel is None or share is None:
            return
        if user_id is not None:
            share.users[user_id] -= 1
            if not share.users[user_id]:
                del share.users[user_id]
        share.count -= 1
        if not share.count:
            channel.drop(share)
        users = {} if user_id is None else {user_id: 1}
        if linger and users:
            self.graces.begin(entry, channel, users, linger)
        self._uncount(entry, channel, users, 1, node, socket_id)

    def remove_node(self, node: PeersHandler, then: Callable[[], None]) -> None:
        """End all subscriptions of a node that is gone, over several loop turns; ``then`` is called at the end.

        Its members have a grace. Another node reports the changes.
        """

        def shares() -> Iterator[tuple[AppEntry, ChannelEntry, dict[str, int], int]]:
            for entry in list(self._apps.values()):
                for channel in list(entry.channels.values()):
                    share = channel.share_of(node)
                    if share is None:
                        yield entry, channel, {}, 0
                        continue
                    channel.drop(share)
                    if not share.users:
                        yield entry, channel, {}, share.count
                    users = iter(share.users.items())
                    while part := dict(islice(users, _USERS_AT_ONCE)):
                        yield entry, channel, part, sum(part.values())

        def leave(found: tuple[AppEntry, ChannelEntry, dict[str, int], int]) -> None:
            entry, channel, users, count = found
            if users:
                self.graces.begin(entry, channel, users, RECONNECT_GRACE)
            if count:
                self._uncount(entry, channel, users, count, self._reporter())

        in_slices(shares(), leave, self._call_soon, then=then, clock=self.turn_clock)

    def _reporter(self) -> PeersHandler | None:
        """Return a node that reports changes for which no node is responsible."""
        return next((node for node in self._nodes if node.has_observers), None)

    def _uncount_lingering(self, entry: AppEntry, channel: ChannelEntry, user_id: str, in_time: bool) -> None:
        is_final = in_time and ends_finally(entry.app.presence_grace)
        self._uncount_members(entry, channel, {user_id: 1}, self._reporter(), is_final=is_final)

    def _uncount(
        self,
        entry: AppEntry,
        channel: ChannelEntry,
        users: dict[str, int],
        count: int,
        reporter: PeersHandler | None,
        socket_id: str | None = None,
    ) -> None:
        app_id = entry.app.id
        channel.count -= count
        if users:
            self._uncount_members(entry, channel, users, reporter, socket_id)
        if not channel.count:
            del entry.channels[channel.name]
            entry.occupancy.vacated(channel.name)
            entry.counts_due.discard(channel)
            if reporter is not None and reporter.has_observers:
                reporter.observe(ChannelVacated(app_id, channel.name))
            if "channel_vacated" in entry.reports:
                self._report(app_id, webhook_records.channel_event("channel_vacated", channel.name))
        elif entry.app.subscription_count:
            self._count_changed(entry, channel, reporter)

    def _uncount_members(
        self,
        entry: AppEntry,
        channel: ChannelEntry,
        users: dict[str, int],
        reporter: PeersHandler | None,
        socket_id: str | None = None,
        is_final: bool = False,
    ) -> None:
        app_id, members = entry.app.id, channel.members
        if members is None:
            return
        for user_id, connections in users.items():
            member = members.leave(user_id, connections)
            if member is None:
                continue
            entry.occupancy.members -= 1
            frame = messages.member_removed(channel.name, member.id_json)
            self._notify(app_id, channel, MemberNotice(user_id, False, frame))
            if reporter is not None:
                reporter.observe(MemberRemoved(app_id, channel.name, user_id))
            if entry.reports:
                self._report_member(entry, "member_removed", channel, member, socket_id, is_final)

    def _report_member(
        self,
        entry: AppEntry,
        name: str,
        channel: ChannelEntry,
        member: Member,
        socket_id: str | None,
        is_final: bool = False,
    ) -> None:
        if name in entry.reports:
            event = webhook_records.member_event(
                name, channel.name, member.id, member.info_json, socket_id, is_final=is_final
            )
            self._report(entry.app.id, event)

    def _snapshot(self, entry: AppEntry, channel: ChannelEntry, history: HistoryRequest | None) -> ChannelSnapshot:
        cached = entry.cache.get(channel.name) if len(entry.cache) else None
        presence = None if channel.members is None else channel.members.as_json_string()
        if history is None or entry.history_rules.of(channel.name) is None:
            return _NOTHING if presence is None and cached is None else ChannelSnapshot(presence, cached)
        state = self._history.state(entry.app.id, channel.name, history, cached)
        return ChannelSnapshot(presence, cached, state)

    def _deliver(self, app_id: str, channel: ChannelEntry, frame: bytes) -> None:
        for share in channel.shares:
            share.node.deliver_event(app_id, channel.name, frame, None)

    def _notify(self, app_id: str, channel: ChannelEntry, notice: MemberNotice) -> None:
        """Tell a channel's subscribers of a member; where members are many, notices are gathered."""
        if channel.members is not None and len(channel.members) > GATHERED_ABOVE:
            for share in channel.shares:
                share.node.deliver_notice(app_id, channel.name, notice)
        else:
            self._deliver(app_id, channel, notice.frame)

    def _count_changed(self, entry: AppEntry, channel: ChannelEntry, reporter: PeersHandler | None) -> None:
        if not kind_of(channel.name).announces_count:
            return
        if channel.count > COUNT_AT_ONCE:
            entry.counts_due.add(channel)
        else:
            self._announce_count(entry, channel, reporter)

    def _announce_count(self, entry: AppEntry, channel: ChannelEntry, reporter: PeersHandler | None) -> None:
        self._deliver(entry.app.id, channel, messages.subscription_count(channel.name, channel.count))
        if reporter is not None:
            reporter.observe(SubscriptionCountChanged(entry.app.id, channel.name, channel.count))
        if "subscription_count" in entry.reports:
            self._report(entry.app.id, webhook_records.subscription_count(channel.name, channel.count))

    def announce_due(self) -> None:
        """Announce the counts of large channels that have changed."""
        for entry in self._apps.values():
            due, entry.counts_due = entry.counts_due, set()
            for channel in due:
                self._announce_count(entry, channel, channel.shares[0].node)
