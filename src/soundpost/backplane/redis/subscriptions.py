"""Subscriptions of this host's nodes, and the members of presence channels that come and go with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from itertools import repeat
from typing import Any

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.channels import Channels
from soundpost.backplane.redis.counts import Counts, ReportChanges
from soundpost.backplane.redis.history_answers import HistoryAnswers, begin_after
from soundpost.backplane.redis.lingering import Lingering
from soundpost.backplane.redis.message_fields import member_blob
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.subscription_scripts import ENTER, LEAVE
from soundpost.backplane.redis.webhook_reports import WebhookReports
from soundpost.core.history import HistoryRequest
from soundpost.core.member import Member
from soundpost.core.peers import ChannelSnapshot, PeersHandler
from soundpost.core.presence_grace import RECONNECT_GRACE
from soundpost.core.slices import in_slices


class Subscriptions:
    """The subscriptions of the nodes of this host, counted here and stated to Redis."""

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        nodes: Container[PeersHandler],
        redis: Redis,
        channels: Channels,
        counts: Counts,
        history_answers: HistoryAnswers,
        reports: WebhookReports,
        report_changes: ReportChanges,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._apps = apps
        self._nodes = nodes
        self._redis = redis
        self._channels = channels
        self._counts = counts
        self._history_answers = history_answers
        self._reports = reports
        self._report_changes = report_changes
        self._clock, self._call_soon = loop.time, loop.call_soon
        self.lingering = Lingering(redis, self._uncount_held, channels.ensure_stated, report_changes, loop.call_later)
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
        """Count a subscription, once other hosts' events for the channel come here. Answer None: channel full."""
        entry = self._apps[app_id]
        known = entry.channels.of(name)
        if known is not None:
            self._channels.ensure_stated(known)  # without the newcomer, for whom there may be no room
        channel = known or self._channels.open(entry, name)
        if newcomer is not None:
            channel.count_member(newcomer)
        if channel.waiting is None:
            self._join(node, entry, channel, newcomer, then, history, socket_id)
            return
        join = partial(self._join, node, entry, channel, newcomer, then, history, socket_id)
        channel.waiting.append((None if newcomer is None else newcomer.id, join))
        if not self._redis.up:
            self._channels.resume(channel)
        elif known is None and not self._redis.is_connecting:  # else it is asked for when all channels are
            self._channels.sync(channel, begin_after(history))

    def _join(
        self,
        node: PeersHandler,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
        socket_id: str | None,
    ) -> None:
        if newcomer is None or (
            channel.own_members[newcomer.id][1] > 1 and channel.members is not None and newcomer.id in channel.members
        ):
            self._joined(node, channel, newcomer, then, history)
            return
        report = None if self._redis.up else partial(self._reports.added, entry, channel.name, newcomer, socket_id)
        entered = partial(self._entered, node, entry, channel, newcomer, then, history, report)
        if self._channels.ensure_stated(channel):
            limit = entry.app.max_presence_members
            blob = member_blob(newcomer)
            arguments = (channel.name, newcomer.id, blob, limit, socket_id or "")
            again = partial(self._join, node, entry, channel, newcomer, then, history, socket_id)
            answered = partial(self._answered, self._redis.node, entered, again)
            self._redis.run(ENTER, channel.bucket, *arguments, then=answered)
        else:
            entered(None)

    def _answered(
        self, asked_as: bytes, entered: Callable[[Any], None], again: Callable[[], None], answer: Any
    ) -> None:
        """Go on with a join that Redis has answered; if it was lost meanwhile, with some joins in each loop turn."""

        def go_on() -> None:
            if self._redis.up and self._redis.node != asked_as:  # it is back
                again()
            else:
                entered(None)

        if isinstance(answer, list):
            entered(answer)
        else:
            self._channels.turns.do(go_on)

    def _entered(
        self,
        node: PeersHandler,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
        report: Callable[[], None] | None,
        answer: Any,
    ) -> None:
        if isinstance(answer, list):
            is_full = answer[0] is None
            self._report_changes(entry.app.id, answer[2])
            if not is_full:
                apply = channel.renew if answer[3] else channel.enter
                self._channels.apply_change(channel, int(answer[1]), partial(apply, newcomer))
        else:  # without Redis there is only this host's list
            is_full = channel.is_full_for(newcomer.id, entry.app.max_presence_members)
        if is_full:
            channel.uncount_member(newcomer.id)
            then(None)
            self._channels.close_if_empty(entry, channel)
            return
        channel.enter(newcomer)
        self._joined(node, channel, newcomer, then, history)
        if report is not None:
            report()

    def _joined(
        self,
        node: PeersHandler,
        channel: SharedChannel,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
    ) -> None:
        user_id = None if newcomer is None else newcomer.id
        channel.add(node, user_id)
        self._counts.subscriptions_changed(channel)
        if channel.count == 1 and not channel.is_stated:
            self._reports.occupied(self._apps[channel.app_id], channel.name)
        if node in self._nodes:
            self._history_answers.snapshot(self._apps[channel.app_id], channel, history, self._clock, then)
        else:  # the node died meanwhile
            channel.remove(node, user_id)
            self._uncount(self._apps[channel.app_id], channel, user_id, RECONNECT_GRACE)

    def snapshot(
        self, app_id: str, name: str, then: Callable[[ChannelSnapshot], None], history: HistoryRequest | None = None
    ) -> None:
        """Read the state that a subscriber of the channel is sent."""
        entry = self._apps[app_id]
        channel = entry.channels.of(name)
        if channel is None:
            then(ChannelSnapshot(None, None))
        else:
            self._channels.ensure_stated(channel)
            self._history_answers.snapshot(entry, channel, history, self._clock, then)

    def leave(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        user_id: str | None,
        linger: float = 0,
        socket_id: str | None = None,
    ) -> None:
        """Stop counting a subscription; Redis tells the other subscribers of a member who left."""
        entry = self._apps[app_id]
        channel = entry.channels.of(name)
        if channel is not None and channel.remove(node, user_id):
            self._uncount(entry, channel, user_id, linger, socket_id)

    def remove_node(self, node: PeersHandler, then: Callable[[], None]) -> None:
        """End all subscriptions of a node that is gone, some in each loop turn; ``then`` is called at the end."""

        def subscriptions() -> Iterator[tuple[AppEntry, SharedChannel, str | None]]:
            for channel in self._channels.opened:
                entry, share = self._apps[channel.app_id], channel.shares.get(node)
                if share is None:
                    yield entry, channel, None
                    continue
                users = [user_id for user_id, times in share.users.items() for _ in range(times)]
                for user_id in users or repeat(None, share.count):
                    yield entry, channel, user_id

        def leave(found: tuple[AppEntry, SharedChannel, str | None]) -> None:
            entry, channel, user_id = found
            if channel.remove(node, user_id):
                self._uncount(entry, channel, user_id, RECONNECT_GRACE)

        in_slices(subscriptions(), leave, self._call_soon, then=then, clock=self._channels.turn_clock)

    def _uncount_held(self, channel: SharedChannel, user_id: str) -> None:
        self._uncount(self._apps[channel.app_id], channel, user_id)

    def _uncount(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        user_id: str | None,
        linger: float = 0,
        socket_id: str | None = None,
    ) -> None:
        self._counts.subscriptions_changed(channel)
        self._channels.ensure_stated(channel)
        if user_id is not None and linger:
            self.lingering.begin(channel, user_id, linger)
        elif user_id is not None and channel.uncount_member(user_id):
            gone = partial(self._member_left, entry, channel, user_id)
            self._redis.run(LEAVE, channel.bucket, channel.name, user_id, socket_id or "", then=gone)
        self._channels.close_if_empty(entry, channel)

    def _member_left(self, entry: AppEntry, channel: SharedChannel, user_id: str, answer: Any) -> None:
        if not isinstance(answer, list):
            channel.leave(user_id)  # Redis will tell later if the user is on another host
            return
        if answer[2]:
            self._report_changes(entry.app.id, answer[2])
            self._channels.apply_change(channel, int(answer[1]), partial(channel.leave, user_id))
