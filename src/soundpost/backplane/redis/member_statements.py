"""Statements of channels with very many members, made in parts: 10,000 members in one command stop the loop for 20 ms.

Redis has the users of the node that this host was before until all of this node are stated, so no member is gone in
between. What is asked of Redis meanwhile follows behind the first part, which states that this host has the channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final

from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.counts import ReportChanges
from soundpost.backplane.redis.message_fields import member_blob
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.subscription_scripts import LEAVE_SOME, SILENTLY, SYNC, SYNC_MEMBERS, SYNC_REST
from soundpost.core.slices import TurnBudget

MEMBERS_AT_ONCE: Final = 200
"""Largest number of members that one command states: some 0.3 ms of this host and of Redis."""


class MemberStatements:
    """States channels with their members, some members in each loop turn where there are very many."""

    def __init__(self, redis: Redis, turns: TurnBudget, report_changes: ReportChanges) -> None:
        self._redis = redis
        self._turns = turns
        self._report_changes = report_changes
        self._left: dict[SharedChannel, dict[str, None]] = {}
        """Users who are not stated yet, of the channels that are being stated in parts."""

    def sync(self, channel: SharedChannel, user_ids: Iterable[str], announce: str, then: Callable[[Any], None]) -> None:
        """State a channel with some of its members; ``then`` gets the answer of ``SYNC``, or a ConnectionError.

        ``announce`` is the script's argument ANNOUNCE. Presence channels, which alone have members, announce no count.
        """
        left, node, former = dict.fromkeys(user_ids), self._redis.node, self._redis.former_node

        def is_under_way() -> bool:
            """Return whether the rest may follow: else the channel is closed, or Redis is back and told anew."""
            return self._redis.node == node and channel.is_wanted

        def go_on(answer: Any) -> None:
            """Remove the former node's users, some with each answer of Redis, then read the channel."""
            if not isinstance(answer, list) or not is_under_way():
                then(ConnectionError("the channel is not stated any more"))
                return
            number, changes = answer
            self._stated(channel.app_id, changes)
            if number == MEMBERS_AT_ONCE:
                some = (former, channel.name, MEMBERS_AT_ONCE)
                self._redis.run(LEAVE_SOME, channel.bucket, *some, then=go_on)
            else:
                stated = (channel.name, channel.stated_count, former)
                self._redis.run(SYNC_REST, channel.bucket, SILENTLY, *stated, then=then)

        def synced(answer: Any) -> None:
            """Hand the answer on, unless the former node has so many users that they leave one part after the other."""
            has_more = isinstance(answer, list) and len(answer) == 2
            (go_on if has_more else then)(answer)

        if len(left) <= MEMBERS_AT_ONCE:
            self._left.pop(channel, None)
            stated = (channel.name, channel.stated_count, former, MEMBERS_AT_ONCE)
            self._redis.run(SYNC, channel.bucket, announce, *stated, *_blobs(channel, left), then=synced)
            return
        self._left[channel] = left

        def parts() -> Iterator[list[str]]:
            while left and is_under_way():
                yield [*islice(left, MEMBERS_AT_ONCE)]

        def end() -> None:
            if self._left.get(channel) is left:
                del self._left[channel]
            go_on([MEMBERS_AT_ONCE if former else 0, []])

        state = partial(self._state, channel, left)
        state([*islice(left, MEMBERS_AT_ONCE)])
        self._turns.each(parts(), state, then=end)

    def ensure_stated(self, channel: SharedChannel, user_id: str) -> None:
        """State a member if that is still due, so that later commands about the member follow the statement."""
        left = self._left.get(channel)
        if left is not None and user_id in left:
            self._state(channel, left, [user_id])

    def _state(self, channel: SharedChannel, left: dict[str, None], user_ids: list[str]) -> None:
        for user_id in user_ids:
            del left[user_id]
        arguments = (channel.name, channel.stated_count, *_blobs(channel, user_ids))
        stated = partial(self._stated, channel.app_id)
        self._redis.run(SYNC_MEMBERS, channel.bucket, SILENTLY, *arguments, then=stated)

    def _stated(self, app_id: str, answer: Any) -> None:
        if isinstance(answer, list):
            self._report_changes(app_id, answer)


def _blobs(channel: SharedChannel, user_ids: Iterable[str]) -> list[str | bytes]:
    """Return users with their members as Redis keeps them; without those who have left meanwhile."""
    found: list[str | bytes] = []
    for user_id in user_ids:
        known = channel.own_members.get(user_id)
        if known is not None:
            found += [user_id, member_blob(known[0])]
    return found
