"""What nodes tell one another over Redis: read back as it was written, and nothing else is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.backplane.redis.messages import (
    Counted,
    Entered,
    Event,
    Forgotten,
    Hello,
    Left,
    Terminate,
    event,
    event_header,
    hello,
    member_blob,
    member_of,
    parse,
    terminate,
)
from soundpost.core.presence import Member


@pytest.mark.parametrize("socket_id", [None, "123.456"])
def test_events(socket_id: str | None) -> None:
    frame = b"\x81\x05 a b\x00"
    assert parse(event(event_header(b"me", 7, socket_id), frame)) == Event(0, b"me", 7, socket_id, frame)
    assert parse(b"S1!12 " + event_header(b"me", 8, socket_id) + frame) == Event(12, b"me", 8, socket_id, frame)


@pytest.mark.parametrize("user_id", ["ann", 1, "1", "with spaces 5 ", "é\n"])
def test_members(user_id: str | int) -> None:
    member = Member(user_id, b'{"a":"b c"}')
    blob = member_blob(member)
    user = member.id.encode()
    entered = parse(b"S1+3 %d %b%b" % (len(user), user, blob))
    assert isinstance(entered, Entered)
    assert (entered.version, entered.member.user_id, entered.member.info_json) == (3, user_id, member.info_json)
    assert member_of(blob).id_json == member.id_json
    assert parse(b"S1-4 %d %b" % (len(user), user)) == Left(4, member.id)


def test_the_rest() -> None:
    assert parse(b"S1#5") == Counted(5)
    assert isinstance(parse(b"S1~"), Forgotten)
    assert parse(hello(3)) == Hello(3)
    assert parse(terminate(b"me", 2, "1", "ann b")) == Terminate(b"me", 2, "1", "ann b")


@given(
    st.binary(max_size=40),
    st.sampled_from([b"", b"S1", b"S1E", b"S1!", b"S1+", b"S1-", b"S1#", b"S1~", b"S1X", b"S1N", b"S2E"]),
)
def test_nothing_else_raises(data: bytes, prefix: bytes) -> None:
    parse(prefix + data)
