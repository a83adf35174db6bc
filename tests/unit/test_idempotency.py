"""Idempotency keys that were taken before, bounded in number and time; time is injected."""

from __future__ import annotations

import tracemalloc

from soundpost.backplane.idempotency import LIFETIME, MAX_KEYS, IdempotencyKeys
from soundpost.core.peers import IdempotencyKey


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def request(key: str = "k", digest: str = "d") -> IdempotencyKey:
    return IdempotencyKey(key, digest)


def test_a_request_is_new_once() -> None:
    keys = IdempotencyKeys(Clock())

    assert [keys.receive("1", request()) for _ in range(3)] == ["new", "repeated", "repeated"]
    assert len(keys) == 1


def test_keys_of_two_apps_are_two_keys() -> None:
    keys = IdempotencyKeys(Clock())

    assert [keys.receive(app_id, request()) for app_id in ("1", "2", "1")] == ["new", "new", "repeated"]


def test_a_key_that_comes_with_another_body_still_stands_for_the_first() -> None:
    keys = IdempotencyKeys(Clock())
    keys.receive("1", request(digest="a"))

    assert keys.receive("1", request(digest="b")) == "different"
    assert keys.receive("1", request(digest="a")) == "repeated"


def test_it_is_forgotten_in_time_however_often_it_is_repeated() -> None:
    clock = Clock()
    keys = IdempotencyKeys(clock, lifetime=120)
    keys.receive("1", request())

    for clock.now in (1060.0, 1119.9):
        assert keys.receive("1", request()) == "repeated"
    clock.now = 1120
    assert keys.receive("1", request()) == "new"
    assert keys.receive("1", request()) == "repeated"


def test_beyond_the_limit_the_oldest_goes() -> None:
    keys = IdempotencyKeys(Clock(), max_keys=3)
    for key in "abcd":
        keys.receive("1", request(key))

    assert len(keys) == 3
    assert [keys.receive("1", request(key)) for key in "bcd"] == ["repeated"] * 3
    assert keys.receive("1", request("a")) == "new"


def test_an_app_with_many_keys_takes_no_room_of_another() -> None:
    keys = IdempotencyKeys(Clock(), max_keys=3)
    keys.receive("2", request("a"))
    for number in range(10):
        keys.receive("1", request(str(number)))

    assert len(keys) == 4
    assert keys.receive("2", request("a")) == "repeated"


def test_what_is_expired_is_dropped_and_nothing_stays_of_an_app_without_keys() -> None:
    clock = Clock()
    keys = IdempotencyKeys(clock, lifetime=120)
    keys.receive("1", request("a"))
    clock.now += 60
    keys.receive("1", request("b"))
    keys.receive("2", request("c"))
    clock.now += 60

    keys.drop_expired()
    assert len(keys) == 2
    assert keys.receive("1", request("b")) == "repeated"
    clock.now += 60
    keys.drop_expired()
    assert len(keys) == 0
    assert keys._by_app == {}


def test_the_memory_of_an_app_is_bounded() -> None:
    """Take the longest keys without end: only the limit of them is kept, some 4 MB."""
    clock = Clock()
    keys = IdempotencyKeys(clock)

    def receive(first: int, count: int) -> int:
        for number in range(first, first + count):
            clock.now += LIFETIME / MAX_KEYS / 10
            keys.receive("1", request(f"{number:064}", f"{number:032x}"))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        full = receive(0, 2 * MAX_KEYS)  # twice: a dictionary that is full and changes grows its table once more
        later = receive(2 * MAX_KEYS, 5 * MAX_KEYS)
    finally:
        tracemalloc.stop()

    assert len(keys) == MAX_KEYS
    assert full < 5_000_000
    assert later < 1.01 * full
