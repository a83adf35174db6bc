"""Members of this host who stay after their connection was lost: in Redis, or on this host while Redis is away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.counts import ReportChanges
from soundpost.backplane.redis.grace_scripts import END_GRACE, LINGER
from soundpost.core.slices import in_slices

if TYPE_CHECKING:
    from soundpost.backplane.redis.app_entry import AppEntry
    from soundpost.backplane.redis.redis import Redis
    from soundpost.core.member import Member


class Lingering:
    """Begins graces of this host's members, and ends those of users whose connections are closed by the application.

    ``leave`` stops counting one connection of a member on this host. ``ensure_stated`` states a channel, and a member
    of it, to Redis unless they are stated already, and returns False if Redis cannot be told now. ``call_later`` is the
    loop's.
    """

    def __init__(
        self,
        redis: Redis,
        leave: Callable[[SharedChannel, str], None],
        ensure_stated: Callable[[SharedChannel, str], bool],
        report_changes: ReportChanges,
        call_later: Callable[..., object],
    ) -> None:
        self._redis = redis
        self._leave = leave
        self._ensure_stated = ensure_stated
        self._report_changes = report_changes
        self._call_later = call_later

    def begin(self, channel: SharedChannel, user_id: str, seconds: float) -> None:
        """Let a user stay for some seconds after one of its connections on this host was lost."""
        is_stated = self._ensure_stated(channel, user_id)
        member, times = channel.own_members[user_id]
        channel.uncount_member(user_id)
        milliseconds, is_last = int(seconds * 1000), int(times == 1)
        begun = partial(self._begun, channel, member, seconds)
        if not is_stated:
            begun(None)
            return
        self._redis.run(LINGER, channel.bucket, channel.name, user_id, milliseconds, is_last, then=begun)
        self._redis.graces.note(channel.bucket, seconds)

    def _begun(self, channel: SharedChannel, member: Member, seconds: float, answer: Any) -> None:
        if not isinstance(answer, list):
            # Redis is away. This host counts the connection on until the grace is over, and states so to Redis later.
            channel.count_member(member)
            self._call_later(seconds, partial(self._leave, channel, member.id))

    def end_of_user(self, entry: AppEntry, user_id: str) -> None:
        """End the graces of a user on the channels that have subscribers on this host; on very many in slices."""

        def end(channel: SharedChannel) -> None:
            if channel.members is not None and user_id in channel.members:
                ended = partial(self._ended, channel.app_id)
                self._redis.run(END_GRACE, channel.bucket, channel.name, user_id, then=ended)

        if self._redis.up:
            in_slices(entry.channels.each_value(), end, partial(self._call_later, 0))

    def _ended(self, app_id: str, answer: Any) -> None:
        if isinstance(answer, list):
            self._report_changes(app_id, answer[2])
