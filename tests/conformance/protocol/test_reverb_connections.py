"""What Laravel Reverb's own tests assert of connections and messages, or what we do instead on purpose.

Its ``Feature/…/ServerTest``, ``Unit/…/ServerTest``, ``EventTest``, ``ClientEventTest`` and the two jobs. Where the
answer differs, docs/compatibility.md has the reason; such tests say "we" in their names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from conformance.protocol.stage import APP, Stage, error_of, members_of, subscription_error_of
from soundpost.core.app_settings import AppSettings, RateLimiting
from soundpost.wire.frames import CLOSE, PING, PONG, TEXT, parse_close
from support.harness import RawSocket, http_request, signed_request
from support.ticked_server import TickedServer, ticked_server

SUCCEEDED = "pusher_internal:subscription_succeeded"
CACHE_KINDS = ["cache-room", "private-cache-room", "presence-cache-room"]
SIGNED_KINDS = ["private-room", "presence-room", "private-cache-room", "presence-cache-room"]


@pytest.fixture
def server() -> Iterator[TickedServer]:
    with ticked_server() as ticked:
        yield ticked


def user_for(channel: str, user: int = 1) -> dict[str, Any] | None:
    return {"user_id": user, "user_info": {"name": "Test User"}} if channel.startswith("presence-") else None


def app(**options: Any) -> AppSettings:
    return msgspec.structs.replace(APP, **options)


# Connecting


def test_clients_of_several_apps_can_connect() -> None:
    apps = [
        APP,
        AppSettings(id="2", key="key-2", secret="s"),
        AppSettings(id="3", key="key-3", secret="s", allowed_origins=("a.com",)),
    ]
    with ticked_server(*apps) as server:
        for key, origin in (("app-key", None), ("key-2", None), ("key-3", "http://a.com")):
            with RawSocket(server.port) as client:
                client.handshake(f"/app/{key}?protocol=7", Origin=origin)
                assert client.read_event()["event"] == "pusher:connection_established"


def test_hello_carries_socket_id_and_activity_timeout_30() -> None:
    client = Stage().open()

    ((_, data),) = client.events()

    assert data == {"socket_id": client.socket_id, "activity_timeout": 30}


def refused(server: TickedServer, target: str = "/app/app-key?protocol=7", **headers: str | None) -> str:
    with RawSocket(server.port) as client:
        client.handshake(target, **headers)
        error = client.read_event()
        opcode, payload = client.read_frame()
        assert opcode == CLOSE
        assert error["data"]["code"] == parse_close(payload)[0]
        return f"{error['data']['code']} {error['data']['message']}"


def test_an_unknown_app_key_is_4001(server: TickedServer) -> None:
    assert refused(server, "/app/invalid-key?protocol=7").startswith("4001 Application does not exist")


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("laravel.com", "http://other.com"),
        ("laravel.com", "http://sub.laravel.com"),
        ("*.laravel.com", "http://laravel.com"),
        ("laravel.com", None),
    ],
)
def test_another_origin_is_4009(allowed: str, origin: str | None) -> None:
    with ticked_server(app(allowed_origins=(allowed,))) as server:
        assert refused(server, Origin=origin).startswith("4009 Origin not allowed")


@pytest.mark.parametrize(
    ("allowed", "origin"), [("laravel.com", "http://laravel.com"), ("*.laravel.com", "http://sub.laravel.com")]
)
def test_an_allowed_origin_may_connect(allowed: str, origin: str) -> None:
    with ticked_server(app(allowed_origins=(allowed,))) as server, RawSocket(server.port) as client:
        client.handshake(Origin=origin)
        assert client.read_event()["event"] == "pusher:connection_established"


def test_a_second_connection_over_the_quota_is_4004() -> None:
    with ticked_server(app(max_connections=1)) as server, server.connect() as first:
        first.subscribe("room")
        assert refused(server).startswith("4004 Application is over connection quota")


def test_we_count_connections_without_subscriptions_as_well() -> None:
    with ticked_server(app(max_connections=1)) as server, server.connect():
        assert refused(server).startswith("4004 ")


def test_we_name_no_software_in_the_handshake(server: TickedServer) -> None:
    with RawSocket(server.port) as client:
        assert b"powered" not in client.handshake().lower()


# Subscribing


@pytest.mark.parametrize("channel", ["room", "private-room", "cache-room", "private-cache-room"])
def test_a_subscription_is_answered_with_an_empty_object(channel: str) -> None:
    stage = Stage()
    client = stage.connect()

    client.ask(channel)

    assert client.read()[0] == {"event": SUCCEEDED, "data": "{}", "channel": channel}
    assert len(stage.app.channels[channel].subscribers) == 1


@pytest.mark.parametrize("channel", ["presence-room", "presence-cache-room"])
def test_a_presence_subscription_is_answered_with_the_hash(channel: str) -> None:
    client = Stage().connect()

    client.ask(channel, user_for(channel))

    assert members_of(client.read()) == {"count": 1, "ids": [1], "hash": {"1": {"name": "Test User"}}}


@pytest.mark.parametrize("channel", SIGNED_KINDS)
@pytest.mark.parametrize("auth", ["app-key:invalid-signature", None])
def test_a_bad_or_missing_signature_is_4009(channel: str, auth: str | None) -> None:
    stage = Stage()
    client = stage.connect()

    client.say("pusher:subscribe", {"channel": channel, "auth": auth, "channel_data": '{"user_id":1}'})

    messages = client.read()
    code, text = error_of(messages)
    assert (code, text.startswith("Connection is unauthorized")) == (4009, True)
    assert stage.app.channels == {}


def test_we_tell_the_channel_of_a_refused_subscription_too() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": "private-room", "auth": "app-key:invalid-signature"})

    assert subscription_error_of(client.read())["channel"] == "private-room"


def test_we_check_the_key_in_front_of_the_signature() -> None:
    client = Stage().connect()

    client.say(
        "pusher:subscribe",
        {"channel": "private-room", "auth": "other:" + client.auth("private-room").split(":")[1]},
    )

    assert error_of(client.read())[0] == 4009


def test_a_public_subscription_with_an_empty_auth_string() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": "room", "auth": ""})

    assert client.read()[0]["event"] == SUCCEEDED


def test_one_connection_on_four_channels_of_all_kinds() -> None:
    stage = Stage()
    client = stage.connect().join("room", "private-room", "cache-room").join("presence-room", user=1)

    assert [channel.name for channel in client.channels] == ["room", "private-room", "cache-room", "presence-room"]


def test_two_connections_on_overlapping_channels() -> None:
    stage = Stage()
    stage.connect().join("a", "b", "c")
    stage.connect().join("b", "c", "d")

    counts = {name: len(channel.subscribers) for name, channel in stage.app.channels.items()}
    assert counts == {"a": 1, "b": 2, "c": 2, "d": 1}


def test_a_channel_vanishes_when_its_last_subscriber_unsubscribes() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    client.say("pusher:unsubscribe", {"channel": "room"})

    assert client.read() == []
    assert stage.app.channels == {}


@pytest.mark.parametrize("channel", ["room", "private-room", "presence-room"])
def test_disconnecting_unsubscribes(channel: str) -> None:
    stage = Stage()
    client = stage.connect().join(channel, user=1 if channel.startswith("presence-") else None)

    client.vanish()
    stage.turn()

    assert stage.app.channels == {}


def test_we_refuse_an_empty_channel_name() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": ""})

    assert subscription_error_of(client.read())["type"] == "InvalidChannel"


def test_we_refuse_a_number_as_channel_name() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": 5})

    assert error_of(client.read())[0] == 4200


def test_we_refuse_presence_without_channel_data() -> None:
    client = Stage().connect()

    client.ask("presence-room")

    assert error_of(client.read())[0] == 4009


def test_we_let_only_the_signed_in_user_on_its_own_channel() -> None:
    client = Stage().connect()

    client.say("pusher:subscribe", {"channel": "#server-to-user-1"})

    assert error_of(client.read())[0] == 4009


# Members


def test_others_get_member_added_with_id_and_info_and_the_joiner_does_not() -> None:
    stage = Stage()
    first, second = stage.connect().join("presence-room", user=1), stage.connect()

    second.ask("presence-room", {"user_id": 2, "user_info": {"name": "Two"}})

    assert first.events() == [("pusher_internal:member_added", {"user_id": 2, "user_info": {"name": "Two"}})]
    assert [name for name, _ in second.events()] == [SUCCEEDED]


def test_others_get_member_removed_when_a_socket_closes() -> None:
    stage = Stage()
    first, third = stage.connect().join("presence-room", user=1), stage.connect().join("presence-room", user=3)
    first.read()

    third.vanish()

    assert first.events() == [("pusher_internal:member_removed", {"user_id": 3})]


def test_presence_lists_a_user_once() -> None:
    stage = Stage()
    stage.connect().join("presence-room", user=1)
    client = stage.connect()

    client.ask("presence-room", {"user_id": 1})

    assert members_of(client.read()) == {"count": 1, "ids": [1], "hash": {"1": None}}


def test_we_leave_other_fields_of_channel_data_out() -> None:
    stage = Stage()
    first, second = stage.connect().join("presence-room", user=1), stage.connect()

    second.ask("presence-room", {"user_id": 2, "user_info": {}, "secret": 1})

    assert first.events()[0][1] == {"user_id": 2, "user_info": {}}


# Cache channels


@pytest.mark.parametrize("channel", CACHE_KINDS)
def test_joiner_of_a_cache_channel_gets_the_last_event(channel: str) -> None:
    stage = Stage()
    stage.connect().join(channel, user=9 if channel.startswith("presence-") else None)
    stage.publish(channel, "App\\Events\\E", '{"foo":"bar"}')
    client = stage.connect()

    client.ask(channel, user_for(channel))

    assert client.read()[1:] == [{"event": "App\\Events\\E", "data": '{"foo":"bar"}', "channel": channel}]


@pytest.mark.parametrize("channel", CACHE_KINDS)
def test_joiner_of_an_empty_cache_channel_gets_cache_miss(channel: str) -> None:
    client = Stage().connect()

    client.ask(channel, user_for(channel))

    assert client.read()[1:] == [{"event": "pusher:cache_miss", "channel": channel}]


def test_we_keep_the_event_when_nobody_is_on_the_channel() -> None:
    stage = Stage()
    stage.publish("cache-room", "e")
    client = stage.connect()

    client.ask("cache-room")

    assert [name for name, _ in client.events()] == [SUCCEEDED, "e"]


# Events


def test_a_triggered_event_reaches_all_three_subscribers(server: TickedServer) -> None:
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.subscribe("test-channel")
    body = json.dumps({"name": "App\\Events\\TestEvent", "channel": "test-channel", "data": '{"foo":"bar"}'}).encode()

    assert http_request(server.port, signed_request("POST", "/events", body)).body == b"{}"

    for client in clients:
        assert client.read_event() == {
            "event": "App\\Events\\TestEvent",
            "data": '{"foo":"bar"}',
            "channel": "test-channel",
        }
        client.socket.close()


def test_an_event_on_a_presence_channel_reaches_its_subscriber() -> None:
    stage = Stage()
    client = stage.connect().join("presence-room", user=1)

    stage.publish("presence-room", "e", "x")

    assert client.read() == [{"event": "e", "data": "x", "channel": "presence-room"}]


def test_channels_list_broadcasts_to_each() -> None:
    stage = Stage()
    client = stage.connect().join("a", "b")

    for channel in ("a", "b"):
        stage.publish(channel)

    assert [message["channel"] for message in client.read()] == ["a", "b"]


# Client events


def test_a_members_event_reaches_others_with_user_id_and_not_the_sender() -> None:
    stage = Stage()
    first, second = stage.connect().join("presence-room", user="1"), stage.connect().join("presence-room", user="2")
    first.read()

    first.say("client-test", {"foo": "bar"}, channel="presence-room")

    assert second.read() == [
        {"event": "client-test", "channel": "presence-room", "data": {"foo": "bar"}, "user_id": "1"}
    ]
    assert first.read() == []


def test_we_refuse_client_events_on_public_channels() -> None:
    stage = Stage()
    first, second = stage.connect().join("room"), stage.connect().join("room")

    first.say("client-test", {"foo": "bar"}, channel="room")

    assert error_of(first.read())[0] == 4301
    assert second.read() == []


def test_members_mode_refuses_a_stranger() -> None:
    stage = Stage()
    member, stranger = stage.connect().join("private-room"), stage.connect()

    stranger.say("client-test", {}, channel="private-room")

    code, text = error_of(stranger.read())
    assert (code, text[:60]) == (4009, "The client is not a member of the specified channel. (subscr")
    assert member.read() == []


def test_none_mode_refuses_everybody() -> None:
    stage = Stage(accept_client_events_from="none")
    first, second = stage.connect().join("private-room"), stage.connect().join("private-room")

    first.say("client-test", {}, channel="private-room")

    code, text = error_of(first.read())
    assert (code, text.startswith("The app does not have client messaging enabled.")) == (4301, True)
    assert second.read() == []


def test_we_have_no_all_mode() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": "1", "key": "k", "secret": "s", "accept_client_events_from": "all"}, AppSettings)


def test_an_event_without_the_client_prefix_reaches_nobody() -> None:
    stage = Stage()
    first, second = stage.connect().join("private-room"), stage.connect().join("private-room")

    first.say("test-event", {}, channel="private-room")

    assert second.read() == []
    assert error_of(first.read())[0] == 4200  # Reverb says nothing


def test_a_client_event_without_data_is_accepted_and_the_sender_gets_nothing() -> None:
    stage = Stage()
    first, second = stage.connect().join("private-room"), stage.connect().join("private-room")

    first.say("client-test", channel="private-room")

    assert first.read() == []
    assert second.read()[0]["data"] is None


@pytest.mark.parametrize("data", [5, "text", {}, [], None, True])
def test_we_forward_any_json_as_it_is(data: object) -> None:
    stage = Stage()
    first, second = stage.connect().join("private-room"), stage.connect().join("private-room")

    first.raw(json.dumps({"event": "client-test", "channel": "private-room", "data": data}))

    assert second.read()[0]["data"] == data


# Messages


def test_ping_is_answered_with_pong() -> None:
    client = Stage().connect()

    client.say("pusher:ping")

    assert client.read() == [{"event": "pusher:pong", "data": "{}"}]


@pytest.mark.parametrize(
    "payload",
    [
        "Hi",
        '{"event":["a"]}',
        '{"event":"pusher:subscribe","data":"not JSON"}',
        '{"event":"pusher:subscribe","data":{"channel":["a"]}}',
        '{"event":"pusher:subscribe","data":{"channel":null}}',
        '{"event":"pusher:subscribe","data":{"channel":"private-a","auth":["a"]}}',
        '{"event":"pusher:subscribe","data":{"channel":"a","channel_data":["a"]}}',
        '{"event":"client-a","channel":["a"],"data":{}}',
    ],
)
def test_malformed_messages_are_4200_invalid_message_format(payload: str) -> None:
    client = Stage().connect()

    client.raw(payload)

    code, text = error_of(client.read())
    assert (code, text.startswith("Invalid message format")) == (4200, True)
    assert client.close_code is None


def test_channel_data_that_is_not_json_is_refused_on_presence_channels() -> None:
    client = Stage().connect()

    client.ask("presence-room", "not JSON")

    assert error_of(client.read())[0] == 4200


def test_the_fourth_of_three_allowed_messages_is_4301_and_not_terminated() -> None:
    client = Stage(rate_limiting=RateLimiting(enabled=True, max_attempts=3)).connect()

    for _ in range(4):
        client.say("pusher:ping")

    assert error_of(client.read()) == (4301, "Rate limit exceeded")
    assert client.close_code is None


def test_terminate_on_limit_terminates_and_we_send_the_reason_and_a_close_code() -> None:
    limit = RateLimiting(enabled=True, max_attempts=3, terminate_on_limit=True)
    client = Stage(rate_limiting=limit).connect()

    for _ in range(4):
        client.say("pusher:ping")

    assert error_of(client.read()) == (4301, "Rate limit exceeded")
    assert client.close_code == 4100


def test_without_a_rate_limit_ten_messages_pass() -> None:
    client = Stage().connect()

    for _ in range(10):
        client.say("pusher:ping")

    assert len(client.read()) == 10


@pytest.mark.parametrize("limit", [1, 10_000])
def test_a_message_far_above_the_limit_closes_with_1009(limit: int) -> None:
    """Reverb closes for one byte too many; here up to four times the limit are answered."""
    with ticked_server(app(max_message_size=limit)) as server, server.connect() as client:
        client.send_frame(TEXT, b"x" * (4 * limit + 1))

        opcode, payload = client.read_frame()

    assert opcode == CLOSE
    assert parse_close(payload) == (1009, f"Message over {4 * limit} bytes (4 times max_message_size)")


def test_a_subscription_of_20_kb_is_fine_when_the_app_allows_1_mb() -> None:
    with ticked_server(app(max_message_size=1_000_000)) as server, server.connect() as client:
        client.send_event("pusher:subscribe", {"channel": "room", "channel_data": json.dumps({"x": "x" * 20_000})})

        assert client.read_event()["event"] == SUCCEEDED


# Liveness


def test_five_inactive_connections_all_get_a_ping(server: TickedServer) -> None:
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.subscribe("room")

    server.tick(30)

    for client in clients:
        assert client.read_event() == {"event": "pusher:ping", "data": "{}"}
        client.socket.close()


def test_a_pinged_and_still_inactive_connection_is_pruned_with_4201(server: TickedServer) -> None:
    with server.connect() as client:
        client.subscribe("room")
        server.tick(60)

        assert client.read_event()["event"] == "pusher:ping"
        error = client.read_event()
        assert error["data"] == {"code": 4201, "message": "Pong reply not received in time"}
        assert server.subscribers("room") == 0


def test_we_prune_connections_without_subscriptions_as_well(server: TickedServer) -> None:
    with server.connect() as client:
        server.tick(60)

        assert [client.read_event()["event"] for _ in range(2)] == ["pusher:ping", "pusher:error"]


def test_a_websocket_ping_is_ponged_and_is_a_sign_of_life(server: TickedServer) -> None:
    with server.connect() as client:
        server.tick(29)
        client.send_frame(PING, b"x")
        assert client.read_frame() == (PONG, b"x")
        server.tick(29)
        client.send_event("pusher:ping")
        assert client.read_event()["event"] == "pusher:pong"


def test_a_websocket_pong_is_a_sign_of_life_and_not_answered(server: TickedServer) -> None:
    with server.connect() as client:
        server.tick(29)
        client.send_frame(PONG, b"x")
        client.send_event("pusher:ping")

        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("uses_websocket_pings", [False, True])
def test_the_check_uses_the_kind_of_ping_the_client_uses(server: TickedServer, uses_websocket_pings: bool) -> None:
    with server.connect() as client:
        if uses_websocket_pings:
            client.send_frame(PING, b"")
            assert client.read_frame() == (PONG, b"")

        server.tick(30)

        opcode, payload = client.read_frame()
        assert (opcode, payload) == ((PING, b"") if uses_websocket_pings else (TEXT, payload))
        assert uses_websocket_pings or json.loads(payload)["event"] == "pusher:ping"
