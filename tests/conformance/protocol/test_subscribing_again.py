"""Repeated subscriptions: confirmed, but not more often than a new client could ask."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.protocol.stage import Client, Stage, error_of, subscription_error_of

SUCCEEDED = "pusher_internal:subscription_succeeded"


def again(client: Client, channel: str) -> None:
    client.ask(channel, {"user_id": "7"} if channel.startswith("presence-") else None)


def leave_and_again(client: Client, channel: str) -> None:
    client.say("pusher:unsubscribe", {"channel": channel})
    again(client, channel)


def as_another(client: Client, channel: str) -> None:
    client.ask(channel, {"user_id": str(len(client.writes))} if channel.startswith("presence-") else None)


@pytest.mark.parametrize("channel", ["room", "cache-room", "private-room", "private-cache-room", "presence-room"])
@pytest.mark.parametrize("way", [again, leave_and_again, as_another])
def test_a_minute_has_as_many_answers_as_a_connection_may_have_channels(
    channel: str, way: Callable[[Client, str], None]
) -> None:
    stage = Stage(max_subscriptions=30)
    stage.publish("cache-room", data="x" * 10_000)
    client = stage.connect()
    again(client, channel)
    client.read()

    for _ in range(200):
        way(client, channel)
    said = [message["event"] for message in client.read()]

    assert 25 <= said.count(SUCCEEDED) <= 31
    assert said.count("pusher:subscription_error") == 200 - said.count(SUCCEEDED)
    assert client.close_code is None

    stage.now += 60
    way(client, channel)
    assert SUCCEEDED in [message["event"] for message in client.read()]


def test_the_refusal_names_the_rule() -> None:
    stage = Stage(max_subscriptions=1)
    client = stage.connect().join("room")

    again(client, "room")
    client.read()
    again(client, "room")

    messages = client.read()
    error = subscription_error_of(messages)
    assert (error["channel"], error["type"], error["status"]) == ("room", "LimitReached", 429)
    assert "1 subscriptions a minute (max_subscriptions)" in error_of(messages)[1]


def test_as_many_channels_as_are_allowed_may_be_joined_at_once() -> None:
    stage = Stage(max_subscriptions=200)
    client = stage.connect()

    for number in range(200):
        again(client, f"room-{number}")

    assert [message["event"] for message in client.read()] == [SUCCEEDED] * 200
