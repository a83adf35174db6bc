"""Whether clients know who is on a presence channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from support.resumption.verdict import Verdict


def judged_members(present: Iterable[str], told: Mapping[str, Iterable[str]]) -> Verdict:
    """The verdict on lists of members. ``told``: by its name, the list that a client has after all notices, or that the
    HTTP API gives."""
    verdict, expected = Verdict(), set(present)
    for who, members in told.items():
        found = set(members)
        if absent := expected - found:
            verdict.find("faults", f"{who} does not know of members: {_some(absent)}")
        if gone := found - expected:
            verdict.find("faults", f"{who} knows of members that are not there: {_some(gone)}")
    return verdict


def _some(users: set[str]) -> str:
    return f"{len(users)} ({', '.join(sorted(users)[:5])})"
