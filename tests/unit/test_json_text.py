"""Reading and writing JSON from outside: half characters, the limit of depth, and one error for everything wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.errors import JsonError, JsonShapeError
from soundpost.wire.json_text import MAX_JSON_DEPTH, Reader, encode, read_json, read_object, reader


class Shape(msgspec.Struct):
    name: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    more: list[str] = []


read_shape = reader(Shape)

any_text = st.text(st.characters(codec=None, categories=None) | st.sampled_from('\ud83d\ude00\udc00\udbff\\"u{}[]'))
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(any_text, inner, max_size=5),
    max_leaves=20,
)


def nested(depth: int, kind: str) -> str:
    """JSON of so many arrays, objects or both within one another."""
    opening = {"[": "[", "{": '{"a":', "both": '[{"]":'}[kind]
    closing = {"[": "]", "{": "}", "both": "}]"}[kind]
    levels = depth // (2 if kind == "both" else 1)
    return opening * levels + ("1" if kind != "[" else "") + closing * levels


@given(any_json)
def test_what_python_writes_is_read(value: Any) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        if "\ud83d\ude00" not in text:  # two halves side by side are one character to whoever reads the escapes
            assert json.dumps(read_json(text)) == json.dumps(json.loads(json.dumps(value)))


@given(any_json)
def test_what_is_written_is_utf_8_and_reads_as_the_same(value: Any) -> None:
    written = encode(value)

    assert json.loads(written.decode()) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d"', "\ud83d"),
        (r'"\uD83D"', "\ud83d"),
        (r'"\ude00"', "\ude00"),
        (r'"\ude00\ud83d"', "\ude00\ud83d"),
        (r'"\ud83d\ud83d\ude00"', "\ud83d😀"),
        (r'"\ud83d\u0041\n"', "\ud83dA\n"),
        (r'"\\ud83d\ud83d"', "\\ud83d\ud83d"),
        (r'"\\\ud83d"', "\\\ud83d"),
        (r'{"\ud83d":["\ud83d",{"a":"\ude00"}]}', {"\ud83d": ["\ud83d", {"a": "\ude00"}]}),
        (r'{"b":"\ud83d","a":1,"c":2}', {"b": "\ud83d", "a": 1, "c": 2}),
        ('"😀 \\ud83d"', "😀 \ud83d"),
    ],
)
def test_half_a_character_is_read(text: str, value: Any) -> None:
    for form in (text, text.encode()):
        found = read_json(form)
        assert found == value
        assert not isinstance(found, dict) or list(found) == list(value)


def test_half_a_character_in_a_shape_leaves_raw_json_as_it_was() -> None:
    found = read_shape(
        r'{"name":"cut \ud83d","data":{"n":1.50,"t":"\uD83D \\ud83d"},"more":["\ude00"],"other":"\ud83d"}'
    )

    assert (found.name, found.more) == ("cut \ud83d", ["\ude00"])
    assert bytes(found.data) == rb'{"n":1.50,"t":"\uD83D \\ud83d"}'


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", r'"\x"', r'["\ud83d","\x"]', r'"\ud83', r'"\ud83"', "NaN", r'["\ud83d",NaN]', "01", "\ud83d"],
)
def test_what_is_no_json_is_one_error(text: str) -> None:
    with pytest.raises(JsonError):
        read_json(text)


@pytest.mark.parametrize("data", [b"\xff", b'"\xed\xa0\xbd"', b'"\xff \\ud83d"'])
def test_what_is_no_utf_8_is_one_error(data: bytes) -> None:
    with pytest.raises(JsonError):
        read_json(data)


def outcome(read: Callable[[Any], Any], text: Any) -> tuple[Any, str]:
    """Return what was read, or the kind of the error, and its message."""
    try:
        return read(text), ""
    except JsonError as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"name":"a"}',
        rb'{"name":"\ud83d"}',
        b'{"name":"\xff"}',
        b'{"name":1}',
        b'{"name":',
        b" " * 2_000 + b"{}",
    ]
    + [b'{"name":"a","data":' + nested(depth, "[").encode() + b"}" for depth in (3, MAX_JSON_DEPTH, 100_000)],
)
def test_a_part_of_another_text_is_read_as_a_text_is(text: bytes) -> None:
    of_shape = Reader(Shape)

    assert outcome(of_shape.read_raw, msgspec.Raw(text)) == outcome(of_shape.read, text)


@pytest.mark.parametrize("text", ["[]", "{}", '{"name":1}', r'{"name":"\ud83d","more":"\ud83d"}', r'["\ud83d"]'])
def test_json_of_another_shape_is_an_error_that_names_the_place(text: str) -> None:
    with pytest.raises(JsonShapeError, match=r"Expected|missing"):
        read_shape(text)


def test_an_object_is_asked_for() -> None:
    with pytest.raises(JsonShapeError):
        read_object("[]")


@pytest.mark.parametrize("kind", ["[", "{", "both"])
@pytest.mark.parametrize("half", ["", r'"\ud83d"'])
def test_the_limit_of_depth_is_exact(kind: str, half: str) -> None:
    for wrapped in (False, True):
        deepest = nested(MAX_JSON_DEPTH - wrapped * 2, kind)
        deeper = nested(MAX_JSON_DEPTH + 2 - wrapped * 2, kind)
        if wrapped:
            deepest, deeper = (f'[{half or 0},{{"x":{text}}}]' for text in (deepest, deeper))
        read_json(deepest)
        with pytest.raises(JsonError, match=f"more than {MAX_JSON_DEPTH} deep"):
            read_json(deeper)


@pytest.mark.parametrize("depth", [600, 5_000, 100_000])
@pytest.mark.parametrize("closed", [True, False])
def test_the_limit_holds_for_raw_json_and_for_what_no_field_takes(depth: int, closed: bool) -> None:
    deep = "[" * depth + "]" * depth * closed
    for text in (f'{{"name":"x","data":{deep}}}', f'{{"name":"x","unknown":{deep}}}'):
        with pytest.raises(JsonError):
            read_shape(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" + "[]," * 5_000 + "{}]",
        json.dumps("[{" * 5_000),
        json.dumps(['"[' * 600, "\\" * 601, '\\"[{' * 600, {"[" * 600: "{" * 600}]),
        "[" * 500 + "]" * 500,
    ],
)
def test_many_brackets_are_not_deep(text: str) -> None:
    assert read_json(text) == json.loads(text)


@pytest.mark.parametrize("text", [nested(MAX_JSON_DEPTH, "["), "[" * 500 + r'"\ud83d"' + "]" * 500])
def test_no_recursion_error_escapes_however_deep_the_caller_is(text: str) -> None:
    def call(depth: int) -> None:
        if depth:
            call(depth - 1)
            return
        with suppress(JsonError):  # newer Pythons count frames and the decoder's own depth apart: it is read there
            read_json(text)

    call(850)
