"""RFC 6455, section 8.1: text is UTF-8, and what is not ends the connection at its first wrong byte."""

from __future__ import annotations

import json

import pytest

from soundpost.errors import FrameError
from soundpost.wire.frames import CONTINUATION, INVALID_PAYLOAD, PING, TEXT, FrameReader, Message, read_single
from support.harness import RunningServer, client_frame, fragments, ping_message

VALID: dict[str, bytes] = {
    "ASCII": b"plain",
    "NUL": b"\0",
    "last of one byte": b"\x7f",
    "first of two bytes": b"\xc2\x80",
    "last of two bytes": b"\xdf\xbf",
    "first of three bytes": b"\xe0\xa0\x80",
    "before the surrogates": b"\xed\x9f\xbf",
    "after the surrogates": b"\xee\x80\x80",
    "byte order mark": b"\xef\xbb\xbf",
    "replacement character": b"\xef\xbf\xbd",
    "noncharacter U+FFFE": b"\xef\xbf\xbe",
    "noncharacter U+FFFF": b"\xef\xbf\xbf",
    "first of four bytes": b"\xf0\x90\x80\x80",
    "noncharacter U+1FFFF": b"\xf0\x9f\xbf\xbf",
    "last of all, U+10FFFF": b"\xf4\x8f\xbf\xbf",
    "Greek": "κόσμε".encode(),
    "Hello, of every length": "Hello-µ@ßöäüàá-UTF-8!! 𝄞 日本".encode(),
}

# The bytes, and the index of the first that no valid text could have there; None: only the end is missing.
INVALID: dict[str, tuple[bytes, int | None]] = {
    "lone continuation 80": (b"\x80", 0),
    "lone continuation bf": (b"ab\xbf", 2),
    "overlong slash in two": (b"\xc0\xaf", 0),
    "overlong in two, last": (b"\xc1\xbf", 0),
    "overlong slash in three": (b"\xe0\x80\xaf", 1),
    "overlong in three, last": (b"\xe0\x9f\xbf", 1),
    "overlong slash in four": (b"\xf0\x80\x80\xaf", 1),
    "overlong in four, last": (b"\xf0\x8f\xbf\xbf", 1),
    "overlong NUL": (b"\xc0\x80", 0),
    "first surrogate": (b"\xed\xa0\x80", 1),
    "last high surrogate": (b"\xed\xaf\xbf", 1),
    "first low surrogate": (b"\xed\xb0\x80", 1),
    "last surrogate": (b"\xed\xbf\xbf", 1),
    "surrogate pair": (b"\xed\xa0\x80\xed\xb0\x80", 1),
    "above U+10FFFF": (b"\xf4\x90\x80\x80", 1),
    "far above U+10FFFF": (b"\xf7\xbf\xbf\xbf", 0),
    "first byte f5": (b"\xf5\x80\x80\x80", 0),
    "five bytes": (b"\xf8\x88\x80\x80\x80", 0),
    "six bytes": (b"\xfc\x84\x80\x80\x80\x80", 0),
    "byte fe": (b"\xfe", 0),
    "byte ff": (b"ok\xff", 2),
    "two bytes, second wrong": (b"\xc3(", 1),
    "three bytes, third wrong": (b"\xe2\x82(", 2),
    "four bytes, fourth wrong": (b"\xf0\x9f\x98(", 3),
    "Greek, then a surrogate": ("κόσμε".encode() + b"\xed\xa0\x80edited", 11),
    "truncated two": (b"\xc3", None),
    "truncated three": (b"\xe2\x82", None),
    "truncated four": (b"\xf0\x9f\x98", None),
    "truncated after text": (b"text\xe2", None),
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_valid_text_is_read_in_any_fragments(text: bytes) -> None:
    whole = client_frame(TEXT, text)
    assert read_single(whole, 1000) == text
    assert list(FrameReader(1000).feed(whole)) == [Message(TEXT, text)]

    for cut in range(len(text) + 1):
        data, reader = fragments(TEXT, [text[:cut], b"", text[cut:]]), FrameReader(1000)
        assert [m for octet in data for m in reader.feed(bytes([octet]))] == [Message(TEXT, text)]


@pytest.mark.parametrize(("text", "bad"), INVALID.values(), ids=INVALID.keys())
def test_invalid_text_is_refused_in_any_fragments(text: bytes, bad: int | None) -> None:
    assert read_single(client_frame(TEXT, text), 1000) is None
    for cut in range(len(text) + 1):
        with pytest.raises(FrameError) as refusal:
            list(FrameReader(1000).feed(fragments(TEXT, [text[:cut], text[cut:]])))
        assert refusal.value.code == INVALID_PAYLOAD


@pytest.mark.parametrize(("text", "bad"), INVALID.values(), ids=INVALID.keys())
def test_invalid_text_is_refused_at_its_first_wrong_byte(text: bytes, bad: int | None) -> None:
    data = client_frame(TEXT, text + b"more to come")
    head = 6
    last_good = head + (len(text) if bad is None else bad)
    reader = FrameReader(1000)

    for octet in data[:last_good]:
        assert list(reader.feed(bytes([octet]))) == []
    with pytest.raises(FrameError) as refusal:
        list(reader.feed(data[last_good : last_good + 1]))

    assert refusal.value.code == INVALID_PAYLOAD


def test_sequence_split_by_a_control_frame_is_whole_again() -> None:
    data = (
        client_frame(TEXT, b"\xe2", fin=False) + client_frame(PING, b"\xff") + client_frame(CONTINUATION, b"\x82\xac")
    )

    assert list(FrameReader(100).feed(data)) == [Message(PING, b"\xff"), Message(TEXT, b"\xe2\x82\xac")]


def test_binary_and_control_frames_need_not_be_text() -> None:
    assert list(FrameReader(100).feed(client_frame(2, b"\xff\xfe"))) == [Message(2, b"\xff\xfe")]
    assert list(FrameReader(100).feed(client_frame(PING, b"\xff\xfe"))) == [Message(PING, b"\xff\xfe")]


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_valid_text_is_answered(server: RunningServer, text: bytes) -> None:
    data = json.dumps(text.decode(), ensure_ascii=False).encode()
    with server.connect() as client:
        client.send_frame(TEXT, b'{"event":"pusher:ping","data":' + data + b"}")

        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize(("text", "bad"), INVALID.values(), ids=INVALID.keys())
def test_invalid_text_closes_with_1007(server: RunningServer, text: bytes, bad: int | None) -> None:
    with server.connect() as client:
        client.send(client_frame(TEXT, ping_message()) + client_frame(TEXT, b'{"event":"' + text))

        assert client.read_event()["event"] == "pusher:pong"
        assert client.read_close_code() == INVALID_PAYLOAD


@pytest.mark.parametrize(
    ("text", "bad"),
    [(t, b) for t, b in INVALID.values() if b is not None],
    ids=[n for n, v in INVALID.items() if v[1] is not None],
)
def test_invalid_text_closes_before_its_frame_is_complete(server: RunningServer, text: bytes, bad: int) -> None:
    with server.connect() as client:
        client.send(client_frame(TEXT, text[: bad + 1], length=5000))

        assert client.read_close_code() == INVALID_PAYLOAD


def test_invalid_text_closes_before_its_message_is_complete(server: RunningServer) -> None:
    with server.connect() as client:
        client.send_frame(TEXT, b"\xf0\x9f", fin=False)
        client.send_frame(CONTINUATION, b"", fin=False)
        client.send_frame(PING, b"still there")
        assert client.read_frame()[1] == b"still there"
        client.send_frame(CONTINUATION, b"(", fin=False)

        assert client.read_close_code() == INVALID_PAYLOAD
