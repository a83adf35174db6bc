"""The last event of each channel, bounded in time and number; time is injected."""

from __future__ import annotations

from soundpost.backplane.event_cache import EventCache


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def put(cache: EventCache, channel: str, name: str = "e", ttl: float = 10, max_channels: int = 100) -> None:
    cache.put(channel, b"frame of " + name.encode(), ttl=ttl, max_channels=max_channels)


def test_an_unknown_channel_has_none() -> None:
    assert EventCache(Clock()).get("cache-a") is None


def test_the_last_event_counts() -> None:
    cache = EventCache(Clock())
    put(cache, "cache-a", "old")
    put(cache, "cache-a", "new")

    assert cache.get("cache-a") == b"frame of new"
    assert len(cache) == 1


def test_it_expires_and_is_forgotten_when_asked_for() -> None:
    clock = Clock()
    cache = EventCache(clock)
    put(cache, "cache-a")

    clock.now = 9.9
    assert cache.get("cache-a") is not None
    clock.now = 10
    assert cache.get("cache-a") is None
    assert len(cache) == 0


def test_seconds_left_count_down_to_the_expiry() -> None:
    clock = Clock()
    cache = EventCache(clock)
    put(cache, "cache-a", ttl=1800)

    assert cache.seconds_left("cache-a") == 1800
    clock.now = 1799
    assert cache.seconds_left("cache-a") == 1
    clock.now = 5000
    assert cache.seconds_left("cache-a") == 0


def test_beyond_the_limit_the_one_longest_unchanged_goes() -> None:
    cache = EventCache(Clock())
    for channel in ("a", "b", "a", "c"):
        put(cache, channel, max_channels=2)

    assert [channel for channel in "abc" if cache.get(channel)] == ["a", "c"]


def test_dropping_looks_at_no_more_than_the_expired() -> None:
    clock = Clock()
    cache = EventCache(clock)
    put(cache, "a")
    clock.now = 5
    put(cache, "b")
    put(cache, "c")
    clock.now = 10

    cache.drop_expired()

    assert len(cache) == 2
    clock.now = 15
    cache.drop_expired()
    assert len(cache) == 0
    cache.drop_expired()
