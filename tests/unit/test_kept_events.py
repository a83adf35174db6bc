"""Kept events take little memory, and are what a list of them would be."""

from __future__ import annotations

import tracemalloc
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.backplane.kept_events import KeptEvents
from soundpost.core.history import KeptEvent
from soundpost.wire.frames import text_frame

STEPS: Final = st.lists(
    st.tuples(st.sampled_from(["append", "append", "append but", "drop", "replace"]), st.integers(1, 9)), max_size=40
)


def frame(text: str) -> bytes:
    return text_frame(b'{"data":"%b"}' % text.encode())


@given(STEPS)
def test_they_are_what_a_list_would_be(steps: list[tuple[str, int]]) -> None:
    kept, expected, size, offset = KeptEvents(), list[KeptEvent](), 0, 0
    for step, number in steps:
        if step.startswith("append"):
            offset += number
            event = KeptEvent(offset, frame("x" * number), f"{number}.2" if step == "append but" else None)
            expected.append(event)
            size += kept.append(event)
        elif expected and step == "drop":
            dropped, expected = expected[:number], expected[number:]
            last, freed = kept.drop_first(number)
            assert last == dropped[-1].offset
            size -= freed
        elif expected and step == "replace":
            index = number % len(expected)
            old = expected[index]
            expected[index] = KeptEvent(old.offset, frame("y" * number), old.except_socket_id)
            size += kept.replace_frame(index, frame("y" * number))
        assert kept[:] == expected
        assert kept[1:-1] == expected[1:-1]
        assert kept[::-1] == expected[::-1]
        assert len(kept) == len(expected)
        assert (size > 0) == bool(expected), "all bytes are given back in the end"
        if expected:
            assert (kept[0], kept[-1], kept.first_offset) == (expected[0], expected[-1], expected[0].offset)
        for place in range(offset + 2):
            assert kept.index_after(place) == sum(event.offset <= place for event in expected)


def memory_of(count: int, socket_ids: bool) -> float:
    """Return the bytes of memory beside the frames that each of so many kept events takes, when 100 are kept."""
    tracemalloc.start()
    try:
        lists, size, before = [KeptEvents() for _ in range(100)], 0, tracemalloc.get_traced_memory()[0]
        for offset in range(count):
            for kept in lists:
                excluded = f"{100_000_000 + offset}.{900_000_000 - offset}" if socket_ids else None
                kept.append(KeptEvent(offset, frame(f"{offset:0200}"), excluded))
                if len(kept) > 100:
                    kept.drop_first(1)
        size = sum(len(event.frame) for kept in lists for event in kept[:])
        return (tracemalloc.get_traced_memory()[0] - before - size) / sum(map(len, lists))
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [100, 350])
@pytest.mark.parametrize(("socket_ids", "most"), [(False, 70), (True, 90)])
def test_they_take_little_memory(count: int, socket_ids: bool, most: int) -> None:
    assert 40 < memory_of(count, socket_ids) < most
