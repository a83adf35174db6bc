"""Pages of the smallest of very many names, made a slice at a time, and how many names several nodes have."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.core.paging import SAMPLE, TURN, OneByOne, Page, number_of_names, smallest

names = st.lists(st.text("abc", max_size=4), unique=True, max_size=60)


def page_of(
    entries: list[str], after: str = "", limit: int = 50, is_shown: Callable[[str], bool] = lambda name: True
) -> tuple[list[str], int, list[int]]:
    made: list[tuple[list[str], int, list[int]]] = []
    waiting: list[Callable[[], None]] = []
    Page(
        entries,
        lambda name: name if is_shown(name) else None,
        lambda *page: made.append(page),
        after=after,
        limit=limit,
        call_soon=waiting.append,
        clock=lambda: 0,
        sampled=True,
    ).make()
    assert waiting == []
    (page,) = made
    return page


@given(names, st.text("abc", max_size=2), st.integers(1, 9))
def test_a_page_has_the_smallest_names_behind_another_in_their_order(
    entries: list[str], after: str, limit: int
) -> None:
    found, total, _ = page_of(entries, after, limit)

    assert found == sorted(name for name in entries if name > after)[:limit]
    assert total == len(entries)


def test_what_does_not_match_is_neither_in_the_page_nor_counted() -> None:
    found, total, sample = page_of(["a1", "b1", "a2"], is_shown=lambda name: name.startswith("a"))

    assert (found, total, number_of_names(sample)) == (["a1", "a2"], 2, 2)


def test_the_smallest_of_very_many_are_found_in_any_order() -> None:
    entries = [f"{number:06}" for number in range(20_000)]
    random.Random(1).shuffle(entries)

    found, total, _ = page_of(entries, after="000100", limit=500)

    assert found == [f"{number:06}" for number in range(101, 601)]
    assert total == 20_000


def test_other_work_is_done_between_the_slices() -> None:
    waiting: list[Callable[[], None]] = []
    made: list[tuple[list[int], int, list[int]]] = []
    ticks = count()
    looked_at: list[int] = []

    def name_of(entry: int) -> str:
        looked_at.append(entry)
        return str(entry)

    Page(
        range(1_000),
        name_of,
        lambda *page: made.append(page),
        after="",
        limit=5,
        call_soon=waiting.append,
        clock=lambda: next(ticks) * TURN * 0.6,  # so two steps are a turn
    ).make()

    turns = []
    while waiting:
        turns.append(len(looked_at))
        assert made == []
        waiting.pop()()
    assert made[0][:2] == ([0, 1, 10, 100, 101], 1_000)
    assert max(after - before for before, after in pairwise(turns)) <= 100


@pytest.mark.parametrize("each", [10, 300, 20_000])
def test_names_that_several_nodes_have_are_counted_once(each: int) -> None:
    nodes = [[f"of-{node}-{number}" for number in range(each)] for node in range(3)]
    shared = [f"shared-{number}" for number in range(each)]

    sample = smallest(number for own in nodes for number in page_of(own + shared)[2])

    tolerance = 0 if 4 * each < SAMPLE else 0.12 * 4 * each
    assert abs(number_of_names(sample) - 4 * each) <= tolerance
    assert len(sample) <= SAMPLE


def test_however_many_pages_are_asked_for_a_loop_turn_has_one_slice() -> None:
    due: list[Callable[[], None]] = []
    called: list[str] = []
    in_turn = OneByOne(due.append)

    def slice_of(name: str, left: int) -> None:
        called.append(name)
        if left:
            in_turn(partial(slice_of, name, left - 1))

    for name in "abc":
        in_turn(partial(slice_of, name, 1))
    turns = []
    while due:
        this_turn = due[:]
        due.clear()
        called.clear()
        for callback in this_turn:
            callback()
        turns.append("".join(called))

    assert turns == ["a", "a", "b", "b", "c", "c"]
