"""Allowances of replays by client address: what is left, and how many addresses are remembered."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.protocol.stage import Stage
from soundpost.core import replay_allowances
from soundpost.core.replay_allowances import ReplayAllowances, counted_address


def test_an_allowance_comes_back_evenly_within_a_minute() -> None:
    allowances = ReplayAllowances()
    assert allowances.has_left("a", 600, 0)
    allowances.spend("a", 600, 600, 0)
    assert not allowances.has_left("a", 600, 0)
    assert allowances.has_left("b", 600, 0)
    assert allowances.has_left("a", 600, 0.5)


def test_time_before_a_replay_is_not_credited_after_it() -> None:
    allowances = ReplayAllowances()
    allowances.spend("a", 1, 600, 0)
    allowances.spend("a", 600, 600, 3_600)
    assert not allowances.has_left("a", 600, 3_600)


def test_addresses_are_looked_at_only_while_one_has_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_allowances, "MAX_ADDRESSES", 1)
    allowances = ReplayAllowances()
    allowances.spend("a", 500, 600, 0)
    assert not allowances.any_is_empty
    allowances.spend("a", 100, 600, 0)
    assert allowances.any_is_empty
    assert allowances.has_left("a", 600, 60)
    assert not allowances.any_is_empty
    allowances.spend("a", 600, 600, 60)
    allowances.spend("b", 1, 600, 60)  # the other one is forgotten
    assert not allowances.any_is_empty


def test_what_was_sent_beyond_the_allowance_is_taken_from_later_minutes() -> None:
    allowances = ReplayAllowances()
    allowances.spend("a", 1_800, 600, 0)
    assert not allowances.has_left("a", 600, 60)
    assert allowances.has_left("a", 600, 121)


def test_the_addresses_longest_without_a_replay_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_allowances, "MAX_ADDRESSES", 3)
    allowances = ReplayAllowances()
    for address in ("a", "b", "c", "a", "d"):
        allowances.spend(address, 600, 600, 0)
    assert [address for address in "abcd" if not allowances.has_left(address, 600, 0)] == ["a", "c", "d"]
    assert len(allowances) == 3


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("", ""),
        ("an odd:address", ""),
    ],
)
def test_an_ipv6_client_counts_with_its_network(monkeypatch: pytest.MonkeyPatch, address: str, counted: Any) -> None:
    client = Stage().connect()
    monkeypatch.setattr(type(client), "address", address)
    assert counted_address(client) == counted
