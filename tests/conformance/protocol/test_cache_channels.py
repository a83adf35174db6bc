"""Cache channels: the last event, for those who come late."""

from __future__ import annotations

import pytest

from conformance.protocol.stage import Client, Stage

KINDS = ["cache-room", "private-cache-room", "private-encrypted-cache-room", "presence-cache-room"]
SUCCEEDED = "pusher_internal:subscription_succeeded"


def ask(client: Client, channel: str, user: str = "1") -> list[str]:
    client.ask(channel, {"user_id": user} if channel.startswith("presence-") else None)
    return [message["event"] for message in client.read()]


@pytest.mark.parametrize("channel", KINDS)
def test_joiner_of_an_empty_one_is_told_of_the_miss(channel: str) -> None:
    client = Stage().connect()

    client.ask(channel, {"user_id": "1"} if channel.startswith("presence-") else None)

    first, second = client.read()
    assert first["event"] == SUCCEEDED
    assert second == {"event": "pusher:cache_miss", "channel": channel}


@pytest.mark.parametrize("channel", KINDS)
def test_joiner_gets_the_last_event_after_the_answer(channel: str) -> None:
    stage = Stage()
    stage.publish(channel, "old", "1")
    stage.publish(channel, "new", '{"a":2}')
    client = stage.connect()

    client.ask(channel, {"user_id": "1"} if channel.startswith("presence-") else None)

    first, second = client.read()
    assert first["event"] == SUCCEEDED
    assert second == {"event": "new", "data": '{"a":2}', "channel": channel}


@pytest.mark.parametrize("channel", ["room", "private-room", "presence-room", "cacheroom", "private-cacheroom"])
def test_other_channels_keep_nothing(channel: str) -> None:
    stage = Stage()
    stage.publish(channel)

    assert ask(stage.connect(), channel) == [SUCCEEDED]
    assert len(stage.cache) == 0


def test_an_event_is_kept_without_and_after_subscribers() -> None:
    stage = Stage()
    first = stage.connect().join("cache-room")
    stage.publish("cache-room", "e")
    first.vanish()
    stage.turn()

    assert stage.app.channels == {}
    assert ask(stage.connect(), "cache-room") == [SUCCEEDED, "e"]


def test_an_event_is_kept_for_thirty_minutes() -> None:
    stage = Stage()
    stage.publish("cache-room", "e")

    stage.now += 1799
    assert ask(stage.connect(), "cache-room") == [SUCCEEDED, "e"]
    stage.now += 1
    assert ask(stage.connect(), "cache-room") == [SUCCEEDED, "pusher:cache_miss"]


def test_a_new_event_begins_a_new_time() -> None:
    stage = Stage(cache_ttl=10)
    stage.publish("cache-room", "old")
    stage.now += 9
    stage.publish("cache-room", "new")
    stage.now += 9

    assert ask(stage.connect(), "cache-room") == [SUCCEEDED, "new"]


def test_expired_events_are_forgotten_without_anyone_asking() -> None:
    stage = Stage(cache_ttl=10)
    stage.publish("cache-a")
    stage.now += 6
    stage.publish("cache-b")
    stage.now += 6

    stage.node.housekeep()

    assert len(stage.cache) == 1
    assert stage.cache.get("cache-b") is not None


def test_the_number_of_kept_events_is_limited_the_oldest_goes() -> None:
    stage = Stage(max_cached_channels=2)
    stage.publish("cache-a", "a")
    stage.publish("cache-b", "b")
    stage.publish("cache-a", "a again")
    stage.publish("cache-c", "c")

    assert ask(stage.connect(), "cache-a") == [SUCCEEDED, "a again"]
    assert ask(stage.connect(), "cache-b") == [SUCCEEDED, "pusher:cache_miss"]
    assert ask(stage.connect(), "cache-c") == [SUCCEEDED, "c"]


@pytest.mark.parametrize("channel", ["private-cache-room", "presence-cache-room"])
def test_client_events_are_not_kept(channel: str) -> None:
    stage = Stage()
    client = stage.connect()
    ask(client, channel)
    stage.publish(channel, "published")

    client.say("client-a", {}, channel=channel)

    assert ask(stage.connect(), channel, "2") == [SUCCEEDED, "published"]


def test_comings_and_goings_of_members_are_not_kept() -> None:
    stage = Stage(subscription_count=True)
    ann, bob = stage.connect(), stage.connect()
    ask(ann, "presence-cache-room", "1")
    stage.publish("presence-cache-room", "published")
    ask(bob, "presence-cache-room", "2")
    bob.vanish()
    stage.turn()

    assert ask(stage.connect(), "presence-cache-room", "3") == [SUCCEEDED, "published"]


def test_subscribers_get_the_event_itself_once() -> None:
    stage = Stage()
    client = stage.connect()
    ask(client, "cache-room")

    stage.publish("cache-room", "e")

    assert [message["event"] for message in client.read()] == ["e"]


def test_who_subscribes_in_the_turn_of_an_event_gets_it_once() -> None:
    stage = Stage()
    witness, client = stage.connect().join("cache-room"), stage.connect()
    stage.publish("cache-room", "first")
    client.ask("cache-room")
    stage.publish("cache-room", "second")

    assert [message["event"] for message in client.read()] == [SUCCEEDED, "first", "second"]
    assert [message["event"] for message in witness.read()] == ["first", "second"]


def test_an_event_is_kept_for_its_own_sender_too() -> None:
    stage = Stage()
    sender = stage.connect().join("cache-room")
    stage.publish("cache-room", "e", socket_id=sender.socket_id)
    assert sender.read() == []

    assert ask(sender, "cache-room") == [SUCCEEDED, "e"]


def test_channels_of_two_apps_keep_their_own() -> None:
    stage, other = Stage(), Stage()
    stage.publish("cache-room", "e")

    assert ask(other.connect(), "cache-room") == [SUCCEEDED, "pusher:cache_miss"]
