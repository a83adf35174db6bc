"""Ends of graces: who is lost and comes back, again and again, leaves nothing behind, however long the grace is."""

from __future__ import annotations

import itertools
from typing import cast

from soundpost.backplane.deadlines import Deadlines
from soundpost.backplane.lingering_members import LingeringMembers
from soundpost.backplane.memory_channels import AppEntry, ChannelEntry
from soundpost.backplane.signed_in_users import SignedInUsers
from soundpost.core.member import Member
from soundpost.core.peers import PeersHandler
from support.harness import DEFAULT_APP

HOUR = 3_600.0
TIMES = 10_000
MAX_ENDS = 2_000
"""Largest number of ends that may be kept for two users."""


def seconds() -> itertools.count[float]:
    """Return times that are 10 ms apart."""
    return itertools.count(0.0, 0.01)


def test_members_who_come_back_leave_no_ends_behind() -> None:
    now = seconds()
    lingering, channel = LingeringMembers(lambda: next(now)), ChannelEntry("presence-room")
    assert channel.members is not None
    away, tab = Member("away", b"null"), Member("tab", b"null")
    for member in (away, tab):
        channel.members.enter(member)
        lingering.add(channel, member.id, HOUR)
    for _ in range(TIMES):
        channel.members.enter(tab)
        lingering.take_back(channel, tab)
        lingering.add(channel, tab.id, HOUR)

    assert lingering._ends.places < MAX_ENDS
    now = itertools.count(HOUR * 2)
    ended = [lingering.pop_due() for _ in range(MAX_ENDS)]  # void ends are dropped some at a time
    assert [each for each in ended if each is not None] == [(channel, "away"), (channel, "tab")]
    assert lingering.next_end is None


def test_users_who_sign_in_again_leave_no_ends_behind() -> None:
    now = seconds()
    clock = lambda: next(now)  # noqa: E731 - read anew at each call
    node = cast("PeersHandler", object())
    apps = {"1": AppEntry(DEFAULT_APP, clock)}
    users = SignedInUsers(apps, clock, lambda then: then(), lambda _seconds, _then: None, lambda _app, _event: None)
    for user_id in ("away", "tab"):
        users.sign_in(node, "1", user_id, b"null")
        users.sign_out(node, "1", user_id, HOUR, True)
    for _ in range(TIMES):
        users.sign_in(node, "1", "tab", b"null")
        users.sign_out(node, "1", "tab", HOUR, True)

    assert users._ends.places < MAX_ENDS
    now = itertools.count(HOUR * 2)
    users.end_due()
    assert list(users.states()) == []


def test_deadlines_that_were_taken_back_leave_little_by_little() -> None:
    """A heap that is sorted anew at once would stop the loop."""
    deadlines: Deadlines[tuple[str, str]] = Deadlines()
    kept = {("kept", str(number)): float(5_000 - number) for number in range(3_000)}
    for key, until in kept.items():
        deadlines.set(key, until)
    most_moved = 0
    for number in range(20_000):
        before = len(deadlines._former)
        deadlines.set(("gone", str(number)), 6_000.0 + number)
        deadlines.discard(("gone", str(number)))
        most_moved = max(most_moved, before - len(deadlines._former))
    assert deadlines.places < 4 * len(kept)
    assert most_moved == 4

    found = [each for _ in range(4 * len(kept)) if (each := deadlines.pop_due(10_000.0)) is not None]
    assert found == sorted(kept, key=kept.__getitem__)
    while deadlines.places:
        places = deadlines.places
        assert deadlines.pop_due(10_000.0) is None
        assert places - deadlines.places <= 20


def test_an_end_behind_many_who_came_back_is_found_soon() -> None:
    ends: Deadlines[tuple[str, str]] = Deadlines()
    back, away = [("1", f"user-{number}") for number in range(100_000)], ("1", "away")
    for user in back:
        ends.set(user, HOUR)
    ends.set(away, HOUR + 1)
    for user in back:
        ends.discard(user)

    asked = 0
    while ends.pop_due(HOUR * 2) != away:
        asked += 1

    assert asked < 250  # each call may take a millisecond
