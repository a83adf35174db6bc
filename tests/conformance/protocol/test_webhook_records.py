"""The events that a server with one process makes for webhooks: names, fields and order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.protocol.recorded_webhooks import wants
from conformance.protocol.stage import Client, Stage
from soundpost.core import reports
from soundpost.wire import codes

ROOM = "presence-room"


def stage_that_wants(*names: str, **options: Any) -> Stage:
    return Stage(webhooks=wants(*names), **options)


def test_a_channel_is_occupied_and_vacated_once() -> None:
    stage = stage_that_wants("channel_occupied", "channel_vacated")
    first, second = stage.connect(), stage.connect()

    first.join("room")
    second.join("room")
    assert [event.body for event in stage.webhooks.take()] == [b'{"name":"channel_occupied","channel":"room"}']
    first.vanish()
    stage.turn()
    assert stage.webhooks.take() == []
    second.say("pusher:unsubscribe", {"channel": "room"})
    assert [event.body for event in stage.webhooks.take()] == [b'{"name":"channel_vacated","channel":"room"}']


def test_a_member_is_added_with_its_info_and_its_connection() -> None:
    stage = stage_that_wants("member_added", "member_removed")
    ann = stage.connect().join(ROOM, user=7, info={"name": "Ann"})
    tab = stage.connect().join(ROOM, user="7", info={"name": "other"})

    (added,) = stage.webhooks.take()
    assert added.body == (
        b'{"name":"member_added","channel":"presence-room","user_id":"7","user_info":{"name": "Ann"},'
        b'"socket_id":"%b"}' % ann.socket_id.encode()
    )
    assert added.state == ("member_added", ROOM, "7")
    ann.vanish()
    stage.turn()
    tab.say("pusher:unsubscribe", {"channel": ROOM})
    (removed,) = stage.webhooks.take()
    assert removed.state == added.state
    assert not removed.is_final
    assert json.loads(removed.body) == {
        "name": "member_removed",
        "channel": ROOM,
        "user_id": "7",
        "user_info": {"name": "Ann"},
        "socket_id": tab.socket_id,
    }


def test_a_member_without_info_has_none() -> None:
    stage = stage_that_wants("member_added")
    stage.connect().join(ROOM, user="ann")
    assert "user_info" not in stage.webhooks.bodies()[0]


@pytest.mark.parametrize(("grace", "seconds", "is_final"), [(5, 5, True), (1, 1, False)])
def test_a_member_whose_grace_is_over_is_not_held_back_again(grace: int, seconds: int, is_final: bool) -> None:
    stage = stage_that_wants("member_removed", presence_grace=grace)
    stage.connect().join(ROOM, user="ann").vanish()
    stage.turn()
    assert stage.webhooks.lines() == ["member_added presence-room ann"]

    stage.wait(seconds + 0.1)

    (removed,) = stage.webhooks.take()
    assert removed.is_final is is_final
    assert "socket_id" not in json.loads(removed.body)


def test_a_member_who_is_put_out_within_its_grace_is_held_back() -> None:
    stage = stage_that_wants("member_removed", presence_grace=5)
    stage.connect().join(ROOM, user="ann").vanish()
    stage.turn()
    stage.webhooks.take()
    stage.registry.terminate(stage.node, "1", "ann")
    assert [event.is_final for event in stage.webhooks.take()] == [False]


def test_a_member_who_comes_back_within_its_grace_has_never_left() -> None:
    stage = stage_that_wants(presence_grace=5)
    stage.connect().join("presence-other", user="bob")
    stage.connect().join(ROOM, user="ann").vanish()
    stage.turn()
    stage.webhooks.take()
    stage.connect().join(ROOM, user="ann")
    assert "member_added presence-room ann" not in stage.webhooks.lines()


def test_events_of_a_channel_are_in_their_order() -> None:
    stage = stage_that_wants(
        "channel_occupied",
        "channel_vacated",
        "member_added",
        "member_removed",
        "subscription_count",
        subscription_count=True,
    )
    client = stage.connect().join(ROOM, "room", user="ann")
    client.vanish()
    stage.turn()
    assert stage.webhooks.lines() == [
        "channel_occupied presence-room",
        "member_added presence-room ann",
        "channel_occupied room",
        "subscription_count room",
        "member_removed presence-room ann",
        "channel_vacated presence-room",
        "channel_vacated room",
    ]


def test_the_number_of_subscriptions_is_told() -> None:
    stage = stage_that_wants("subscription_count", subscription_count=True)
    stage.connect().join("room")
    stage.connect().join("room")
    assert stage.webhooks.bodies() == [
        {"name": "subscription_count", "channel": "room", "subscription_count": count} for count in (1, 2)
    ]


def test_a_cache_miss_is_told() -> None:
    stage = stage_that_wants("cache_miss")
    stage.connect().join("cache-room")
    stage.publish("cache-room")
    stage.connect().join("cache-room")
    assert stage.webhooks.bodies() == [{"name": "cache_miss", "channel": "cache-room"}]


@pytest.mark.parametrize(
    ("data", "told"), [({"a": [1, "é"]}, '{"a": [1, "\\u00e9"]}'), ("text", "text"), (7, "7"), (None, "null")]
)
def test_a_client_event_is_told_with_its_data_as_a_string(data: Any, told: str) -> None:
    stage = stage_that_wants("client_event")
    client = stage.connect().join(ROOM, user="ann")
    client.say("client-typing", data, channel=ROOM)
    (event,) = stage.webhooks.take()
    assert json.loads(event.body) == {
        "name": "client_event",
        "channel": ROOM,
        "event": "client-typing",
        "data": told,
        "socket_id": client.socket_id,
        "user_id": "ann",
    }
    assert list(json.loads(event.body)) == ["name", "channel", "event", "data", "socket_id", "user_id"]


def test_the_sender_of_a_client_event_is_the_member_or_the_signed_in_user_or_nobody() -> None:
    stage = stage_that_wants("client_event")
    client = stage.connect().join("private-room")
    client.say("client-typing", {}, channel="private-room")
    client.sign_in({"id": "bob"})
    client.say("client-typing", {}, channel="private-room")
    assert [body.get("user_id") for body in stage.webhooks.bodies()] == [None, "bob"]


def test_a_refused_client_event_is_not_told() -> None:
    stage = stage_that_wants("client_event")
    stage.connect().say("client-typing", {}, channel="private-room")
    assert stage.webhooks.take() == []


class FromPage(Client):
    """A connection of a page, as a transport opens it."""

    @property
    def address(self) -> str:
        return "192.0.2.7"


def opened(stage: Stage, origin: str | None) -> Client:
    client = FromPage(stage, stage.app)
    reports.note_origin(client, origin)
    stage.node.peers.admit(stage.app.settings.id, client.let_in, None)
    return client


def test_a_connection_is_told_with_where_it_comes_from() -> None:
    stage = stage_that_wants("connection_opened", "connection_closed")
    client = opened(stage, "https://example.com")
    where = {"socket_id": client.socket_id, "address": "192.0.2.7", "origin": "https://example.com"}
    assert stage.webhooks.bodies() == [{"name": "connection_opened", **where}]

    client.sign_in({"id": "ann"})
    client.end(codes.OVER_CAPACITY, "")
    stage.turn()

    closed = {"name": "connection_closed", **where, "user_id": "ann", "code": 4100}
    assert stage.webhooks.bodies() == [closed]
    assert stage.app.origins == {}


def test_a_lost_connection_has_no_code_and_one_without_origin_none() -> None:
    stage = stage_that_wants("connection_closed")
    client = opened(stage, None)
    client.vanish()
    stage.turn()
    assert stage.webhooks.bodies() == [
        {"name": "connection_closed", "socket_id": client.socket_id, "address": "192.0.2.7", "origin": None}
    ]


def test_nothing_is_made_that_no_endpoint_wants() -> None:
    stage = stage_that_wants("user_online")
    client = opened(stage, None)
    client.join(ROOM, "cache-room", user="ann")
    client.say("client-typing", {}, channel=ROOM)
    client.vanish()
    stage.turn()
    assert stage.webhooks.take() == []
    assert stage.app.origins == {}


def test_a_reload_changes_what_is_made() -> None:
    stage = stage_that_wants("channel_vacated")
    settings = stage.app.settings
    both = Stage(webhooks=wants("channel_occupied", "connection_opened")).app.settings
    stage.registry.reconfigure([both])
    stage.node.reconfigure([both])
    client = stage.connect().join("room")
    assert stage.webhooks.lines() == ["connection_opened", "channel_occupied room"]
    stage.registry.reconfigure([settings])
    stage.node.reconfigure([settings])
    client.vanish()
    stage.turn()
    assert stage.webhooks.lines() == ["channel_vacated room"]


def signed_in(stage: Stage, user: str, info: Any = None) -> Client:
    client = stage.connect()
    client.sign_in({"id": user, "user_info": info})
    return client


def test_a_user_is_online_with_the_first_connection_and_offline_after_the_last() -> None:
    stage = stage_that_wants("user_online", "user_offline")
    first = signed_in(stage, "ann", {"name": "Ann"})
    second = signed_in(stage, "ann", {"name": "other"})
    (online,) = stage.webhooks.take()
    assert online.body == b'{"name":"user_online","user_id":"ann","user_info":{"name": "Ann"}}'
    assert online.state == ("user_online", "", "ann")
    first.vanish()
    stage.turn()
    assert stage.webhooks.take() == []
    second.vanish()
    stage.turn()
    (offline,) = stage.webhooks.take()
    assert (offline.body, offline.state) == (b'{"name":"user_offline","user_id":"ann"}', online.state)
    assert not offline.is_final


@pytest.mark.parametrize(("after", "is_final"), [(0, True), (8, False)])
def test_a_user_who_was_away_for_long_enough_is_not_held_back_again(after: float, is_final: bool) -> None:
    """The ten seconds are those of the tab that was sent away; the other tab may have gone just now."""
    stage = stage_that_wants("user_offline")
    tabs = [signed_in(stage, "ann"), signed_in(stage, "ann")]
    stage.webhooks.take()
    tabs[0].end(codes.GENERIC_RECONNECT, "")
    stage.turn()
    stage.wait(after)
    tabs[1].vanish()
    stage.turn()
    stage.wait(9.9 - after)
    assert stage.webhooks.take() == []
    stage.wait(0.2)
    assert [event.is_final for event in stage.webhooks.take()] == [is_final]


def test_a_user_who_is_back_within_the_grace_makes_no_event() -> None:
    stage = stage_that_wants("user_online", "user_offline", presence_grace=5)
    signed_in(stage, "ann").vanish()
    stage.turn()
    stage.webhooks.take()
    signed_in(stage, "ann")
    stage.wait(60)
    assert stage.webhooks.take() == []
