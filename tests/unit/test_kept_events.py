"""Kept events take little memory, and are what a list of them would be."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from soundpost.backplane.kept_events import KeptEvents
from soundpost.core.history import KeptEvent

STEPS: Final = st.lists(
    st.tuples(st.sampled_from(["append", "append", "append but", "drop", "replace"]), st.integers(1, 9)), max_size=40
)


@given(STEPS)
def test_they_are_what_a_list_would_be(steps: list[tuple[str, int]]) -> None:
    kept, expected, size, offset = KeptEvents(), list[KeptEvent](), 0, 0
    for step, number in steps:
        if step.startswith("append"):
            offset += number
            event = KeptEvent(offset, b"x" * number, "1.2" if step == "append but" else None)
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
            expected[index] = KeptEvent(old.offset, b"y" * number, old.except_socket_id)
            size += kept.replace_frame(index, b"y" * number)
        assert kept[:] == expected
        assert kept[1:-1] == expected[1:-1]
        assert kept[::-1] == expected[::-1]
        assert len(kept) == len(expected)
        assert (size > 0) == bool(expected), "all bytes are given back in the end"
        if expected:
            assert (kept[0], kept[-1], kept.first_offset) == (expected[0], expected[-1], expected[0].offset)
        for place in range(offset + 2):
            assert kept.index_after(place) == sum(event.offset <= place for event in expected)
