"""Messages on topics in Redis: read back as they were written; other bytes are not a message."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soundpost.backplane.redis.message_fields import join_fields, member_blob, member_of, split_fields
from soundpost.backplane.redis.received import event_fault, is_json, largest_frame
from soundpost.backplane.redis.topic_messages import (
    MAGIC,
    Counted,
    Entered,
    EventMessage,
    Forgotten,
    Hello,
    HistoryMessage,
    Inspect,
    Inspected,
    Left,
    Message,
    Restart,
    Tailed,
    Terminate,
    UserStatus,
    event,
    hello,
    inspect,
    inspected,
    is_of_another_version,
    parse,
    tailed,
    terminate,
)
from soundpost.core.app_settings import AppSettings
from soundpost.core.member import Member
from soundpost.wire import messages
from soundpost.wire.frames import BINARY, CLOSE, encode_frame, text_frame
from soundpost.wire.json_text import encode
from soundpost.wire.positions import MAX_OFFSET

APP = AppSettings(id="1", key="k", secret="s")
KINDS = [MAGIC + kind for kind in (b"E", b"!", b"+", b"-", b"~", b"#", b"N", b"R", b"X", b"O", b"I", b"A", b"T", b"")]

field = st.binary(max_size=300) | st.sampled_from([b"", b" ", b"\n", b"\x00", b"S2E", b"S1E me 1 - ", b"\x81\x02{}"])
origin = st.binary(max_size=64) | st.sampled_from([b"", b" ", b"me 1 - ", b"S2E"])
number = st.integers(0, 10**18 - 1)
socket_id = st.none() | st.from_regex(r"[0-9]{1,20}\.[0-9]{1,20}", fullmatch=True)
text = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["", " ", "a b", "\n", "\x00", "4 ann", "é"])
json_value = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | text, st.lists, max_leaves=5)


@given(st.lists(field, max_size=9))
def test_fields_come_back_whatever_is_in_them(fields: list[bytes]) -> None:
    assert split_fields(join_fields(fields), len(fields)) == fields


@given(origin, number, socket_id, field)
def test_an_event_is_read_back_as_written(origin: bytes, number: int, socket_id: str | None, frame: bytes) -> None:
    assert parse(event(origin, number, socket_id, frame)) == EventMessage(0, origin, number, socket_id, frame)


@given(origin, number, field)
def test_what_operators_ask(origin: bytes, number: int, body: bytes) -> None:
    assert parse(inspect(origin, number, body)) == Inspect(origin, number, body)
    assert parse(inspected(origin, number, body)) == Inspected(origin, number, body)
    assert parse(tailed(body)) == Tailed(body)


@given(origin, number, number, socket_id, field)
def test_a_kept_event_is_read_with_its_version(
    origin: bytes, version: int, number: int, socket_id: str | None, frame: bytes
) -> None:
    excluded = b"" if socket_id is None else socket_id.encode()
    fields = (b"%d" % version, origin, b"%d" % number, excluded, frame)
    assert parse(MAGIC + b"!" + join_fields(fields)) == EventMessage(version, origin, number, socket_id, frame)


def of_history(event: HistoryMessage) -> bytes:
    """The message that the script makes."""
    excluded = event.except_socket_id or ""
    head = f"{event.version} {event.generation} {event.offset} {event.before} {event.id} {excluded} "
    return MAGIC + b"H" + head.encode() + event.frame


@given(
    st.builds(
        HistoryMessage,
        number,
        st.from_regex(r"[A-Za-z0-9]{1,16}", fullmatch=True),
        st.integers(0, MAX_OFFSET),
        st.integers(0, MAX_OFFSET),
        st.from_regex(r"[A-Za-z0-9_=-]{1,24}", fullmatch=True),
        socket_id,
        field,
    )
)
def test_events_of_histories(event: HistoryMessage) -> None:
    assert parse(of_history(event)) == event


@given(st.from_regex(rb"[0-9a-z. ]{0,90}", fullmatch=True))
@example(b"0 gen 2 1  1.2 frame")
@example(b"0 gen 2 1 id 1.2")
@example(b"0 gen 2 1 id 12 frame")
@example(b"0 gen 2 01 id  frame")
@example(b"0 gen 9007199254740992 1 id  frame")
@example(b"0 gen 2 9007199254740992 id  frame")
@example(b'0 g"n 2 1 id  frame')
@example(b'0 gen 2 1 i"d  frame')
def test_no_other_bytes_are_an_event_of_a_history(data: bytes) -> None:
    message = parse(MAGIC + b"H" + data)
    assert message is None or (isinstance(message, HistoryMessage) and of_history(message) == MAGIC + b"H" + data)


@given(text | st.integers(-(2**63), 2**63 - 1), json_value, number)
def test_a_member_is_read_back_as_written(user_id: str | int, info: object, version: int) -> None:
    member = Member(user_id, encode(info))
    found = member_of(member_blob(member))
    assert (found.user_id, found.id_json, found.info_json) == (member.user_id, member.id_json, member.info_json)

    entered = parse(MAGIC + b"+" + join_fields((b"%d" % version, member_blob(member))))
    assert isinstance(entered, Entered)
    assert (entered.version, entered.member.user_id, entered.member.info_json) == (
        version,
        member.user_id,
        member.info_json,
    )
    left = parse(MAGIC + b"-" + join_fields((b"%d" % version, member.id.encode())))
    assert left == Left(version, member.id)


@given(origin, number, text, text)
def test_a_termination_is_read_back_as_written(origin: bytes, number: int, app_id: str, user_id: str) -> None:
    assert parse(terminate(origin, number, app_id, user_id)) == Terminate(origin, number, app_id, user_id)


@given(number, field)
def test_all_other_kinds_of_messages_are_read_back(number: int, order: bytes) -> None:
    assert parse(hello(number)) == Hello(number)
    assert parse(MAGIC + b"#" + join_fields((b"%d" % number,))) == Counted(number)
    assert parse(MAGIC + b"R" + join_fields((order,))) == Restart(order)
    for state, is_online in ((b"1", True), (b"0", False)):
        assert parse(MAGIC + b"O" + join_fields((state,))) == UserStatus(is_online)
    assert isinstance(parse(MAGIC + b"~"), Forgotten)


@given(st.sampled_from(KINDS), st.binary(max_size=60))
@example(b"S2E", join_fields((b"me", b"1", b"x y", b"\x81\x02{}")))
@example(b"S2E", join_fields((b"me", b"1", "１.２".encode(), b"\x81\x02{}")))
@example(b"S2E", join_fields((b"me", b"-1", b"", b"\x81\x02{}")))
@example(b"S2E", join_fields((b"m" * 65, b"1", b"", b"\x81\x02{}")))
@example(b"S2E", join_fields((b"me", b"1_0", b"", b"\x81\x02{}")))
@example(b"S2E", b"\xff\xff\xff\xff" * 4)
@example(b"S2#", join_fields((b"9" * 5_000,)))
@example(b"S2+", join_fields((b"1", b"1 1\xff")))
@example(b"S2+", join_fields((b"1", b"9 1")))
@example(b"S2+", join_fields((b"1", b"x" * 9)))
@example(b"S2+", join_fields((b"1", b"2 []null")))
@example(b"S2-", join_fields((b"1", b"\xff")))
@example(b"S2~", b"x")
def test_no_other_bytes_raise_or_are_half_read(kind: bytes, data: bytes) -> None:
    """Any bytes that are a message are exactly the bytes that would be written for it."""
    message = parse(kind + data)
    assert message is None or isinstance(message, Entered) or _again(message, kind == b"S2!") == kind + data


def _again(message: Message, is_kept: bool) -> bytes:
    if isinstance(message, EventMessage):
        plain = event(message.origin, message.number, message.except_socket_id, message.frame)
        kept = MAGIC + b"!" + join_fields((b"%d" % message.version, *split_fields(plain, 4, 3)))
        return kept if is_kept else plain
    if isinstance(message, Left):
        return MAGIC + b"-" + join_fields((b"%d" % message.version, message.user_id.encode()))
    if isinstance(message, Counted):
        return MAGIC + b"#" + join_fields((b"%d" % message.subscriptions,))
    if isinstance(message, Forgotten):
        return MAGIC + b"~"
    if isinstance(message, Terminate):
        return terminate(*message)
    if isinstance(message, Hello):
        return hello(message.nodes)
    if isinstance(message, UserStatus):
        return MAGIC + b"O" + join_fields((b"%d" % message.is_online,))
    if isinstance(message, Restart):
        return MAGIC + b"R" + join_fields((message.order,))
    raise AssertionError(message)


@given(st.binary(max_size=40))
def test_versions_do_not_read_each_other(rest: bytes) -> None:
    for version in (b"S0", b"S1", b"S3", b"S9"):
        assert parse(version + rest) is None
        assert is_of_another_version(version + rest)
    assert not is_of_another_version(MAGIC + rest)


@pytest.mark.parametrize("data", [b"", b"S", b"{}", b"Sx1", b"X2E"])
def test_what_is_no_message_is_of_no_version(data: bytes) -> None:
    assert parse(data) is None
    assert not is_of_another_version(data)


# What may reach clients


@given(text.filter(bool), text)
def test_every_event_of_a_publisher_may(name: str, data: str) -> None:
    assert event_fault(messages.event(name, "private-a", data), "private-a", 10**6) is None


@given(text, json_value, st.none() | text)
def test_every_client_event_may(name: str, data: object, user_id: str | None) -> None:
    frame = messages.client_event(f"client-{name}", "presence-a", encode(data), user_id)
    assert event_fault(frame, "presence-a", 10**6) is None


def test_half_an_emoji_may() -> None:
    frame = messages.client_event("client-a", "private-a", b'{"text":"\\ud83d"}', None)
    assert event_fault(frame, "private-a", 10**6) is None
    assert is_json(b'"\\ud83d"')


@pytest.mark.parametrize("data", ["x", "\x00", '"', "é", "😀", "\u2028"])
def test_the_largest_event_fits(data: str) -> None:
    largest = data * (APP.max_event_data_size // len(data.encode()))
    name, channel = "\x00" * APP.max_event_name_length, "#server-to-user-" + "😀" * (APP.max_channel_name_length - 16)
    assert event_fault(messages.event(name, channel, largest), channel, largest_frame(APP)) is None


GOOD = b'{"event":"e","data":"d","channel":"private-a"}'


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x81",
        b"\x81\x02{}",
        b"raw",
        GOOD,
        text_frame(GOOD)[:-1],
        text_frame(GOOD) + b"x",
        text_frame(GOOD) + text_frame(GOOD),
        b"\x01" + text_frame(GOOD)[1:],  # not final
        b"\xc1" + text_frame(GOOD)[1:],  # a reserved bit
        b"\x81\x7e\x00" + bytes([len(GOOD)]) + GOOD,  # not the shortest length
        b"\x81\x7f" + len(GOOD).to_bytes(8, "big") + GOOD,
        b"\x81" + bytes([len(GOOD) | 0x80]) + b"\x00" * 4 + GOOD,  # masked
        encode_frame(BINARY, GOOD),
        encode_frame(CLOSE, b"\x0f\xa0"),
        encode_frame(0x9, b""),
        text_frame(b"[]"),
        text_frame(b'"private-a"'),
        text_frame(GOOD + b"x"),
        text_frame(GOOD.replace(b'"d"', b"d")),
        text_frame(GOOD.replace(b'"d"', b'"\xff"')),
        text_frame(GOOD.replace(b'"d"', b'"\xed\xa0\xbd"')),
        text_frame(GOOD.replace(b'"d"', b"[" * 100_000)),
        text_frame(GOOD.replace(b"private-a", b"private-b")),
        text_frame(GOOD[:-1] + b',"channel":"private-b"}'),
        text_frame(GOOD[:-1] + b',"ch\\u0061nnel":"private-b"}'),
        text_frame(b'{"data":"d","channel":"private-a"}'),
        text_frame(b'{"event":1,"data":"d","channel":"private-a"}'),
        text_frame(b'{"event":"e","data":"d"}'),
        text_frame(GOOD.replace(b'"d"', b'"' + b"x" * 1_000_000 + b'"')),
    ],
)
def test_nothing_else_may(frame: bytes) -> None:
    assert event_fault(frame, "private-a", largest_frame(APP)) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        b"NaN",
        b'["\\ud83d", NaN]',
        b"[" * 100_000,
        b"1 2",
        b"{1:2}",
    ],
)
def test_what_is_no_json(data: bytes) -> None:
    assert not is_json(data)


@given(st.binary(max_size=100) | st.text(max_size=50).map(lambda text: json.dumps(text).encode()))
def test_nothing_raises_where_json_is_looked_for(data: bytes) -> None:
    if is_json(data):
        json.loads(data.decode())
