"""Frames a server sends: exact bytes where clients are known to look at them."""

from __future__ import annotations

import pytest

from conformance.protocol.stage import decode_frames
from soundpost.errors import ProtocolError, SubscriptionError
from soundpost.wire import codes, messages
from soundpost.wire.messages import Subscribe, decode_data, decode_message


def text(frame: bytes) -> str:
    assert len(decode_frames(frame)) == 1
    return frame[frame.index(b"{") :].decode()


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            messages.connection_established("1.2", 30),
            r'{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":30}"}',
        ),
        (messages.error(4001, "no"), '{"event":"pusher:error","data":{"code":4001,"message":"no"}}'),
        (messages.error(None, "no"), '{"event":"pusher:error","data":{"code":null,"message":"no"}}'),
        (
            messages.subscription_succeeded("c"),
            '{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"c"}',
        ),
        (
            messages.subscription_error("private-c", "AuthError", "no", 401),
            r'{"event":"pusher:subscription_error","data":"{\"type\":\"AuthError\",\"error\":\"no\",\"status\":401}",'
            r'"channel":"private-c"}',
        ),
        (
            messages.subscription_count("c", 3),
            r'{"event":"pusher_internal:subscription_count","data":"{\"subscription_count\":3}","channel":"c"}',
        ),
        (
            messages.member_added("presence-c", b'"1"', b'{"n":"x"}'),
            r'{"event":"pusher_internal:member_added","data":"{\"user_id\":\"1\",\"user_info\":{\"n\":\"x\"}}",'
            r'"channel":"presence-c"}',
        ),
        (
            messages.member_removed("presence-c", b"1"),
            r'{"event":"pusher_internal:member_removed","data":"{\"user_id\":1}","channel":"presence-c"}',
        ),
        (messages.cache_miss("cache-c"), '{"event":"pusher:cache_miss","channel":"cache-c"}'),
        (
            messages.signin_success('{"id":"1"}'),
            r'{"event":"pusher:signin_success","data":{"user_data":"{\"id\":\"1\"}"}}',
        ),
        (messages.event("e", "c", '{"a":1}'), r'{"event":"e","data":"{\"a\":1}","channel":"c"}'),
        (messages.client_event("client-e", "c", b"", None), '{"event":"client-e","channel":"c","data":null}'),
        (messages.PING, '{"event":"pusher:ping","data":"{}"}'),
        (messages.PONG, '{"event":"pusher:pong","data":"{}"}'),
    ],
)
def test_exact_text(frame: bytes, expected: str) -> None:
    assert text(frame) == expected


@pytest.mark.parametrize("odd", ['"', "\\", "\n", "\u0000", "ä", "\u2028", "😀", "</script>"])
def test_everything_in_names_and_data_survives(odd: str) -> None:
    assert decode_frames(messages.event(odd, odd, odd)) == [{"event": odd, "data": odd, "channel": odd}]
    assert decode_frames(messages.error(1, odd)) == [{"event": "pusher:error", "data": {"code": 1, "message": odd}}]


def test_decoding_names_what_is_expected() -> None:
    with pytest.raises(ProtocolError, match=r'expected \{"event"') as caught:
        decode_message(b"[]")

    assert caught.value.code == codes.GENERIC_RECONNECT


@pytest.mark.parametrize("data", [b'{"channel":"a","x":1}', rb'"{\"channel\":\"a\"}"'])
def test_data_is_an_object_or_a_string_of_one(data: bytes) -> None:
    message = decode_message(b'{"event":"pusher:subscribe","data":' + data + b"}")

    assert decode_data(message, Subscribe) == Subscribe(channel="a")


@pytest.mark.parametrize("good", [b"{}", b"[]", b"1", b"-0.5e3", b'"x"', b"null", b"true", b'{"a" : [ ]}', b"1e999"])
def test_data_is_kept_as_it_came(good: bytes) -> None:
    assert bytes(decode_message(b'{"event":"client-a","data":' + good + b"}").data) == good


@pytest.mark.parametrize("bad", [b"", b"{", b"nope", b"01", b"NaN", b"[1,]", b'"\\x"', b'"\n"', b"[" * 9_999])
def test_data_that_is_passed_on_unchanged_was_checked(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_message(b'{"event":"client-a","data":' + bad + b"}")


def test_a_subscription_error_is_an_authorization_error_unless_said_otherwise() -> None:
    error = SubscriptionError("private-a", 4009, "no")

    assert (error.type, error.status, error.channel, str(error)) == ("AuthError", 401, "private-a", "no")
