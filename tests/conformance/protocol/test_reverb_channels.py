"""What Laravel Reverb's unit tests assert of its channel classes and channel manager, on our core."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.protocol.stage import Client, Stage, decode_frames, error_of, members_of
from soundpost.wire import messages
from soundpost.wire.channel_names import Kind, kind_of

EVERY_KIND = [
    "room",
    "private-room",
    "presence-room",
    "cache-room",
    "private-cache-room",
    "presence-cache-room",
    "private-encrypted-room",
    "private-encrypted-cache-room",
]
SIGNED = [channel for channel in EVERY_KIND if channel.startswith("pr")]
PRESENCE = [channel for channel in EVERY_KIND if channel.startswith("presence")]
CACHE = [channel for channel in EVERY_KIND if "cache" in channel]


def join(stage: Stage, channel: str, user: int | None = None) -> Client:
    """A connection that is subscribed; presence users are numbered."""
    if channel in PRESENCE and user is None:
        user = len(stage.app.connections)
    return stage.connect().join(channel, user=user, info={"name": "x"} if user is not None else None)


# ChannelBrokerTest


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("foo", Kind.PUBLIC),
        ("private-foo", Kind.PRIVATE),
        ("presence-foo", Kind.PRESENCE),
        ("cache-foo", Kind.CACHE),
        ("private-cache-foo", Kind.PRIVATE_CACHE),
        ("presence-cache-foo", Kind.PRESENCE_CACHE),
    ],
)
def test_the_name_decides_the_kind(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize("name", ["cached", "cachefoo", "privateX", "presenceX"])
def test_we_want_the_dash_of_a_prefix(name: str) -> None:
    assert kind_of(name) is Kind.PUBLIC


def test_we_know_encrypted_cache_channels() -> None:
    assert kind_of("private-encrypted-cache-foo") is Kind.ENCRYPTED_CACHE


# ChannelTest and its variants for each kind


@pytest.mark.parametrize("channel", EVERY_KIND)
def test_subscribe_adds_the_connection(channel: str) -> None:
    stage = Stage()
    client = join(stage, channel)

    assert list(stage.app.channels[channel].subscribers) == [client]


@pytest.mark.parametrize("channel", EVERY_KIND)
def test_unsubscribe_removes_it_and_an_empty_channel_goes(channel: str) -> None:
    stage = Stage()
    first, second = join(stage, channel), join(stage, channel)

    first.say("pusher:unsubscribe", {"channel": channel})
    assert list(stage.app.channels[channel].subscribers) == [second]
    second.say("pusher:unsubscribe", {"channel": channel})
    assert stage.app.channels == {}


@pytest.mark.parametrize("channel", EVERY_KIND)
def test_broadcast_reaches_all(channel: str) -> None:
    stage = Stage()
    clients = [join(stage, channel) for _ in range(3)]
    for client in clients:
        client.read()

    stage.publish(channel, "e", "x")

    assert [client.read() for client in clients] == [[{"event": "e", "data": "x", "channel": channel}]] * 3


@pytest.mark.parametrize("channel", EVERY_KIND)
def test_broadcast_skips_only_the_excepted_connection(channel: str) -> None:
    stage = Stage()
    clients = [join(stage, channel) for _ in range(3)]
    for client in clients:
        client.read()

    stage.publish(channel, "e", "x", socket_id=clients[1].socket_id)

    assert [len(client.read()) for client in clients] == [1, 0, 1]


@pytest.mark.parametrize("channel", SIGNED)
def test_a_bad_signature_is_unauthorized(channel: str) -> None:
    stage = Stage()
    client = stage.connect()

    client.say("pusher:subscribe", {"channel": channel, "auth": "app-key:bad", "channel_data": '{"user_id":1}'})

    assert error_of(client.read())[0] == 4009
    assert stage.app.channels == {}  # Reverb leaves an empty channel behind


# PresenceChannelTest, PresenceCacheChannelTest


@pytest.mark.parametrize("channel", PRESENCE)
def test_data_has_count_ids_and_hash(channel: str) -> None:
    stage = Stage()
    join(stage, channel, 1)
    join(stage, channel, 2)
    client = stage.connect()

    client.ask(channel, {"user_id": 3, "user_info": {"name": "y"}})

    assert members_of(client.read()) == {
        "count": 3,
        "ids": [1, 2, 3],
        "hash": {"1": {"name": "x"}, "2": {"name": "x"}, "3": {"name": "y"}},
    }


@pytest.mark.parametrize("channel", PRESENCE)
def test_member_added_and_removed_once_per_user(channel: str) -> None:
    stage = Stage()
    watcher = join(stage, channel, 1)
    watcher.read()

    first, second = join(stage, channel, 2), join(stage, channel, 2)
    assert watcher.events() == [("pusher_internal:member_added", {"user_id": 2, "user_info": {"name": "x"}})]
    first.vanish()
    assert watcher.events() == []
    second.vanish()
    assert watcher.events() == [("pusher_internal:member_removed", {"user_id": 2})]


# CacheChannelTest and its variants


@pytest.mark.parametrize("channel", CACHE)
def test_broadcast_stores_the_payload(channel: str) -> None:
    stage = Stage()
    assert stage.cache.get(channel) is None

    stage.publish(channel, "e", '{"foo":"bar"}')

    frame = stage.cache.get(channel)
    assert frame is not None
    assert decode_frames(frame) == [{"event": "e", "data": '{"foo":"bar"}', "channel": channel}]


# ChannelManagerTest


def test_five_connections_one_of_which_leaves() -> None:
    stage = Stage()
    clients = [join(stage, "room") for _ in range(5)]

    clients[0].say("pusher:unsubscribe", {"channel": "room"})

    assert list(stage.app.channels["room"].subscribers) == clients[1:]


def test_channels_are_kept_by_name_and_connections_by_socket_id() -> None:
    stage = Stage()
    client = stage.connect().join("a", "b")

    assert list(stage.app.channels) == ["a", "b"]
    assert stage.app.connections == {client.socket_id: client}
    assert "c" not in stage.app.channels
    assert stage.app.connections.get("1.1") is None


def test_leaving_everything_empties_every_channel() -> None:
    stage = Stage()
    for _ in range(3):
        stage.connect().join("a", "b", "c")

    for client in list(stage.app.connections.values()):
        stage.node.closed(client)

    assert stage.app.channels == {}


def test_channel_data_is_kept_for_each_connection() -> None:
    stage = Stage()
    clients = [join(stage, "presence-room", user) for user in (1, 2)]

    subscribers = stage.app.channels["presence-room"].subscribers
    assert [subscribers[client] for client in clients] == ["1", "2"]


def test_connections_over_several_channels() -> None:
    stage = Stage()
    for total in (4, 8, 12):
        for _ in range(4):
            stage.connect().join("a", "b")
        assert len(stage.app.channels["a"].subscribers) == len(stage.app.channels["b"].subscribers) == total


# EventTest


@pytest.mark.parametrize("data", [{"a": 1}, "text", [], 5])
def test_data_of_the_servers_own_events_is_a_string_of_json(data: Any) -> None:
    client = Stage().connect()

    client.ask("presence-room", {"user_id": 1, "user_info": data})

    (message,) = client.read()
    assert isinstance(message["data"], str)
    assert json.loads(message["data"])["presence"]["hash"] == {"1": data}


def test_the_internal_payload_is_an_empty_object_when_there_is_none() -> None:
    assert b'"data":"{}"' in messages.subscription_succeeded("room")


def test_unsubscribe_sends_nothing() -> None:
    client = Stage().connect().join("room")

    client.say("pusher:unsubscribe", {"channel": "room"})

    assert client.read() == []
