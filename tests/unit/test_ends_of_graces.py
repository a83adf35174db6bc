"""Ends of graces: who is lost and comes back, again and again, leaves nothing behind, however long the grace is."""

from __future__ import annotations

import itertools
from typing import cast

from soundpost.backplane.ghosts import Ghosts
from soundpost.backplane.memory_channels import AppEntry, ChannelEntry
from soundpost.backplane.signed_in_users import SignedInUsers
from soundpost.core.member import Member
from soundpost.core.peers import PeersHandler
from support.harness import DEFAULT_APP

HOUR = 3_600.0
TIMES = 10_000
MOST = 2_000
"""Largest number of ends that may be kept for two users."""


def seconds() -> itertools.count[float]:
    """Return times that are 10 ms apart."""
    return itertools.count(0.0, 0.01)


def test_members_who_come_back_leave_no_ends_behind() -> None:
    now = seconds()
    ghosts, channel = Ghosts(lambda: next(now)), ChannelEntry("presence-room")
    assert channel.members is not None
    away, tab = Member("away", b"null"), Member("tab", b"null")
    for member in (away, tab):
        channel.members.enter(member)
        ghosts.add(channel, member.id, HOUR)
    for _ in range(TIMES):
        channel.members.enter(tab)
        ghosts.take_back(channel, tab)
        ghosts.add(channel, tab.id, HOUR)

    assert len(ghosts._ends) < MOST
    now = itertools.count(HOUR * 2)
    assert [ghosts.pop_due(), ghosts.pop_due(), ghosts.pop_due()] == [(channel, "away"), (channel, "tab"), None]


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

    assert len(users._ends) < MOST
    now = itertools.count(HOUR * 2)
    users.end_due()
    assert list(users.states()) == []
