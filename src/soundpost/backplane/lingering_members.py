"""Members of presence channels whose connection is gone, and who stay for the seconds of their grace.

A member who lingers counts as one more connection of its user, so that lists, limits and answers need no rule of their
own. A user who joins again takes that place, and nobody is told. When the grace is over the member leaves as a
connection would. It is not a subscription: it does not keep its channel occupied.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from soundpost.backplane.deadlines import Deadlines
from soundpost.core.member import Member
from soundpost.core.outbox import CallLater, CallSoon
from soundpost.core.slices import in_slices

if TYPE_CHECKING:
    from soundpost.backplane.memory_channels import AppEntry, ChannelEntry

log = logging.getLogger("soundpost.server")

_AT_ONCE: Final = 200
"""Number of members who leave in one loop turn: some 2 ms."""


class LingeringMembers:
    """The members of one app who linger. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.channels: dict[str, ChannelEntry] = {}
        """Channels with lingering members, by name."""
        self._ends: Deadlines[tuple[str, str]] = Deadlines()  # ends of graces, by channel name and user id
        self._numbers: dict[str, int] = {}  # number of members who linger, by channel name
        self._names: dict[str, set[str]] = {}  # names of the channels on which a user lingers, by user id

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[tuple[ChannelEntry, str, float]]:
        for (name, user_id), until in self._ends.items():
            yield self.channels[name], user_id, until

    @property
    def next_end(self) -> float | None:
        """A time before which no grace is over; None if nobody lingers."""
        first = self._ends.first()
        return None if first is None else first[0]

    def add(self, channel: ChannelEntry, user_id: str, seconds: float) -> bool:
        """Let a member stay for some seconds at least; return whether it has not lingered before."""
        until, key = self._clock() + seconds, (channel.name, user_id)
        before = self._ends.get(key)
        if before is None or before < until:
            self._ends.set(key, until)
        if before is None:
            self.channels[channel.name] = channel
            self._numbers[channel.name] = self._numbers.get(channel.name, 0) + 1
            self._names.setdefault(user_id, set()).add(channel.name)
        return before is None

    def take_back(self, channel: ChannelEntry, newcomer: Member) -> None:
        """Have a member who has just joined take the place in which it lingers, if it does, with its new info."""
        if self._ends.get((channel.name, newcomer.id)) is not None and channel.members is not None:
            self._forget(channel.name, newcomer.id)
            channel.members.leave(newcomer.id)
            channel.members.renew(newcomer)

    def pop_due(self) -> tuple[ChannelEntry, str] | None:
        """Remove and return a member whose grace is over; None if there is none."""
        key = self._ends.pop_due(self._clock())
        return None if key is None else (self._forget(*key), key[1])

    def pop(self, name: str, user_id: str) -> ChannelEntry | None:
        """Remove a lingering user from a channel, and return the channel; None if the user does not linger there."""
        return None if self._ends.get((name, user_id)) is None else self._forget(name, user_id)

    def names_of(self, user_id: str) -> list[str]:
        """Return the names of the channels on which a user lingers."""
        return list(self._names.get(user_id, ()))

    def keys(self) -> list[tuple[str, str]]:
        """Return the channel's name and the user's id of all who linger."""
        return [key for key, _ in self._ends.items()]

    def _forget(self, name: str, user_id: str) -> ChannelEntry:
        self._ends.discard((name, user_id))
        names = self._names[user_id]
        names.remove(name)
        if not names:
            del self._names[user_id]
        self._numbers[name] -= 1
        if self._numbers[name]:
            return self.channels[name]
        del self._numbers[name]
        return self.channels.pop(name)


class LingeringMember(NamedTuple):
    """A member who lingers, as the next process takes it over in a restart."""

    app_id: str
    channel: str
    user_id: str | int
    """Id as the application wrote it."""
    info: bytes
    """``user_info`` as JSON."""
    seconds: float
    """Seconds until the grace is over."""


class Graces:
    """The graces of all apps of a registry: begins them, and ends them in time.

    ``call_soon`` and ``call_later`` are the loop's; ``leave`` removes a member who lingered from its channel,
    and is told whether its grace is over.
    """

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        clock: Callable[[], float],
        call_soon: CallSoon,
        call_later: CallLater,
        leave: Callable[[AppEntry, ChannelEntry, str, bool], None],
    ) -> None:
        self._apps = apps
        self._clock = clock
        self._call_soon = call_soon
        self._call_later = call_later
        self._leave = leave
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self._timer: float | None = None  # time for which the earliest timer is set

    def begin(self, entry: AppEntry, channel: ChannelEntry, users: dict[str, int], seconds: float) -> None:
        """Keep one connection of each user, who are about to leave with so many, for as long as the user lingers."""
        for user_id in users:
            if entry.lingering.add(channel, user_id, seconds):
                users[user_id] -= 1
        self._set_timer(entry.lingering.next_end)

    def end_due(self) -> None:
        """End the graces that are over, some in each loop turn."""
        left = _AT_ONCE
        for entry in list(self._apps.values()):
            while left and (due := entry.lingering.pop_due()) is not None:
                self._leave(entry, *due, True)
                left -= 1
        if left:
            ends = [end for entry in self._apps.values() if (end := entry.lingering.next_end) is not None]
            self._set_timer(min(ends, default=None))
        else:
            self._call_soon(self.end_due)

    def end_of_user(self, app_id: str, user_id: str) -> None:
        """End the graces of a user, over several loop turns if the user lingers on very many channels."""
        lingering = self._apps[app_id].lingering
        self._end(app_id, [(name, user_id) for name in lingering.names_of(user_id)])

    def end_of_gone_apps(self, served: set[str]) -> None:
        """End all graces of apps that are not served, in several loop turns."""
        for app_id, entry in self._apps.items():
            if app_id not in served:
                self._end(app_id, entry.lingering.keys())

    def _end(self, app_id: str, keys: list[tuple[str, str]]) -> None:
        """End graces before their time."""
        entry = self._apps[app_id]

        def end(key: tuple[str, str]) -> None:
            channel = entry.lingering.pop(*key)
            if channel is not None:
                self._leave(entry, channel, key[1], False)

        in_slices(keys, end, self._call_soon, clock=self.turn_clock)

    def members(self) -> Iterator[tuple[str, tuple[str, str, str]]]:
        """Yield the app's id of each who lingers, and its :attr:`soundpost.core.webhooks.WebhookEvent.state`."""
        for app_id, entry in self._apps.items():
            for channel, user_id, _ in entry.lingering:
                yield app_id, ("member_added", channel.name, user_id)

    def as_bytes(self, since: float) -> bytes:
        """Return all members who linger for :meth:`take_over`.

        ``since`` is the time of the clock from which nobody could come back: what has passed since is not counted.
        """
        return msgspec.msgpack.encode(
            [
                LingeringMember(
                    app_id, channel.name, channel.members[user_id].user_id, channel.members[user_id].info_json, end
                )
                for app_id, entry in self._apps.items()
                for channel, user_id, until in entry.lingering
                if channel.members is not None and (end := until - since) > 0
            ]
        )

    def take_over(self, data: bytes) -> None:
        """Take over the lingering members of the process before the restart, except those of removed apps."""
        try:
            handed_over = msgspec.msgpack.decode(data, type=list[LingeringMember])
        except msgspec.DecodeError as error:
            log.warning("the members of the process before the restart cannot be read, they leave at once: %s", error)
            return
        for app_id, name, user_id, info, seconds in handed_over:
            entry = self._apps.get(app_id)
            channel = None if entry is None or not entry.app.enabled else entry.channel(name)
            if entry is not None and channel is not None and channel.members is not None:
                member = Member(user_id, info)
                entry.occupancy.members += channel.members.enter(member)
                entry.lingering.add(channel, member.id, seconds)
                self._set_timer(entry.lingering.next_end)

    def _set_timer(self, end: float | None) -> None:
        if end is not None and (self._timer is None or end < self._timer):
            self._timer = end
            self._call_later(max(0.0, end - self._clock()), partial(self._on_time, end))

    def _on_time(self, until: float) -> None:
        if self._timer == until:
            self._timer = None
            self.end_due()
