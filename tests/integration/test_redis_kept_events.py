"""How Redis forgets the last events of cache channels: the oldest for newer ones, all of them with time."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import redis

from soundpost.backplane.redis.last_event_scripts import KEEP
from support.redis_process import shared_redis

TTL = 100_000

Keep = Callable[..., None]


@pytest.fixture
def client() -> redis.Redis:
    return shared_redis().client()


@pytest.fixture
def base() -> str:
    """What all keys of a bucket begin with."""
    return f"{{{uuid.uuid4().hex}:1:0}}:"


@pytest.fixture
def keep(client: redis.Redis, base: str) -> Keep:
    def keep(*channels: str, most: int = 3, ttl: int = TTL) -> None:
        for channel in channels:
            client.eval(KEEP.text, 1, base, "node", "PUBLISH", channel, "frame", ttl, most, "me", 1, "")

    return keep


def kept(client: redis.Redis, base: str) -> set[str]:
    """Those of a few channels that have a last event."""
    return {channel for channel in "abcdefghi" if client.exists(f"{base}last:{channel}")}


def test_the_channel_longest_unchanged_is_forgotten(client: redis.Redis, base: str, keep: Keep) -> None:
    keep("a", "b", "c", "a", "a", "d")

    assert kept(client, base) == {"c", "a", "d"}
    assert client.zrange(base + "kept", 0, -1) == ["c", "a", "d"]


def test_a_lower_limit_holds_from_the_next_channel_on(client: redis.Redis, base: str, keep: Keep) -> None:
    keep(*"abcdefgh", most=8)
    keep("i", most=2)

    assert kept(client, base) == {"h", "i"}


def test_what_has_expired_takes_nobody_s_place(client: redis.Redis, base: str, keep: Keep) -> None:
    keep("a", "b", "c")
    client.delete(base + "last:a", base + "last:b")  # as time would

    keep("d", "e")

    assert kept(client, base) == {"c", "d", "e"}
    assert client.zrange(base + "kept", 0, -1) == ["c", "d", "e"]


def test_the_order_goes_on_whatever_the_clock_says(client: redis.Redis, base: str, keep: Keep) -> None:
    client.zadd(base + "kept", {"a": 4e15, "b": 4e15 + 1, "c": 4e15 + 2})

    keep("d", "e")

    assert client.zrange(base + "kept", 0, -1) == ["c", "d", "e"]


def test_all_expires_with_the_newest_event(client: redis.Redis, base: str, keep: Keep) -> None:
    keep("a", "b")
    client.pexpire(base + "kept", 1_000)
    keep("b", ttl=50_000)

    left = client.pttl(base + "kept")
    assert 1_000 < left <= 50_000
    assert client.pttl(base + "last:b") <= left  # asked for later, so it may have less
    assert client.hlen(base + "version") == 0


def test_hosts_with_subscribers_of_the_forgotten_are_told(client: redis.Redis, base: str, keep: Keep) -> None:
    client.hset(base + "total", "a", 1)
    hearing: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    hearing.subscribe(base + "t:a", base + "t:b")
    for _ in range(2):
        assert hearing.get_message(timeout=5) is None  # a confirmation

    keep("a", "b", "c", "d", "e")
    client.publish(base + "t:b", "end")

    messages = [(each["channel"].removeprefix(base), each["data"][:3]) for each in islice(hearing.listen(), 4)]
    hearing.close()
    assert messages == [("t:a", "S2!"), ("t:b", "S2!"), ("t:a", "S2~"), ("t:b", "end")]
