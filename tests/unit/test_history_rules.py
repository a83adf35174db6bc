"""Rules of history: which channels keep one, by patterns of their names."""

from __future__ import annotations

import pytest

from soundpost.core import history_rules
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history_rules import HistoryRules


def rules(*patterns: str) -> HistoryRules:
    return HistoryRules([HistorySettings(channels=patterns)])


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("news", "news", True),
        ("news", "news2", False),
        ("news", "my-news", False),
        ("private-*", "private-", True),
        ("private-*", "private-a", True),
        ("private-*", "my-private-a", False),
        ("*", "anything", True),
        ("*-kept", "a-kept", True),
        ("*-kept", "a-kept-b", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "a1b2b3c", True),
        ("a*b*c", "acb", False),
        ("a*bc", "abcbc", True),
        ("a*a", "a", False),
        ("a**b", "ab", True),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, name: str, matches: bool) -> None:
    assert (rules(pattern).of(name) is not None) is matches
    assert (rules("other", pattern).of(name) is not None) is matches


def test_no_name_takes_long_with_many_stars() -> None:
    assert rules("*a" * 30 + "*b").of("a" * 200) is None  # would take years if all divisions were tried


def test_the_first_entry_that_matches_counts() -> None:
    first, second = HistorySettings(channels=("a*",), events=1), HistorySettings(channels=("*",), events=2)
    both = HistoryRules([first, second])
    assert (both.of("ab"), both.of("b")) == (first, second)


@pytest.mark.interpreted
def test_only_so_many_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_rules, "_REMEMBERED", 10)
    known = rules("a*")
    for number in range(100):
        assert known.of(f"a{number}") is not None
        assert known.of(f"b{number}") is None
    assert len(known._known) <= 10
