"""Whatever a server answers, or something that is none: the HTTP client keeps its bounds and its two exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.http_failures import authorization_refused, unexpected_answer
from soundpost.wire.foreign import number_in, object_in, time_in, title_in
from soundpost.wire.http_exchange import (
    MAX_ANSWER,
    MAX_HEAD,
    MAX_HEADERS,
    MAX_RECEIVED,
    MAX_UNREAD,
    READ_SIZE,
    AnswerReader,
    HeadReader,
    NotHttpError,
)
from soundpost.wire.printable import one_line, printable

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def endless() -> dict[str, Iterator[bytes]]:
    return {
        "a status line": chain([b"HTTP/1.1 200 "], repeat(b"x" * 1000)),
        "headers": chain([OK], (b"X-%d: y\r\n" % number for number in count())),
        "a header's name": chain([OK], repeat(b"x" * 1000)),
        "a header's value": chain([OK, b"X: "], repeat(b"x" * 1000)),
        "long headers": chain([OK], repeat(b"X: " + b"y" * 10_000 + b"\r\n")),
        "interim answers": repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        "interim answers with headers": repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        "empty lines": repeat(b"\r\n" * 100),
        "a body of a length": chain([OK + b"Content-Length: 99999999999\r\n\r\n"], repeat(b"x" * 1000)),
        "a body until the end": chain([OK + b"\r\n"], repeat(b"x" * 1000)),
        "chunks": chain([CHUNKED], repeat(b"1\r\nx\r\n" * 100)),
        "a chunk": chain([CHUNKED + b"fffffff\r\n"], repeat(b"x" * 1000)),
        "a chunk's length": chain([CHUNKED], repeat(b"0" * 1000)),
        "a chunk's extension": chain([CHUNKED + b"1;"], repeat(b"x" * 1000)),
        "chunks with extensions": chain([CHUNKED], repeat(b"1;" + b"x" * 1000 + b"\r\nx\r\n")),
        "trailers": chain([CHUNKED + b"0\r\n"], repeat(b"X: y\r\n")),
        "a trailer": chain([CHUNKED + b"0\r\nX: "], repeat(b"x" * 1000)),
    }


ENDLESS = list(endless())


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_an_end_is_refused(name: str) -> None:
    reader = AnswerReader()

    def bytes_taken() -> Iterator[int]:
        taken = 0
        for part in endless()[name]:
            reader.feed(part)
            taken += len(part)
            yield taken

    with pytest.raises(NotHttpError):
        all(taken <= MAX_RECEIVED for taken in bytes_taken())
    assert reader.answer is None


def test_what_is_just_within_the_limits_is_read() -> None:
    head = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEADERS - 1))
    reader = AnswerReader()
    reader.feed(OK + head + b"Content-Length: %d\r\n\r\n" % MAX_ANSWER)
    for _ in range(0, MAX_ANSWER, READ_SIZE):
        reader.feed(b"x" * READ_SIZE)
    assert reader.answer is not None
    assert len(reader.answer.body) == MAX_ANSWER
    reader = AnswerReader()
    reader.feed(OK + b"X: " + b"y" * (MAX_HEAD - 16) + b"\r\nContent-Length: 0\r\n\r\n")
    assert reader.answer is not None


def test_the_headers_of_an_interim_answer_are_not_the_answers() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nX: 1\r\n\r\n" + OK + b"Y: 2\r\n\r\n{}")
    reader.end()
    assert reader.answer == (200, {"y": "2"}, b"{}")


@pytest.mark.parametrize("more", [OK + b"Content-Length: 2\r\n\r\n[]", b"garbage", b"\r\n"])
def test_what_comes_after_the_answer_is_not_read_and_ends_the_connection(more: bytes) -> None:
    answer = OK + b"Content-Length: 2\r\n\r\n{}"
    for parts in ([answer + more], [answer, more]):
        reader = AnswerReader()
        for part in parts:
            reader.feed(part)
        assert reader.answer is not None
        assert reader.answer.body == b"{}"
        assert not reader.keeps_alive or parts == [answer + b"\r\n"], "an empty line says nothing"


pieces = st.sampled_from(
    [
        OK,
        b"HTTP/1.1 ",
        b"HTTP/1.0 404 No\r\n",
        b"HTTP/1.1 101 Switching\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/2 200\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\0",
        b"Content-Length: 2\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"Date: Mon, 01 Jan 9999 99:99:99 GMT\r\n",
        b" folded\r\n",
        b"{}",
        b"2\r\n{}\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"[" * 5000,
        b"<title>" * 50,
    ]
)


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_answer_whose_body_is_dropped_ends_too(name: str) -> None:
    reader, taken = HeadReader(), 0
    try:
        for part in endless()[name]:
            reader.feed(part)
            taken += len(part)
            if reader.answer is not None:
                break
            assert taken <= MAX_RECEIVED
    except NotHttpError:
        assert reader.answer is None
    else:
        assert reader.head is not None
        assert (reader.answer, reader.keeps_alive) == (reader.head, False)
        assert taken <= 2 * MAX_UNREAD or name == "chunks"
    assert (reader.head is not None) == ("body" in name or "chunk" in name or "trailer" in name)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"X: \x01\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_slips_that_browsers_forgive_are_forgiven_where_only_the_status_counts(answer: bytes) -> None:
    reader = HeadReader()
    reader.feed(answer)
    assert reader.answer is not None
    assert (reader.answer.status, reader.answer.body) == (200, b"")
    with pytest.raises(NotHttpError, match="breaks the rules of HTTP"):
        AnswerReader().feed(answer)


@given(st.lists(pieces | st.binary(max_size=40), max_size=12), st.integers(1, 400))
def test_any_bytes_are_an_answer_or_none(parts: list[bytes], size: int) -> None:
    stream, reader = b"".join(parts), AnswerReader()
    try:
        for at in range(0, len(stream), size):
            reader.feed(stream[at : at + size])
        reader.end()
    except (NotHttpError, EOFError):
        return
    assert reader.answer is not None
    status, headers, body = reader.answer
    text = str(unexpected_answer("http://a", status, headers, body))
    assert text.isprintable()
    assert str(authorization_refused("http://a", status, headers, body)).isprintable()


HOSTILE_TEXTS = [
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"error":' + "[" * 900 + "]" * 900 + "}",
    '{"error":"\ud800"}'.encode(errors="replace").decode(),
    "9" * 100_000,
    "<title>" * 150_000,
    "<title" * 150_000,
    "\x1b]0;owned\x07\x9b2J\u202e\n\r\0" * 1000,
    "Mon, 01 Jan 0001 00:00:00 -0000",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT",
    "²",
    "",
]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=[repr(text[:20]) for text in HOSTILE_TEXTS])
def test_no_text_stops_its_reader(text: str) -> None:
    check(text)


@given(st.text() | st.sampled_from(HOSTILE_TEXTS[3:]))
def test_any_text_can_be_read_and_shown(text: str) -> None:
    check(text)


def check(text: str) -> None:
    raw = text.encode(errors="surrogatepass")
    object_in(text)
    object_in(raw)
    number_in(text)
    time_in(text)
    title_in(raw)
    for shown in (printable(text), one_line(text, 100), one_line(raw, 100)):
        assert not [
            char for char in shown if not char.isprintable() and not char.isspace() and char not in "\u200c\u200d"
        ]
        assert not set(shown) & set("\x1b\x9b\r\n\u2028\u2029\u202e")
    assert len(one_line(text, 100)) <= 101
    for status in (200, 302, 401, 500):
        headers = {"location": text, "server": text, "date": text}
        assert len(str(unexpected_answer("http://a", status, headers, raw))) < 1500
