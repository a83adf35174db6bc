"""The greeting, pings, and what becomes of messages nobody can make sense of."""

from __future__ import annotations

import json
import re

import pytest

from conformance.protocol.stage import APP, Stage, error_of
from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import text_frame


def test_hello_carries_socket_id_and_activity_timeout_in_a_string() -> None:
    client = Stage().open()

    assert client.read() == [
        {
            "event": "pusher:connection_established",
            "data": f'{{"socket_id":"{client.socket_id}","activity_timeout":30}}',
        }
    ]


def test_activity_timeout_is_the_apps() -> None:
    (hello,) = Stage(activity_timeout=120).open().read()

    assert json.loads(hello["data"])["activity_timeout"] == 120


def test_socket_ids_are_two_numbers_and_never_the_same() -> None:
    stage = Stage()
    ids = {stage.connect().socket_id for _ in range(200)}

    assert len(ids) == 200
    assert all(re.fullmatch(r"\d+\.\d+", id) for id in ids)


def test_answer_to_the_handshake_and_hello_leave_in_one_write() -> None:
    stage = Stage()
    client = stage.connect()

    stage.node.opened(client, b"HTTP/1.1 101 Switching Protocols\r\n\r\n")

    (data,) = client.writes
    assert data.startswith(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81")


@pytest.mark.parametrize("fields", [{}, {"data": {}}, {"data": "{}"}, {"data": None}, {"data": [1]}])
def test_ping_is_answered_with_a_pong_whatever_its_data(fields: dict[str, object]) -> None:
    client = Stage().connect()

    client.raw(json.dumps({"event": "pusher:ping", **fields}))

    assert client.read() == [{"event": "pusher:pong", "data": "{}"}]


def test_pong_is_not_answered() -> None:
    client = Stage().connect()

    client.say("pusher:pong", {})

    assert client.read() == []


@pytest.mark.parametrize(
    "payload",
    [
        "Hi",
        "",
        "null",
        "5",
        '"pusher:ping"',
        "[]",
        "{}",
        '{"event":[]}',
        '{"event":5}',
        '{"event":null}',
        '{"event":"pusher:ping"',
        '{"event":"pusher:ping"}x',
        '{"event":"pusher:ping","data":nope}',
        '{"event":"pusher:ping","data":"\\x"}',
        '{"data":{"channel":"a"}}',
        "[" * 20_000,
        '{"event":"client-a","channel":[]}',
    ],
)
def test_malformed_message_is_answered_with_4200_and_the_connection_stays(payload: str) -> None:
    client = Stage().connect()

    client.raw(payload)

    code, text = error_of(client.read())
    assert code == 4200
    assert text.startswith("Invalid message format")
    assert client.close_code is None
    client.say("pusher:ping")
    assert client.read() == [{"event": "pusher:pong", "data": "{}"}]


@pytest.mark.parametrize(
    ("payload", "why"),
    [("", "the text is empty"), ('{"event":"pusher:subscribe"}', "data of pusher:subscribe is missing")],
)
def test_what_is_missing_in_a_message_is_named(payload: str, why: str) -> None:
    client = Stage().connect()

    client.raw(payload)

    assert error_of(client.read())[1].endswith(why)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("pusher:subscribe", None),
        ("pusher:subscribe", {}),
        ("pusher:subscribe", []),
        ("pusher:subscribe", 5),
        ("pusher:subscribe", "not JSON"),
        ("pusher:subscribe", json.dumps(json.dumps({"channel": "a"}))),
        ("pusher:subscribe", {"channel": 5}),
        ("pusher:subscribe", {"channel": ["a"]}),
        ("pusher:subscribe", {"channel": None}),
        ("pusher:subscribe", {"channel": "a", "auth": []}),
        ("pusher:subscribe", {"channel": "a", "auth": 5}),
        ("pusher:subscribe", {"channel": "a", "channel_data": {}}),
        ("pusher:subscribe", {"channel": "a", "channel_data": []}),
        ("pusher:unsubscribe", {}),
        ("pusher:unsubscribe", {"channel": 5}),
        ("pusher:signin", {}),
        ("pusher:signin", {"auth": "a:b"}),
        ("pusher:signin", {"auth": "a:b", "user_data": {"id": "1"}}),
    ],
)
def test_data_of_the_wrong_shape_is_named_in_the_error(event: str, data: object) -> None:
    stage = Stage()
    client = stage.connect()

    client.say(event, data)

    code, text = error_of(client.read())
    assert code == 4200
    assert event in text
    assert client.close_code is None
    assert stage.app.channels == {}


@pytest.mark.parametrize("event", ["pusher:nonsense", "pusher:connection_established", "hello", "", "Client-a"])
def test_unknown_event_is_refused_by_name(event: str) -> None:
    client = Stage().connect()

    client.say(event, {}, channel="a")

    code, text = error_of(client.read())
    assert code == 4200
    assert f"'{event}'" in text
    assert client.close_code is None


def test_error_has_a_plain_object_as_data() -> None:
    client = Stage().connect()

    client.raw("Hi")

    (message,) = client.read()
    assert message["event"] == "pusher:error"
    assert sorted(message["data"]) == ["code", "message"]


def test_a_very_long_unknown_name_is_not_sent_back_whole() -> None:
    client = Stage().connect()

    client.say("x" * 5_000)

    assert len(error_of(client.read())[1]) < 500


def test_extra_fields_are_ignored() -> None:
    client = Stage().connect()

    client.raw('{"event":"pusher:ping","data":{},"more":[1,{"a":2}],"user_id":"9"}')

    assert client.read() == [{"event": "pusher:pong", "data": "{}"}]


def test_end_says_why_in_an_error_and_closes_with_the_same_code() -> None:
    stage = Stage()
    client = stage.connect()

    client.end(4201, "Pong reply not received in time")

    assert error_of(client.read()) == (4201, "Pong reply not received in time")
    assert (client.close_code, client.close_reason) == (4201, "Pong reply not received in time")
    assert stage.app.connections == {}


def test_apps_share_nothing() -> None:
    stage = Stage(APP, AppSettings(id="2", key="other-key", secret="other-secret"))
    ours, theirs = stage.connect("1"), stage.connect("2")
    ours.join("room")
    theirs.join("room")

    stage.publish("room", "e", "1")

    assert [message["event"] for message in ours.read()] == ["e"]
    assert theirs.read() == []


def test_data_longer_than_a_short_frame_is_framed_right() -> None:
    for size in (125, 126, 65_535, 65_536):
        frame = text_frame(b"x" * size)
        assert len(frame) == size + (2 if size < 126 else 4 if size < 65_536 else 10)


@pytest.mark.parametrize(
    ("event", "data"),
    [("a\x1b[2J", {}), ("pusher:subscribe", {"channel": "private-a", "auth": "a\x1b[2J:00"})],
)
def test_an_error_shows_what_the_client_sent_without_control_characters(event: str, data: dict[str, str]) -> None:
    client = Stage().open()
    client.say(event, data)

    told = [data.get("message") or data.get("error") for _, data in client.events() if isinstance(data, dict)]
    assert any("'a\\u001b[2J'" in str(each) for each in told)
