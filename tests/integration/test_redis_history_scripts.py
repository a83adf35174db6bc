"""What the script that keeps an event of a history leaves in Redis: one entry for each, and an end to all keys."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
import redis

from soundpost.backplane.redis.history_scripts import ADD, DAY, DELETE, TAKE
from support.redis_process import shared_redis

AGE = 80_000
"""Milliseconds that events are kept."""
STEP = AGE // 8 * 1_000
"""Microseconds after which the end of the stream is moved."""

Add = Callable[..., list[object]]


@pytest.fixture
def client() -> redis.Redis:
    return shared_redis().client()


@pytest.fixture
def base(client: redis.Redis) -> str:
    """What all keys of a bucket begin with."""
    base = f"{{{uuid.uuid4().hex}:1:0}}:"
    client.eval(TAKE.text, 1, base, "node", "PUBLISH", "source", 0)
    return base


@pytest.fixture
def add(client: redis.Redis, base: str) -> Add:
    def add(event_id: str, flags: str = "") -> list[object]:
        arguments = ("node", "PUBLISH", "", "news", event_id, "", "frame", flags, 100, AGE, "")
        found: list[object] = client.eval(ADD.text, 1, base, *arguments)
        return found

    return add


def test_a_stream_ends_when_its_last_event_is_too_old(client: redis.Redis, base: str, add: Add) -> None:
    add("a")
    assert AGE - 5_000 < client.pttl(base + "s:news") <= AGE * 9 // 8
    assert DAY // 1_000 < client.pttl(base + "l:news") <= DAY // 1_000 * 9 // 8


def test_the_end_of_a_stream_moves_with_its_events(client: redis.Redis, base: str, add: Add) -> None:
    (place, _) = add("a")
    client.pexpire(base + "s:news", 1_000)
    client.set(base + "l:news", f"{int(str(place)) - STEP} {AGE}", px=1_000)
    add("b")
    assert client.pttl(base + "s:news") > AGE
    assert client.pttl(base + "l:news") > DAY // 1_000


def test_the_end_of_a_stream_moves_where_the_clock_was_set_back(client: redis.Redis, base: str, add: Add) -> None:
    (place, _) = add("a")
    client.set(base + "l:news", f"{int(str(place)) + STEP} {AGE}")
    client.set(base + "top", int(str(place)) + STEP)
    add("b")
    client.pexpire(base + "s:news", 1_000)
    add("c")
    assert client.pttl(base + "s:news") > AGE


def test_a_stream_that_begins_again_has_an_end(client: redis.Redis, base: str, add: Add) -> None:
    add("a")
    client.eval(DELETE.text, 1, base, "node", "PUBLISH", "news")
    add("b")
    assert client.pttl(base + "s:news") > AGE - 5_000


@pytest.mark.parametrize("flags", ["r", "rs", "rsg"])
def test_a_request_that_is_sent_again_is_known_by_its_id(flags: str, client: redis.Redis, base: str, add: Add) -> None:
    first = add("a", "r")
    for number in range(60):  # more than are looked through
        add(f"other {number}")
    assert add("a", flags) == [first[0], 1]
    assert client.xlen(base + "s:news") == 61
    assert client.smembers(base + "u:news") == ({"a"} if "g" in flags else set())


def test_an_event_that_was_not_answered_is_found_among_the_last(client: redis.Redis, base: str, add: Add) -> None:
    first = add("a")
    add("b")
    assert add("a", "s") == [first[0], 1]
    assert add("c", "s")[1] == 0
    assert client.xlen(base + "s:news") == 3
    assert client.keys(base + "i:*") == []
