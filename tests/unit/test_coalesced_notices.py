"""Notices gathered on a large channel: what each subscriber is told of them."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from conformance.protocol.stage import Stage
from soundpost.core.connection import Connection
from soundpost.core.gathered_notices import GatheredNotices, MemberNotice, coalesced


def added(user: str, info: str = "") -> MemberNotice:
    return MemberNotice(user, True, f"+{user}{info}".encode())


def removed(user: str) -> MemberNotice:
    return MemberNotice(user, False, f"-{user}".encode())


def told(*notices: MemberNotice) -> str:
    """Return what a subscriber is told that was there before all of the notices."""
    return " ".join(notice.frame.decode() for notice in coalesced(list(notices)))


def test_notices_keep_their_order() -> None:
    assert told(added("a"), removed("x"), added("b")) == "+a -x +b"


def test_nobody_is_told_of_who_came_and_went() -> None:
    assert told(added("a"), added("b"), removed("a")) == "+b"
    assert told(added("a"), removed("a"), added("a", "2"), removed("a")) == ""


def test_who_went_and_came_again_is_told_as_both() -> None:
    assert told(removed("a"), added("b"), added("a", "2")) == "-a +b +a2"
    assert told(removed("a"), added("a", "2"), removed("a"), added("a", "3")) == "-a +a3"


def test_who_went_and_came_and_went_again_is_told_to_have_gone() -> None:
    assert told(removed("a"), added("a"), removed("a")) == "-a"


def test_who_came_and_went_and_came_again_is_told_with_the_latest_info() -> None:
    assert told(added("a", "1"), removed("a"), added("a", "2")) == "+a2"


@given(st.lists(st.sampled_from("abc"), max_size=20), st.sets(st.sampled_from("abc")), st.data())
def test_list_and_notices_together_are_the_truth(users: list[str], before: set[str], data: st.DataObject) -> None:
    """Each user in turn comes if it is away, and goes if it is there."""
    gathered = GatheredNotices()
    truth = set(before)
    lists: dict[Connection, set[str]] = {}
    stage = Stage()
    for user in users:
        if data.draw(st.booleans()):
            newcomer = stage.open()
            gathered.add_newcomer(newcomer)
            lists[newcomer] = set(truth)
        gathered.append(removed(user) if user in truth else added(user))
        truth ^= {user}

    assert after(before, gathered.for_all()) == truth
    told = {connection: frames for group, frames in gathered.for_newcomers(lists) for connection in group}
    for connection, own in lists.items():
        assert after(own, told.get(connection, [])) == truth


def after(members: Iterable[str], frames: Iterable[bytes]) -> set[str]:
    """Return a list of members after some notices, none of which may be needless."""
    found = set(members)
    for frame in frames:
        user = frame[1:2].decode()
        assert (user in found) is (frame[:1] == b"-"), f"told {frame!r} with {found}"
        found ^= {user}
    return found
