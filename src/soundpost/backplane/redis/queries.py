"""Answers to queries about all hosts, read from Redis in one go; while Redis is away, from this host's own state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from soundpost.backplane.attributes import channel_attributes, json_members
from soundpost.backplane.redis.buckets import all_buckets, app_bucket, bucket_of
from soundpost.backplane.redis.message_fields import member_of
from soundpost.backplane.slices import SLICE, json_in_slices
from soundpost.core.outbox import CallSoon
from soundpost.core.peers import ChannelQuery, ChannelsQuery, ConnectionsQuery, Query, UsersQuery
from soundpost.core.slices import in_parts, in_slices

if TYPE_CHECKING:
    from soundpost.backplane.redis.app_entry import AppEntry
    from soundpost.backplane.redis.redis import Redis

_ATTRIBUTES_AT_ONCE: Final = 60
"""Number of channels whose attributes are read in one loop turn, with four commands each: some 1 ms."""
Answered = Callable[[Any], None]
"""Callback that gets the answer."""
Read = tuple[bytes, str, str, tuple[str | bytes, ...]]
"""One read in Redis: bucket, command, key after the tag, further arguments."""


class Queries:
    """Answers queries. ``clock`` is in seconds, ``call_soon`` is the loop's.

    ``head`` returns the position behind all events of a bucket, as this host has heard.
    """

    def __init__(
        self, redis: Redis, clock: Callable[[], float], call_soon: CallSoon, head: Callable[[bytes], str]
    ) -> None:
        self._redis = redis
        self._head = head
        self._call_soon = call_soon
        self._clock = clock

    def answer(self, entry: AppEntry, query: Query, then: Answered) -> None:
        """Answer a query; see :meth:`soundpost.backplane.registry.Registry.answer`."""
        if isinstance(query, ConnectionsQuery):
            here = sum(entry.connections.values())
            reads: list[Read] = [(app_bucket(query.app_id), "HVALS", "connections", ())]
            self._read(reads, lambda found: then(here if found is None else sum(map(int, found[0]))))
        elif isinstance(query, UsersQuery):
            self._users(entry, query, then)
        elif isinstance(query, ChannelQuery):
            self._attributes(entry, query.names, query.attributes, then)
        else:
            assert isinstance(query, ChannelsQuery)
            self._channels(entry, query, then)

    def _users(self, entry: AppEntry, query: UsersQuery, then: Answered) -> None:
        channel = entry.channels.of(query.channel)
        bucket = bucket_of(query.app_id, query.channel)

        def answered(found: list[Any] | None) -> None:
            if found is None:
                then([] if channel is None or channel.members is None else channel.members.ids_json)
                return
            ids: list[bytes] = []
            in_slices(
                found[0], lambda blob: ids.append(member_of(blob).id_json), self._call_soon, then=lambda: then(ids)
            )

        self._read([(bucket, "HVALS", "members:" + query.channel, ())], answered)

    def _channels(self, entry: AppEntry, query: ChannelsQuery, then: Answered) -> None:
        size = _ATTRIBUTES_AT_ONCE if query.attributes else SLICE
        pages: list[bytes] = []

        def make(slice_: Sequence[bytes], then: Callable[[bytes], None]) -> None:
            texts = [name for page in slice_ for name in page.decode().split("\n")]
            names = [name for name in texts if name.startswith(query.prefix)]
            if query.attributes and names:
                self._attributes(
                    entry,
                    names,
                    query.attributes,
                    lambda attributes: then(json_members(dict(zip(names, attributes, strict=True)))),
                )
            else:
                then(json_members({name: {} for name in names}))

        def paged(answer: Any) -> list[bytes]:
            """Take full pages of a bucket's channels, and return the rest: less than a page."""
            names = [*answer]
            full = len(names) - len(names) % size
            pages.extend(_pages(names[:full], size))
            return names[full:]

        def answered(found: list[Any] | None) -> None:
            if found is None:
                pages[:] = _pages([name.encode() for name in entry.channels], size)
            else:
                pages.extend(_pages([name for names in found for name in names], size))
            json_in_slices(pages, make, then, self._call_soon, 1)

        reads: list[Read] = [(bucket, "HKEYS", "total", ()) for bucket in all_buckets(query.app_id)]
        self._read(reads, answered, paged)

    def _attributes(self, entry: AppEntry, names: Sequence[str], asked: Sequence[str], then: Answered) -> None:
        kept = [name for name in names if entry.history_rules.of(name) is not None] if "position" in asked else []
        reads: list[Read] = [
            read
            for name in names
            for read in (
                (bucket_of(entry.app.id, name), "HGET", "total", (name,)),
                (bucket_of(entry.app.id, name), "HLEN", "members:" + name, ()),
                (bucket_of(entry.app.id, name), "GET", "last:" + name, ()),
                (bucket_of(entry.app.id, name), "PTTL", "last:" + name, ()),
            )
        ]
        for name in kept:
            bucket = bucket_of(entry.app.id, name)
            reads.append((bucket, "MGET", "gen", (self._redis.tag(bucket) + b":top",)))

        def answered(found: list[Any] | None) -> None:
            if found is None:
                heads = {name: self._head(bucket_of(entry.app.id, name)) for name in kept}
                then([_here(entry, name, asked, self._clock(), heads.get(name)) for name in names])
                return
            four = [found[i : i + 4] for i in range(0, 4 * len(names), 4)]
            ends = zip(kept, found[4 * len(names) :], strict=True)
            heads = {name: b".".join(end).decode() for name, end in ends if None not in end}
            then(
                [
                    _attributes(name, asked, total, users, last, ttl, heads.get(name))
                    for name, (total, users, last, ttl) in zip(names, four, strict=True)
                ]
            )

        self._read(reads, answered)

    def _read(
        self,
        reads: Sequence[Read],
        then: Callable[[list[Any] | None], None],
        take: Callable[[Any], Any] = lambda answer: answer,
    ) -> None:
        """Send reads; ``then`` gets what ``take`` makes of each answer, in order, or None if a read failed."""
        answers: list[Any] = [None] * len(reads)
        left = len(reads)

        def answered(number: int, answer: Any) -> None:
            nonlocal left
            answers[number] = answer if isinstance(answer, Exception) else take(answer)
            left -= 1
            if not left:
                then(None if any(isinstance(each, Exception) for each in answers) else answers)

        if not reads:
            then([])
        for number, (bucket, command, key, arguments) in enumerate(reads):
            self._redis.send(
                bucket, (command, self._redis.tag(bucket) + b":" + key.encode(), *arguments), partial(answered, number)
            )


def _pages(names: Sequence[bytes], size: int) -> list[bytes]:
    """Return names in pages of lines. The garbage collector takes some milliseconds for 100,000 single names."""
    return [b"\n".join(part) for part in in_parts(names, size)]


def _here(entry: AppEntry, name: str, asked: Sequence[str], now: float, head: str | None) -> dict[str, Any]:
    channel = entry.channels.of(name)
    if channel is None:
        return channel_attributes(name, asked, subscriptions=0, users=0, position=head)
    return channel_attributes(
        name,
        asked,
        subscriptions=channel.count,
        users=len(channel.members or ()),
        last=channel.last_at(now),
        ttl=max(0, round(channel.last_until - now)),
        position=head,
    )


def _attributes(
    name: str,
    asked: Sequence[str],
    total: bytes | None,
    users: int,
    last: bytes | None,
    ttl: int,
    head: str | None,
) -> dict[str, Any]:
    """Return attributes from values in Redis: ``last`` has a version before the frame, ``ttl`` is in milliseconds."""
    return channel_attributes(
        name,
        asked,
        subscriptions=int(total or 0),
        users=users,
        last=None if last is None else last.split(b" ", 1)[1],
        ttl=max(0, round(ttl / 1000)),
        position=head,
    )
