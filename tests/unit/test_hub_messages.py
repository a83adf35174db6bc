"""Messages between hub and workers: read back as they were written; other bytes are not a message."""

from __future__ import annotations

import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.backplane.hub_framing import LENGTH_SIZE, Message, MessageReader, encode
from soundpost.backplane.hub_messages import EventMessage, EventsMessage, Snapshot, Terminate
from soundpost.backplane.hub_protocol import checksum
from soundpost.backplane.worker_messages import Join, Leave, Publish, PublishOnce, Report
from soundpost.core.peers import ChannelEvents, IdempotencyKey, OutgoingEvent
from soundpost.core.webhooks import WebhookEvent
from support.hub_stream import arrived, feed

text = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["", " ", "a b", "\n", "\x00", "é", "- 1"])
data = st.binary(max_size=300) | st.sampled_from([b"", b"\x00", b"\xc1", b"\x81\x02{}", b"\x00\x00\x00\x01\xc0"])
number = st.integers(0, 2**63)
outgoing_event = st.builds(OutgoingEvent, text, data, st.none() | text, st.booleans())
channel_events = st.builds(
    ChannelEvents, text, st.lists(data, max_size=3), st.none() | text, st.booleans(), st.booleans()
)
messages = st.one_of(
    st.builds(EventMessage, text, text, data, st.none() | text),
    st.builds(Publish, number, text, outgoing_event),
    st.builds(EventsMessage, text, text, st.lists(data, max_size=3), st.none() | text),
    st.builds(
        PublishOnce,
        number,
        text,
        st.builds(IdempotencyKey, text, text),
        st.lists(outgoing_event, max_size=3),
        st.lists(channel_events, max_size=3),
    ),
    st.builds(Join, number, text, text, st.none() | text | st.integers(-(2**63), 2**63 - 1), data),
    st.builds(Leave, text, text, st.none() | text),
    st.builds(Snapshot, number, st.none() | data, st.none() | data),
    st.builds(Terminate, text, text),
    st.builds(Report, text, st.builds(WebhookEvent, text, text, text, data, number, st.booleans())),
)


@given(st.lists(messages, max_size=5), st.integers(1, 50))
def test_messages_come_back_whatever_is_in_them_and_however_they_are_cut(said: list[Message], size: int) -> None:
    stream = b"".join(map(encode, said))
    reader = MessageReader()
    found: list[Message] = []
    for at in range(0, len(stream), size):
        feed(reader, stream[at : at + size])
        found += arrived(reader)
        assert not reader.has_more
    assert found == said


@given(st.binary(max_size=60), messages)
def test_what_cannot_be_read_is_left_out_and_what_follows_is_not(garbage: bytes, message: Message) -> None:
    reader = MessageReader()
    feed(reader, len(garbage).to_bytes(LENGTH_SIZE, "big") + garbage + encode(message))
    assert reader.has_more
    found = [*arrived(reader)]
    assert found[-1] == message
    assert len(found) == 1 or encode(found[0])


def test_the_room_for_a_very_large_message_is_given_back() -> None:
    reader = MessageReader()
    usual = len(reader.room())
    message = EventsMessage("1", "orders", [b"x" * 2 * usual], None)
    feed(reader, encode(message))
    assert reader.take() == message
    assert len(reader.room()) == usual


def test_it_is_logged_now_and_again(caplog: pytest.LogCaptureFixture) -> None:
    reader = MessageReader()
    with caplog.at_level(logging.WARNING):
        for _ in range(999):
            feed(reader, b"\x00\x00\x00\x01\xc1")
            assert reader.take() is None
    assert len(caplog.records) == 1
    assert "cannot be read" in caplog.text


class Inner(msgspec.Struct, array_like=True):
    name: str


class Outer(msgspec.Struct, tag="outer"):
    """A message."""

    inner: list[Inner]


class Other(msgspec.Struct, tag="other"):
    pass


class Third(msgspec.Struct, tag="third"):
    pass


def outer_of(inner: type) -> type[msgspec.Struct]:
    """Make the message again, with other words about it and other parts in it."""
    return msgspec.defstruct("Outer", [("inner", list[inner])], tag="outer", namespace={"__doc__": "Words."})  # type: ignore[valid-type]


def test_the_protocol_changes_with_every_form_that_is_sent_and_with_nothing_else() -> None:
    before = checksum(Outer | Other)
    assert before == checksum(outer_of(Inner) | Other)
    assert before != checksum(Outer | Other | Third)
    larger = msgspec.defstruct("Inner", [("name", str), ("size", int)], array_like=True)
    assert before != checksum(outer_of(larger) | Other)
