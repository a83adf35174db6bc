"""Data of plain fields is written by a shorter way: the text is the same, to the byte."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from soundpost.broadcasting.serialization import flat_json, to_json
from soundpost.errors import PayloadError

TEXTS = st.text(st.characters(exclude_categories=[]))
PLAIN = st.none() | st.booleans() | st.integers() | TEXTS
OTHER = st.floats() | st.lists(PLAIN) | st.binary()


def text_of(value: Any) -> str | None:
    try:
        return to_json(value, "an event")
    except PayloadError:
        return None


@given(st.dictionaries(TEXTS | st.integers(), PLAIN, max_size=5))
def test_the_text_is_that_of_all_data(value: Any) -> None:
    assert flat_json(value) in (None, text_of(value))


@given(
    st.dictionaries(st.text('ab\x00\x1f\x7f\u2028"\\/ä😀'), st.text('ab\x00\x1f\x7f\u2028"\\/ä😀') | st.integers(-9, 9))
)
def test_texts_and_small_numbers_go_the_shorter_way(value: Any) -> None:
    assert flat_json(value) == text_of(value)


@given(st.dictionaries(TEXTS, OTHER, min_size=1) | OTHER | PLAIN)
def test_other_data_does_not(value: Any) -> None:
    assert flat_json(value) is None


def test_an_integer_that_python_does_not_write_is_told_as_before() -> None:
    assert flat_json({"number": 10**5_000}) is None
