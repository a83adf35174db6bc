"""Eviction of open sockets where there is no room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from soundpost.server.connections.open_sockets import OpenSockets


class Connection:
    """Holds a socket."""

    def __init__(self, sockets: OpenSockets, address: str = "a", *, is_evictable: bool = True) -> None:
        self.counted_address = address
        self._sockets = sockets
        self.is_evictable = is_evictable
        self.is_dropped = False
        self.peer = "an address"

    def abort(self) -> None:
        self.is_dropped = True


def opened(sockets: OpenSockets, address: str = "a", count: int = 1) -> list[Connection]:
    made = [Connection(sockets, address) for _ in range(count)]
    for each in made:
        sockets.opened(each)
    return made


def dropped(connections: list[Connection]) -> list[int]:
    return [number for number, each in enumerate(connections) if each.is_dropped]


def test_the_oldest_silent_one_goes_first() -> None:
    sockets = OpenSockets(3, lambda address: None)
    first = opened(sockets, count=3)
    assert dropped(first) == []
    opened(sockets)
    assert dropped(first) == [0]


def test_an_address_with_more_than_others_makes_room_for_itself() -> None:
    sockets = OpenSockets(6, lambda address: None)
    quiet = opened(sockets, "quiet", 1)
    greedy = opened(sockets, "greedy", 20)
    assert dropped(quiet) == []
    assert dropped(greedy) == list(range(15))
    opened(sockets, "new")
    assert dropped(quiet) == [0]


def test_answered_then_silent_then_asked_and_never_an_application() -> None:
    sockets = OpenSockets(4, lambda address: None)
    application, asked, silent, answered = opened(sockets, count=4)
    for each in (application, asked, answered):
        sockets.asked(each)
    sockets.kept(application)
    sockets.answered(answered)
    order = []
    for expected in (answered, silent, asked):
        (newcomer,) = opened(sockets)
        sockets.kept(newcomer)
        order.append(expected.is_dropped)
    assert order == [True, True, True]
    last = Connection(sockets)
    assert not sockets.opened(last)
    assert not application.is_dropped


def test_what_is_under_way_is_not_dropped() -> None:
    sockets = OpenSockets(1, lambda address: None)
    busy = Connection(sockets, is_evictable=False)
    assert sockets.opened(busy)
    assert not sockets.opened(Connection(sockets))
    assert not busy.is_dropped


def test_one_that_is_dropped_makes_room_once() -> None:
    sockets = OpenSockets(2, lambda address: None)
    first = opened(sockets, count=2)
    opened(sockets, count=2)
    assert dropped(first) == [0, 1]
    for each in first:
        sockets.closed(each)
    assert sockets.count == 2


STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "ask", "keep", "answer", "close"]), st.integers(0, 9), st.sampled_from("abc"))
)


@given(st.integers(1, 5), STEPS)
def test_whatever_happens_the_counts_are_right_and_those_that_are_kept_stay(
    capacity: int, steps: list[tuple[str, int, str]]
) -> None:
    evicted: list[str] = []
    sockets = OpenSockets(capacity, evicted.append)
    live: list[Connection] = []
    kept: set[Connection] = set()
    for step, number, address in steps:
        if step == "open":
            new = Connection(sockets, address)
            had_room = sockets.opened(new)
            live.append(new)
            staying = sum(not each.is_dropped for each in live)
            assert had_room == (staying <= capacity)
        elif live:
            each = live[number % len(live)]
            if step == "close":
                sockets.closed(each)
                live.remove(each)
                kept.discard(each)
            elif not each.is_dropped:
                if step == "ask" and each not in kept:
                    sockets.asked(each)
                elif step == "keep":
                    sockets.kept(each)
                    kept.add(each)
                elif step == "answer":
                    sockets.answered(each)
                    kept.discard(each)
        assert sockets.count == len(live)
        assert not any(each.is_dropped for each in kept)
    for each in live:
        sockets.closed(each)
    assert sockets.count == 0
    assert sockets.silent_beyond(0, lambda address: True) == []
