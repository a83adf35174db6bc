"""The client's rules: addresses, signatures, what a close code asks for, what an event is."""

from __future__ import annotations

from typing import Any

import pytest

from soundpost.client.address import socket_url
from soundpost.client.authorization import ChannelAuth, with_secret
from soundpost.client.incoming import ReceivedEvent, decode_frame
from soundpost.client.members import Members
from soundpost.client.reconnection import Action, action_for, delay_before
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import is_loopback_url
from soundpost.wire.signatures import sign


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/app/a%2Fb?protocol=7&client=soundpost&version="),
        ("https://ws.example.com/ws/", "wss://ws.example.com/ws/app/a%2Fb?protocol=7&client=soundpost&version="),
        ("http://h:1/ws?a=b&c=%20", "ws://h:1/ws/app/a%2Fb?a=b&c=%20&protocol=7&client=soundpost&version="),
        ("wss://ws.example.com", "wss://ws.example.com/app/a%2Fb?protocol=7&client=soundpost&version="),
    ],
)
def test_a_base_url_becomes_the_url_of_the_websocket(base_url: str, expected: str) -> None:
    assert socket_url(base_url, "a/b").startswith(expected)


def test_only_urls_of_this_machine_are_loopback() -> None:
    assert all(
        map(is_loopback_url, ("http://127.0.0.1:1", "http://localhost", "http://[::1]:80", "http://a.localhost"))
    )
    assert not any(map(is_loopback_url, ("http://10.0.0.1", "https://localhost.example.com", "https://example.com")))


def test_channels_are_authorized_by_their_kind() -> None:
    authorize = with_secret("key", "secret", user_id="7")
    assert authorize("1.2", "orders") is None
    assert authorize("1.2", "private-x") == ChannelAuth(f"key:{sign('secret', '1.2:private-x')}")
    channel_data = '{"user_id":"7","user_info":null}'
    assert authorize("1.2", "presence-x") == ChannelAuth(
        f"key:{sign('secret', f'1.2:presence-x:{channel_data}')}", channel_data
    )


def test_without_a_user_presence_is_for_who_is_signed_in() -> None:
    authorize = with_secret("key", "secret")
    assert authorize("1.2", "presence-x") == ChannelAuth(f"key:{sign('secret', '1.2:presence-x')}")
    with pytest.raises(ConfigurationError, match="signing in needs a user"):
        authorize.user("1.2")


def test_a_sign_in_is_signed_as_in_pushers_documentation() -> None:
    auth = with_secret("278d425bdf160c739803", "7ad3773142a6692b25b8", user_id="12345").user("1234.1234")
    assert auth.user_data == '{"id":"12345"}'
    assert auth.auth == "278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"


def test_a_secret_is_not_shown() -> None:
    assert "s3cret" not in repr(with_secret("key", "s3cret", encryption_master_key=b"m" * 32))
    assert "mmm" not in repr(with_secret("key", "s3cret", encryption_master_key=b"m" * 32))


@pytest.mark.parametrize(
    ("hash", "members"),
    [
        ({"1": {"name": "Ann"}, "2": None}, {"1": {"name": "Ann"}, "2": None}),
        ([{"name": "Ann"}, {"name": "Bob"}], {"0": {"name": "Ann"}, "1": {"name": "Bob"}}),
        ([], {}),
        (None, {}),
    ],
)
def test_members_of_all_servers(hash: Any, members: dict[str, Any]) -> None:
    present = Members()
    present.add({"user_id": 9, "user_info": {}})
    present.replace({"presence": {"count": 2, "hash": hash}})
    assert present.by_id == members


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (1000, Action.AFTER_A_WHILE),
        (1006, Action.AFTER_A_WHILE),
        (4000, Action.GIVE_UP),
        (4001, Action.GIVE_UP),
        (4099, Action.GIVE_UP),
        (4100, Action.AFTER_A_WHILE),
        (4199, Action.AFTER_A_WHILE),
        (4200, Action.AT_ONCE),
        (4299, Action.AT_ONCE),
        (4301, Action.GIVE_UP),
        (4999, Action.AFTER_A_WHILE),
    ],
)
def test_what_a_close_code_asks_for(code: int, action: Action) -> None:
    assert action_for(code) is action


def test_reconnecting_at_once_is_for_the_first_time_only() -> None:
    assert delay_before(0, Action.AT_ONCE) == 0
    assert delay_before(1, Action.AT_ONCE) >= 1


def test_delays_grow_from_a_second_to_half_a_minute() -> None:
    delays = [delay_before(attempt, Action.AFTER_A_WHILE) for attempt in range(2_000)]
    assert 1 <= delays[0] < 2
    assert 2 <= delays[1] < 4
    assert max(delays) == 30


def test_the_protocols_own_events_have_pusher_js_names() -> None:
    frame = decode_frame('{"event":"pusher_internal:member_added","channel":"presence-x","data":"{}"}')
    assert frame is not None
    event = frame.to_event()
    assert event == ReceivedEvent("pusher:member_added", "presence-x", "{}")
    assert event.is_protocol


def test_data_is_kept_as_it_was_sent() -> None:
    frame = decode_frame('{"event":"client-x","channel":"presence-x","data":{"a":[1]},"user_id":"7"}')
    assert frame is not None
    assert frame.to_event() == ReceivedEvent("client-x", "presence-x", {"a": [1]}, "7")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"data":1}', b"\xff"])
def test_what_is_no_message_is_left_out(text: str | bytes) -> None:
    assert decode_frame(text) is None


@pytest.mark.parametrize("data", ['"{"', '"[]"', "null", "3"])
def test_data_that_is_no_object_has_no_content(data: str) -> None:
    frame = decode_frame(f'{{"event":"x","data":{data}}}')
    assert frame is not None
    assert frame.content() == {}
