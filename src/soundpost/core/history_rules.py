"""Rules of history: which channels keep their events, by patterns of their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from soundpost.core.app_settings import HistorySettings

_REMEMBERED: Final = 10_000
"""Largest number of channel names whose rule is remembered."""


class HistoryRules:
    """Settings of an app's histories by channel name, with a cache of the names that were asked for."""

    def __init__(self, settings: Iterable[HistorySettings]) -> None:
        self._rules = [(channel_matcher(rule.channels), rule) for rule in settings]
        self._known: dict[str, HistorySettings | None] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of(self, channel: str) -> HistorySettings | None:
        """Return the settings of a channel's history; None if the channel keeps none."""
        if not self._rules:
            return None
        try:
            return self._known[channel]
        except KeyError:
            pass
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        rule = next((rule for matches, rule in self._rules if matches(channel)), None)
        self._known[channel] = rule
        return rule


def channel_matcher(patterns: Iterable[str]) -> Callable[[str], object]:
    """Return a function that returns True for a channel name that matches one of the patterns."""
    return re.compile("|".join(map(_expression, patterns)), re.DOTALL).fullmatch


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern. It never backtracks over a part, so no name takes long."""
    first, *parts = [re.escape(part) for part in pattern.split("*")]
    if not parts:
        return first
    return first + "".join(f"(?>.*?{part})" for part in parts[:-1]) + f".*{parts[-1]}"
