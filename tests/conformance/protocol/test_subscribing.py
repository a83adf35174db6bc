"""Subscribing and leaving: every kind of channel, names, signatures."""

from __future__ import annotations

import json

import pytest

from conformance.protocol.stage import Stage, error_of, signature, subscription_error_of
from soundpost.core.app_settings import AppSettings

PUBLIC_KINDS = ["room", "cache-room"]
SIGNED_KINDS = ["private-room", "private-encrypted-room", "private-cache-room", "private-encrypted-cache-room"]
PRESENCE_KINDS = ["presence-room", "presence-cache-room"]
SUCCEEDED = "pusher_internal:subscription_succeeded"

EXAMPLE = AppSettings(id="3", key="278d425bdf160c739803", secret="7ad3773142a6692b25b8")


@pytest.mark.parametrize("channel", PUBLIC_KINDS)
@pytest.mark.parametrize("auth", [{}, {"auth": ""}, {"auth": None}, {"auth": "nonsense"}])
def test_public_channels_need_no_signature(channel: str, auth: dict[str, object]) -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": channel, **auth})

    assert client.read()[0] == {"event": SUCCEEDED, "data": "{}", "channel": channel}


@pytest.mark.parametrize("channel", SIGNED_KINDS)
def test_private_channels_take_a_right_signature(channel: str) -> None:
    stage = Stage()
    client = stage.connect()

    client.ask(channel)

    assert client.read()[0] == {"event": SUCCEEDED, "data": "{}", "channel": channel}
    assert list(stage.app.channels[channel].subscribers) == [client]


@pytest.mark.parametrize("channel", PRESENCE_KINDS)
def test_presence_channels_take_a_right_signature_and_answer_with_members(channel: str) -> None:
    client = Stage().connect()

    client.ask(channel, {"user_id": "1", "user_info": {"name": "Ann"}})

    answer = client.read()[0]
    assert (answer["event"], answer["channel"]) == (SUCCEEDED, channel)
    assert answer["data"] == '{"presence":{"count":1,"ids":["1"],"hash":{"1":{"name": "Ann"}}}}'


@pytest.mark.parametrize("channel", [*PUBLIC_KINDS, *SIGNED_KINDS, *PRESENCE_KINDS])
def test_data_may_be_a_string_of_json(channel: str) -> None:
    client = Stage().connect()
    channel_data = '{"user_id":"1"}' if channel in PRESENCE_KINDS else None
    data = {"channel": channel, "auth": client.auth(channel, channel_data)}
    if channel_data is not None:
        data["channel_data"] = channel_data

    client.say("pusher:subscribe", json.dumps(data))

    assert client.read()[0]["event"] == SUCCEEDED


@pytest.mark.parametrize("channel", [*SIGNED_KINDS, *PRESENCE_KINDS])
@pytest.mark.parametrize(
    "fault", ["missing", "null", "empty", "no key", "key only", "other key", "other secret", "cut"]
)
def test_a_wrong_signature_is_refused_and_the_connection_stays(channel: str, fault: str) -> None:
    stage = Stage()
    client = stage.connect()
    channel_data = '{"user_id":"1"}' if channel in PRESENCE_KINDS else None
    key, right = client.auth(channel, channel_data).split(":")
    auths: dict[str, dict[str, object]] = {
        "missing": {},
        "null": {"auth": None},
        "empty": {"auth": ""},
        "no key": {"auth": right},
        "key only": {"auth": f"{key}:"},
        "other key": {"auth": f"other-key:{right}"},
        "other secret": {"auth": f"{key}:{signature('wrong', f'{client.socket_id}:{channel}')}"},
        "cut": {"auth": f"{key}:{right[:-1]}"},
    }
    data = {"channel": channel, **auths[fault]} | ({"channel_data": channel_data} if channel_data else {})

    client.say("pusher:subscribe", data)

    messages = client.read()
    assert [message["event"] for message in messages] == ["pusher:subscription_error", "pusher:error"]
    error = subscription_error_of(messages)
    assert (error["channel"], error["type"], error["status"]) == (channel, "AuthError", 401)
    code, text = error_of(messages)
    assert code == 4009
    assert text.startswith("Connection is unauthorized")
    assert error["error"] == text
    assert client.close_code is None
    assert stage.app.channels == {}


def test_error_tells_what_should_have_been_signed_but_never_the_signature() -> None:
    client = Stage().connect()
    right = client.auth("private-a").split(":")[1]

    client.say("pusher:subscribe", {"channel": "private-a", "auth": "app-key:wrong"})

    _, text = error_of(client.read())
    assert f"{client.socket_id}:private-a" in text
    assert right not in text
    assert "app-secret" not in text


def test_a_signature_for_another_socket_is_refused() -> None:
    stage = Stage()
    client, other = stage.connect(), stage.connect()

    client.say("pusher:subscribe", {"channel": "private-a", "auth": other.auth("private-a")})

    assert error_of(client.read())[0] == 4009


def test_a_signature_for_another_channel_is_refused() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": "private-b", "auth": client.auth("private-a")})

    assert error_of(client.read())[0] == 4009


def test_channel_data_is_signed_on_private_channels_too() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": "private-a", "auth": client.auth("private-a"), "channel_data": "{}"})
    assert error_of(client.read())[0] == 4009

    client.ask("private-a", "{}")
    assert client.read()[0]["event"] == SUCCEEDED


def test_empty_channel_data_is_none() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": "private-a", "auth": client.auth("private-a"), "channel_data": ""})

    assert client.read()[0]["event"] == SUCCEEDED


@pytest.mark.parametrize(
    ("channel", "channel_data", "expected"),
    [
        ("private-foobar", None, "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        (
            "presence-foobar",
            '{"user_id":10,"user_info":{"name":"Mr. Channels"}}',
            "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        ),
    ],
)
def test_the_worked_examples_of_the_documentation_are_accepted(
    channel: str, channel_data: str | None, expected: str
) -> None:
    client = Stage(EXAMPLE).connect("3")
    client.socket_id = "1234.1234"
    data = {"channel": channel, "auth": f"278d425bdf160c739803:{expected}"}
    if channel_data is not None:
        data["channel_data"] = channel_data

    client.say("pusher:subscribe", data)

    assert client.read()[0]["event"] == SUCCEEDED


GOOD_NAMES = ["a", "A-Z_=@,.;9", "x" * 200, "private", "presencex", "cached", "-", "-private-x", "MY-private-x"]
BAD_NAMES = ["", " ", "a b", "a/b", "ä", "a:b", "#a", "#private-a", "a\n", "\u0000", "x" * 201, "a#server-to-user-1"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_of_allowed_characters_is_taken(name: str) -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": name})

    assert client.read()[0] == {"event": SUCCEEDED, "data": "{}", "channel": name}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_with_its_reason(name: str) -> None:
    stage = Stage()
    client = stage.connect()

    client.say("pusher:subscribe", {"channel": name})

    messages = client.read()
    error = subscription_error_of(messages)
    assert (error["type"], error["status"]) == ("InvalidChannel", 400)
    assert "channel name" in error["error"]
    assert error_of(messages)[0] == 4200
    assert stage.app.channels == {}


def test_the_length_limit_is_the_apps() -> None:
    client = Stage(max_channel_name_length=5).connect()
    client.join("abcde")

    client.say("pusher:subscribe", {"channel": "abcdef"})

    assert "at most 5" in subscription_error_of(client.read())["error"]


def test_subscribing_again_is_answered_again_and_counts_once() -> None:
    stage = Stage()
    client = stage.connect()
    client.join("room", "room")

    stage.publish("room", "e", "1")

    assert [message["event"] for message in client.read()] == ["e"]
    assert client.channels == [stage.app.channels["room"]]


def test_leaving_is_not_answered_and_ends_the_events() -> None:
    stage = Stage()
    client, other = stage.connect(), stage.connect()
    client.join("room")
    other.join("room")

    client.say("pusher:unsubscribe", {"channel": "room"})
    stage.publish("room")

    assert client.read() == []
    assert [message["event"] for message in other.read()] == ["e"]


@pytest.mark.parametrize("channel", ["never-joined", "", "bad name", "private-x"])
def test_leaving_what_one_is_not_in_is_harmless(channel: str) -> None:
    stage = Stage()
    client, other = stage.connect(), stage.connect()
    other.join("never-joined")

    client.say("pusher:unsubscribe", {"channel": channel})

    assert client.read() == []
    assert list(stage.app.channels) == ["never-joined"]


def test_leaving_takes_a_string_of_json_too() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    client.say("pusher:unsubscribe", '{"channel":"room"}')

    assert stage.app.channels == {}


def test_a_channel_is_gone_with_its_last_subscriber() -> None:
    stage = Stage()
    first, second = stage.connect().join("room"), stage.connect().join("room")

    first.say("pusher:unsubscribe", {"channel": "room"})
    assert list(stage.app.channels) == ["room"]
    second.vanish()
    stage.turn()
    assert stage.app.channels == {}


def test_a_lost_connection_leaves_everything() -> None:
    stage = Stage()
    client = stage.connect().join("a", "private-b", "cache-c")

    client.vanish()
    stage.turn()

    assert stage.app.channels == {}
    assert stage.app.connections == {}
    assert client.channels == []


def test_a_lost_connection_is_forgotten_once() -> None:
    stage = Stage()
    client = stage.connect().join("a")

    stage.node.closed(client)
    stage.node.closed(client)

    assert stage.app.connections == {}


def test_a_connection_has_a_limit_of_channels() -> None:
    stage = Stage(max_subscriptions=2)
    client = stage.connect().join("a", "b")

    client.say("pusher:subscribe", {"channel": "c"})

    messages = client.read()
    error = subscription_error_of(messages)
    assert (error["type"], error["status"], error["channel"]) == ("LimitReached", 403, "c")
    assert error_of(messages)[0] == 4004
    assert sorted(stage.app.channels) == ["a", "b"]
    client.join("a")  # what it has it keeps
    client.say("pusher:unsubscribe", {"channel": "a"})
    client.join("c")


def test_one_connection_on_channels_of_all_kinds() -> None:
    stage = Stage()
    client = stage.connect()
    channels = [*PUBLIC_KINDS, *SIGNED_KINDS]
    client.join(*channels).join(*PRESENCE_KINDS, user="1")

    for channel in [*channels, *PRESENCE_KINDS]:
        stage.publish(channel, "e", "1")
        assert client.read() == [{"event": "e", "data": "1", "channel": channel}]


def test_an_encrypted_event_is_passed_on_as_it_is() -> None:
    stage = Stage()
    client = stage.connect().join("private-encrypted-room")
    data = '{"nonce":"6e0VYcHMJyFmlMnWLBfRJKmnjTsHrQDu","ciphertext":"gyEhKkR4B\\/Ns"}'

    stage.publish("private-encrypted-room", "e", data)

    assert client.read() == [{"event": "e", "data": data, "channel": "private-encrypted-room"}]
