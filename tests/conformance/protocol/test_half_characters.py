"""Half a character (``"\\ud83d"``, what JavaScript's ``slice`` leaves of an emoji) and deep nesting, at every door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.protocol.stage import Client, Stage, error_of, members_of, subscription_error_of
from soundpost.client.incoming import decode_frame
from soundpost.wire.json_text import MAX_JSON_DEPTH
from support.harness import RawSocket, RunningServer, http_request, signed_request

HALF = "cut \ud83d"
DEEP = "[" * 5_000 + "]" * 5_000
ROOM = "presence-room"


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawSocket]:
    with server.connect() as connected:
        yield connected


def member(user: str, **info: Any) -> str:
    return json.dumps({"user_id": user, "user_info": info})


@pytest.mark.parametrize("as_string", [False, True])
def test_a_member_whose_info_has_half_a_character_joins_and_is_shown(as_string: bool) -> None:
    stage = Stage()
    watcher = stage.connect().join(ROOM, user="1")
    client = stage.connect()
    text = member("2", name=HALF)
    data = {"channel": ROOM, "channel_data": text, "auth": client.auth(ROOM, text)}

    client.say("pusher:subscribe", json.dumps(data) if as_string else data)

    assert members_of(client.read())["hash"]["2"] == {"name": HALF}
    assert watcher.events() == [("pusher_internal:member_added", {"user_id": "2", "user_info": {"name": HALF}})]


def test_a_member_who_signed_in_with_half_a_character_is_shown() -> None:
    stage = Stage()
    client = stage.connect()

    client.sign_in(json.dumps({"id": "7", "user_info": {"name": HALF}}))
    client.say("pusher:subscribe", {"channel": ROOM, "auth": client.auth(ROOM)})

    messages = client.read()
    assert json.loads(messages[0]["data"]["user_data"])["user_info"] == {"name": HALF}
    assert members_of(messages)["hash"]["7"] == {"name": HALF}


def test_half_a_character_identifies_nobody() -> None:
    client = Stage().connect()

    client.ask(ROOM, member(HALF))

    messages = client.read()
    assert subscription_error_of(messages)["status"] == 400
    assert "half a character" in error_of(messages)[1]
    assert client.close_code is None


@pytest.mark.parametrize(
    "message",
    [
        {"event": HALF},
        {"event": "pusher:subscribe", "data": {"channel": HALF}},
        {"event": "pusher:subscribe", "data": json.dumps({"channel": HALF})},
        {"event": "pusher:subscribe", "data": {"channel": "private-a", "auth": HALF}},
        {"event": "pusher:subscribe", "data": {"channel": "private-a", "auth": f"app-key:{HALF}"}},
        {"event": "pusher:subscribe", "data": {"channel": ROOM, "auth": "app-key:0", "channel_data": HALF}},
        {"event": "pusher:unsubscribe", "data": {"channel": HALF}},
        {"event": "client-a", "channel": HALF, "data": 1},
        {"event": HALF, "channel": HALF, "data": HALF, HALF: HALF},
    ],
)
def test_half_a_character_anywhere_leaves_the_connection_and_is_told_as_what_it_is(message: dict[str, Any]) -> None:
    client = Stage().connect()

    client.raw(json.dumps(message))
    client.say("pusher:ping")

    messages = client.read()
    assert "failed to handle" not in json.dumps(messages)
    assert messages[-1]["event"] == "pusher:pong"


@pytest.mark.parametrize("data", [{"auth": "app-key:0", "user_data": HALF}, {"auth": HALF, "user_data": "{}"}])
def test_a_sign_in_with_half_a_character_in_its_text_has_a_wrong_signature(data: dict[str, str]) -> None:
    client = Stage().connect()

    client.say("pusher:signin", data)

    assert error_of(client.read())[0] == 4009
    assert client.close_code == 4009


def test_a_client_event_named_with_half_a_character_is_passed_on() -> None:
    stage = Stage()
    ann, bob = (stage.connect().join("private-room") for _ in range(2))

    ann.say(f"client-{HALF}", {"t": HALF}, channel="private-room")

    assert bob.read() == [{"event": f"client-{HALF}", "channel": "private-room", "data": {"t": HALF}}]


def cached(server: RunningServer, channel: str) -> Any:
    answer = http_request(server.port, signed_request("GET", f"/channels/{channel}", query={"info": "cache"}))
    return json.loads(answer.body)["cache"]


@pytest.mark.parametrize("route", ["/events", "/batch_events"])
def test_events_with_half_a_character_are_published_cached_and_told(
    server: RunningServer, client: RawSocket, route: str
) -> None:
    channel = f"cache-half{route.strip('/').replace('_', '-')}"
    client.subscribe(channel)
    assert client.read_event()["event"] == "pusher:cache_miss"
    event = {"name": HALF, "data": HALF, "channel": channel, "info": "cache", "more": HALF}
    body = json.dumps(event if route == "/events" else {"batch": [event]}).encode()

    answer = http_request(server.port, signed_request("POST", route, body))

    assert answer.status == 200
    told = json.loads(answer.body)
    told = told["channels"][channel] if route == "/events" else told["batch"][0]
    assert (told["cache"]["event"], told["cache"]["data"]) == (HALF, HALF)
    assert client.read_event() == {"event": HALF, "data": HALF, "channel": channel}
    assert cached(server, channel)["data"] == HALF


@pytest.mark.parametrize("channel", [HALF, f"cache-{HALF}"])
def test_a_channel_named_with_half_a_character_is_422(server: RunningServer, channel: str) -> None:
    body = json.dumps({"name": "e", "data": "x", "channel": channel}).encode()

    assert http_request(server.port, signed_request("POST", "/events", body)).status == 422


# Depth: the same on every Python


def subscribe_deep(client: Client, text: str) -> None:
    client.ask(ROOM, f'{{"user_id":"1","other":{text}}}')


def sign_in_deep(client: Client, text: str) -> None:
    client.sign_in(f'{{"id":"1","other":{text}}}')


def data_deep(client: Client, text: str) -> None:
    client.say("pusher:subscribe", f'{{"channel":"a","other":{text}}}')


def envelope_deep(client: Client, text: str) -> None:
    client.raw(f'{{"event":"pusher:subscribe","other":{text},"data":{{"channel":"a"}}}}')


@pytest.mark.parametrize("send", [subscribe_deep, sign_in_deep, data_deep, envelope_deep])
@pytest.mark.parametrize(("depth", "taken"), [(MAX_JSON_DEPTH - 1, True), (MAX_JSON_DEPTH, False), (5_000, False)])
def test_json_from_clients_may_be_so_deep(send: Any, depth: int, taken: bool) -> None:
    client = Stage().connect()

    send(client, "[" * depth + "]" * depth)

    messages = client.read()
    assert ("pusher:error" in [message["event"] for message in messages]) is not taken
    if not taken:
        assert "deep" in error_of(messages)[1]


@pytest.mark.parametrize("route", ["/events", "/batch_events"])
def test_a_body_nested_too_deep_is_400(server: RunningServer, route: str) -> None:
    event = f'{{"name":"e","data":"x","channel":"a","other":{DEEP}}}'
    body = (event if route == "/events" else f'{{"batch":[{event}]}}').encode()

    answer = http_request(server.port, signed_request("POST", route, body))

    assert answer.status == 400
    assert f"more than {MAX_JSON_DEPTH} deep" in json.loads(answer.body)["error"]


# What the Python client reads


def test_the_python_client_reads_half_a_character() -> None:
    frame = decode_frame(json.dumps({"event": "e", "channel": "a", "data": json.dumps({"t": HALF})}))

    assert frame is not None
    assert frame.to_event().data == {"t": HALF}
    assert frame.content() == {"t": HALF}


def test_the_python_client_takes_no_frame_that_is_too_deep_and_leaves_deep_data_a_text() -> None:
    assert decode_frame(f'{{"event":"e","data":{DEEP}}}') is None
    frame = decode_frame(json.dumps({"event": "e", "data": DEEP}))

    assert frame is not None
    assert frame.to_event().data == DEEP
    assert frame.content() == {}
