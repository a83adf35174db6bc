"""When a silent peer is pinged, and when it is given up: by numbers alone."""

from __future__ import annotations

import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.core.liveness import PONG_TIMEOUT, check, ping_after

APP = AppSettings(id="1", key="k", secret="s")


class Peer:
    def __init__(self, last_seen: int = 0) -> None:
        self.last_seen = last_seen
        self.pinged_at = -1
        self.log: list[str] = []

    def ping(self) -> None:
        self.log.append("ping")

    def give_up(self) -> None:
        self.log.append("give up")


@pytest.mark.parametrize(("interval", "timeout", "expected"), [(60, 30, 30), (20, 30, 20), (60, 120, 60)])
def test_a_client_is_pinged_after_the_shorter_of_both_times(interval: int, timeout: int, expected: int) -> None:
    assert (
        ping_after(AppSettings(id="1", key="k", secret="s", ping_interval=interval, activity_timeout=timeout))
        == expected
    )


def test_a_peer_that_spoke_lately_is_left_alone() -> None:
    peer = Peer(last_seen=100)

    assert check(peer, APP, 129) == 1
    assert check(peer, APP, 100) == 30
    assert peer.log == []


def test_a_silent_peer_is_pinged_and_given_up_thirty_seconds_later() -> None:
    peer = Peer()

    assert check(peer, APP, 30) == PONG_TIMEOUT == 30
    assert peer.log == ["ping"]
    assert check(peer, APP, 59) == 1
    assert check(peer, APP, 60) == 0
    assert peer.log == ["ping", "give up"]


def test_any_sign_of_life_after_the_ping_starts_anew() -> None:
    peer = Peer()
    check(peer, APP, 30)
    peer.last_seen = 45

    assert check(peer, APP, 60) == 15
    assert check(peer, APP, 75) == PONG_TIMEOUT
    assert peer.log == ["ping", "ping"]


def test_a_pong_within_the_second_of_the_ping_counts() -> None:
    peer = Peer()
    check(peer, APP, 30)
    peer.last_seen = 30

    assert check(peer, APP, 60) == PONG_TIMEOUT
    assert peer.log == ["ping", "ping"]


def test_a_peer_looked_at_late_still_gets_its_time_to_answer() -> None:
    peer = Peer()

    assert check(peer, APP, 500) == PONG_TIMEOUT
    assert check(peer, APP, 529) == 1
    assert peer.log == ["ping"]


@pytest.mark.parametrize("timeout", [1, 30, 120])
def test_a_dead_peer_is_noticed_within_activity_timeout_and_thirty_seconds(timeout: int) -> None:
    app = AppSettings(id="1", key="k", secret="s", activity_timeout=timeout, ping_interval=600)
    peer, now = Peer(last_seen=7), 7
    wait = ping_after(app)
    while wait:
        now += wait
        wait = check(peer, app, now)

    assert peer.log == ["ping", "give up"]
    assert now == 7 + timeout + PONG_TIMEOUT
