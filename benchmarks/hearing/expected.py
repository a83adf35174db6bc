"""Webhook events that an endpoint must get about a crowd, compared with those that it got."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from hearing.endpoint import Heard
from soundpost.core.webhooks import BEGINS, ENDS, OPPOSITES

State = tuple[str, str, str]
"""Name of the webhook that begins it, channel, user."""


Key = tuple[object, ...]
"""What names an event: its name, and what it is about."""


class Verdict(NamedTuple):
    """What came of the events of a trial."""

    expected: int
    """Events that must have come."""
    delivered: int
    doubled: list[str]
    """Events that the handler got twice, under two ids."""
    false_ends: list[str]
    """Users who were told to have gone, and had not."""
    wrong: int
    """States that the endpoint has got wrong in the end."""
    unseen: int
    """Events of states of which neither the beginning nor the end came: visits that came and went meanwhile."""
    lost: list[str]
    """All other events that never came."""
    disorder: list[str]
    """Ends without a beginning, beginnings of what had begun."""


class Expected:
    """Notes what happens. Of a user who is back within ``absence`` seconds no end may be told."""

    def __init__(self, absence: float) -> None:
        self._absence = absence
        self._begun: set[State] = set()
        self._stays: set[str] = set()
        self._gone: set[str] = set()
        self._long_away: set[str] = set()
        self._said: set[int] = set()

    def stays(self, user: str) -> None:
        """Note a user of whom no end may be told."""
        self._stays.add(user)

    def is_back(self, user: str, away: float) -> None:
        """Note that a user who stays was away for so many seconds: an end may be told of those who were away long."""
        if away > self._absence:
            self._long_away.add(user)

    def comes(self, name: str, channel: str, user: str = "") -> None:
        """Note a state that has begun for sure."""
        self._begun.add((name, channel, user))

    def goes(self, user: str) -> None:
        """Note a user who has gone for good."""
        self._gone.add(user)

    def said(self, number: int) -> None:
        """Note a client event that has reached another member."""
        self._said.add(number)

    def keys(self, events: Iterable[str]) -> set[Key]:
        """Return what must have come, of webhooks of these names."""
        keys: set[Key] = {("client_event", number) for number in self._said}
        for name, channel, user in self._begun:
            keys.add((name, channel, user))
            if channel.startswith("presence-visit") or user in self._gone:
                keys.add((BEGINS[name], channel, user))
        wanted = set(events)
        return {key for key in keys if key[0] in wanted}

    def verdict(self, heard: list[Heard], events: Iterable[str]) -> Verdict:
        """Compare what was heard with what happened."""
        wanted = self.keys(events)
        found = Counter(key_of(each.event) for each in heard)
        states: dict[State, bool] = {}
        disorder = []
        false_ends = []
        for _, event in heard:
            name, channel, user = event["name"], event.get("channel", ""), event.get("user_id", "")
            if name not in BEGINS and name not in ENDS:
                continue
            state = (ENDS.get(name, name), channel, user)
            begins = name in BEGINS
            if states.get(state, False) == begins:
                disorder.append(f"{name} {channel} {user}")
            states[state] = begins
            if not begins and user in self._stays - self._long_away:
                false_ends.append(f"{name} {channel} {user}")
        missing = {key for key in wanted if not found[key]}
        unseen = {key for key in missing if (other := _opposite(key)) is not None and not found[other]}
        wrong = [state for state, is_on in states.items() if is_on != self._is_on(state)]
        return Verdict(
            expected=len(wanted),
            delivered=sum(1 for key in wanted if found[key]),
            doubled=[
                " ".join(map(str, key))
                for key, count in found.items()
                if key[0] == "client_event" or "visit" in str(key)
                for _ in range(count - 1)
            ],
            false_ends=false_ends,
            wrong=len(wrong),
            unseen=len(unseen),
            lost=[" ".join(map(str, key)) for key in missing - unseen],
            disorder=disorder,
        )

    def _is_on(self, state: State) -> bool:
        _, channel, user = state
        whose = user or channel.removeprefix("#server-to-user-")
        return whose in self._stays or (channel.startswith("presence-room") and not user)


def _opposite(key: Key) -> Key | None:
    name = OPPOSITES.get(str(key[0]))
    return None if name is None else (name, *key[1:])


def key_of(event: dict[str, Any]) -> Key:
    """Return what names an event."""
    if event["name"] == "client_event":
        return ("client_event", json.loads(event["data"])["n"])
    return (event["name"], event.get("channel", ""), event.get("user_id", ""))
