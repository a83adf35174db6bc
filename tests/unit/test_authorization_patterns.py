"""Patterns of channel names: a pattern matches a whole name, and never do two match one name."""

from __future__ import annotations

import re
import string
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soundpost.broadcasting.authorization.patterns import CONVERTERS, Pattern
from soundpost.errors import RouteError

ID = "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize(
    ("pattern", "name", "parameters"),
    [
        ("orders", "orders", {}),
        ("orders.{id}", "orders.7", {"id": "7"}),
        ("orders.{id}", "orders.a=b,c;d@e", {"id": "a=b,c;d@e"}),
        ("orders.{id:int}", "orders.7", {"id": 7}),
        ("orders.{id:int}", "orders.007", {"id": 7}),
        ("orders.{id:uuid}", f"orders.{ID}", {"id": UUID(ID)}),
        ("{a:slug}.{b}-x", "a_b-c.d-x", {"a": "a_b-c", "b": "d"}),
        ("App.Models.User.{id}", "App.Models.User.7", {"id": "7"}),
        ("{a}", "a", {"a": "a"}),
    ],
)
def test_names_that_fit(pattern: str, name: str, parameters: dict[str, Any]) -> None:
    assert Pattern(pattern).match(name) == parameters


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("orders", "orders2"),
        ("orders", "my-orders"),
        ("orders.{id}", "orders.7.lines"),
        ("orders.{id}", "orders."),
        ("orders.{id}", "Xorders.7"),
        ("orders.{id}", "ordersX7"),
        ("orders.{id}", "orders.7\n"),
        ("orders.{id:int}", "orders.-7"),
        ("orders.{id:int}", "orders.7a"),
        ("orders.{id:int}", "orders.７"),
        ("orders.{id:int}", "orders." + "9" * 20),
        ("orders.{id:slug}", "orders.a=b"),
        ("orders.{id:uuid}", "orders." + ID[:-1]),
        ("a+", "aa"),
    ],
)
def test_names_that_do_not(pattern: str, name: str) -> None:
    if pattern == "a+":
        with pytest.raises(RouteError):
            Pattern(pattern)
    else:
        assert Pattern(pattern).match(name) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "a name is needed"),
        ("private-orders", "leave out the prefix 'private-'"),
        ("presence-room.{id}", "leave out the prefix 'presence-'"),
        ("cache-orders", "leave out the prefix 'cache-'"),
        ("encrypted-orders", "leave out the prefix 'encrypted-'"),
        ("orders {id}", "'orders ' has characters that no channel name may have"),
        ("orders.{id:integer}", "unknown converter 'integer': str, int, slug, uuid"),
        ("orders.{7}", "{7} is not a parameter: {name} or {name:int}"),
        ("orders.{}", "{} is not a parameter"),
        ("orders.{a}.{a}", "the parameter 'a' is there twice"),
        ("{a}{b}", "two parameters need something between them"),
        ("orders.{id", "'orders.{id' has characters"),
        ("orders.*", "'orders.*' has characters"),
    ],
)
def test_wrong_patterns_are_named(pattern: str, reason: str) -> None:
    with pytest.raises(RouteError) as caught:
        Pattern(pattern)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("orders.{id}", "orders.{number}", True),
        ("orders.{id}", "orders.new", True),
        ("orders.{id:int}", "orders.new", False),
        ("orders.{id:int}", "orders.7", True),
        ("orders.{id:int}", "orders.{name:slug}", True),
        ("orders.{id:uuid}", "orders.{id:int}", False),
        ("orders.{id:uuid}", "orders.feed", False),
        ("orders.{id:uuid}", f"orders.{ID}", True),
        ("orders.{id:uuid}", "orders.{a}", True),
        ("orders.{id:uuid}", "orders.{a:slug}-{b:int}", True),
        ("orders.{id}", "orders.{id}.lines", False),
        ("{a}.lines", "orders.{b}", True),
        ("{a}-{b}", "x-y-z", True),
        ("a{x:int}", "{x:int}a", False),
        ("a{x}", "{x}a", True),
        ("teams", "team{x}", True),
        ("team", "teams", False),
    ],
)
def test_patterns_overlap_if_one_name_matches_both(one: str, other: str, common: bool) -> None:
    for first, second in ((one, other), (other, one)):
        found = Pattern(first).overlaps(Pattern(second))
        assert (found is not None) is common
        if found is not None:
            assert Pattern(first).match(found) is not None
            assert Pattern(second).match(found) is not None


# Few letters, so that patterns meet
_LITERAL = st.text("ab0.-", min_size=1, max_size=3).filter(lambda text: not re.match("private-|presence-", text))
_KIND = st.sampled_from([*CONVERTERS])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    parts: list[str] = []
    for number in range(draw(st.integers(1, 4))):
        is_parameter = not (parts and parts[-1].startswith("{")) and draw(st.booleans())
        parts.append(f"{{p{number}:{draw(_KIND)}}}" if is_parameter else draw(_LITERAL))
    return "".join(parts)


@given(patterns(), patterns())
@example("{a:int}", "00000000000000000000")
def test_a_name_that_is_said_to_fit_both_does(one: str, other: str) -> None:
    first, second = Pattern(one), Pattern(other)
    common = first.overlaps(second)
    if common is not None and len(common) < 20:
        assert first.match(common) is not None
        assert second.match(common) is not None


_VALUES = {
    "str": st.text(string.ascii_letters + string.digits + "-_=@,;", min_size=1, max_size=6),
    "int": st.integers(0, 10**6).map(str),
    "slug": st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=6),
    "uuid": st.uuids().map(str),
}


@given(st.data(), patterns(), patterns())
def test_patterns_that_match_the_same_name_overlap(data: st.DataObject, one: str, other: str) -> None:
    """Names made from one of them; few letters, so that the other matches now and then."""
    few = {**_VALUES, "str": st.text("ab0-", min_size=1, max_size=4), "slug": st.text("ab0-", min_size=1, max_size=4)}
    name = re.sub(r"\{\w+:(\w+)\}", lambda match: data.draw(few[match[1]]), one)
    first, second = Pattern(one), Pattern(other)
    if first.match(name) is not None and second.match(name) is not None:
        assert first.overlaps(second) is not None
        assert second.overlaps(first) is not None


@given(patterns(), st.text(max_size=20))
def test_any_text_is_matched_or_not(pattern: str, name: str) -> None:
    Pattern(pattern).match(name)
