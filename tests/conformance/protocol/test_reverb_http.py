"""What Laravel Reverb's own tests assert of its HTTP API, or what we do instead on purpose (docs/compatibility.md).

Its ``…ControllerTest`` files, ``FactoryTest`` for where a server listens.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from conformance.protocol.stage import APP
from soundpost.wire.frames import CLOSE, parse_close
from soundpost.wire.signatures import channel_text, sign, signed_query
from support.harness import HttpResponse, RawSocket, http_request, signed_request
from support.redis_process import free_port
from support.ticked_server import TickedServer, ticked_server

ASKED = "user_count,subscription_count,cache"


@pytest.fixture
def server() -> Iterator[TickedServer]:
    with ticked_server() as ticked:
        yield ticked


@pytest.fixture
def clients(server: TickedServer) -> Iterator[list[RawSocket]]:
    """Two connected clients."""
    with server.connect() as first, server.connect() as second:
        yield [first, second]


def subscribe(client: RawSocket, *channels: str, user: int | None = None) -> None:
    for channel in channels:
        data = None if user is None else json.dumps({"user_id": user})
        auth = f"app-key:{sign('app-secret', channel_text(client.socket_id, channel, data))}"
        message = {"channel": channel, "auth": auth} | ({} if data is None else {"channel_data": data})
        client.send_event("pusher:subscribe", message)
        while client.read_event()["event"] != "pusher_internal:subscription_succeeded":
            pass


def get(server: TickedServer, route: str, **query: str) -> Any:
    response = http_request(server.port, signed_request("GET", route, query=query))
    assert response.status == 200, response
    assert int(response.headers["content-length"]) == len(response.body)
    return json.loads(response.body)


def status(server: TickedServer, method: str, route: str) -> int:
    return http_request(server.port, signed_request(method, route)).status


def post(server: TickedServer, body: Any, route: str = "/events") -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http_request(server.port, signed_request("POST", route, data))


def event(*channels: str, **more: Any) -> dict[str, Any]:
    return {"name": "NewEvent", "data": '{"some":"data"}', "channels": list(channels), **more}


def batched(channel: str, **more: Any) -> dict[str, Any]:
    return {"name": "NewEvent", "data": '{"some":"data"}', "channel": channel, **more}


# ChannelControllerTest


def test_a_public_channel_with_two_subscribers(server: TickedServer, clients: list[RawSocket]) -> None:
    for client in clients:
        subscribe(client, "room")

    assert get(server, "/channels/room", info=ASKED) == {"occupied": True, "subscription_count": 2}


def test_an_unknown_channel_is_not_occupied(server: TickedServer) -> None:
    assert get(server, "/channels/room") == {"occupied": False}


def test_the_cache_of_a_cache_channel_is_included_and_we_add_its_remaining_time(
    server: TickedServer, clients: list[RawSocket]
) -> None:
    subscribe(clients[0], "cache-room")
    post(server, event("cache-room"))

    answer = get(server, "/channels/cache-room", info=ASKED)

    assert answer["cache"].pop("ttl") in range(1, 1801)
    assert answer == {
        "occupied": True,
        "subscription_count": 1,
        "cache": {"event": "NewEvent", "data": '{"some":"data"}'},
    }


def test_a_presence_channel_has_a_user_count_and_we_add_its_subscription_count(
    server: TickedServer, clients: list[RawSocket]
) -> None:
    for client in clients:
        subscribe(client, "presence-room", user=1)

    answer = get(server, "/channels/presence-room", info=ASKED)

    assert answer == {"occupied": True, "user_count": 1, "subscription_count": 2}


def test_only_what_was_asked_and_applies(server: TickedServer, clients: list[RawSocket]) -> None:
    subscribe(clients[0], "room")
    subscribe(clients[0], "presence-room", user=1)

    assert get(server, "/channels/room", info="cache") == {"occupied": True}
    assert get(server, "/channels/presence-room", info="cache,user_count") == {"occupied": True, "user_count": 1}


# ChannelUsersControllerTest


def test_users_of_a_channel_that_is_not_presence_is_400(server: TickedServer, clients: list[RawSocket]) -> None:
    subscribe(clients[0], "room")

    assert status(server, "GET", "/channels/room/users") == 400


def test_users_of_an_unknown_presence_channel_are_none_as_of_pusher(server: TickedServer) -> None:
    """Reverb answers 404, which SDKs raise as an error; Laravel does not ask."""
    assert get(server, "/channels/presence-room/users") == {"users": []}


def test_users_once_each_first_seen_first_numbers_kept(server: TickedServer, clients: list[RawSocket]) -> None:
    with server.connect() as third, server.connect() as fourth:
        for client, user in zip([*clients, third, fourth], [2, 3, 2, 1], strict=True):
            subscribe(client, "presence-room", user=user)

        assert get(server, "/channels/presence-room/users") == {"users": [{"id": 2}, {"id": 3}, {"id": 1}]}


# ChannelsControllerTest


def test_all_channels_without_info(server: TickedServer, clients: list[RawSocket]) -> None:
    subscribe(clients[0], "one")
    subscribe(clients[0], "presence-two", user=1)

    assert get(server, "/channels") == {"channels": {"one": {}, "presence-two": {}}}


def test_we_ask_for_a_presence_prefix_with_user_count(server: TickedServer, clients: list[RawSocket]) -> None:
    subscribe(clients[0], "one")
    subscribe(clients[0], "presence-two", user=1)

    response = http_request(server.port, signed_request("GET", "/channels", query={"info": "user_count"}))
    assert response.status == 400
    answer = get(server, "/channels", info="user_count", filter_by_prefix="presence-")
    assert answer == {"channels": {"presence-two": {"user_count": 1}}}


def test_channels_without_subscribers_are_not_listed_and_none_is_an_empty_object(
    server: TickedServer, clients: list[RawSocket]
) -> None:
    subscribe(clients[0], "one", "two")
    clients[0].send_event("pusher:unsubscribe", {"channel": "one"})
    server.until(lambda: server.subscribers("one") == 0)
    assert get(server, "/channels") == {"channels": {"two": {}}}

    clients[0].send_event("pusher:unsubscribe", {"channel": "two"})
    server.until(lambda: server.subscribers("two") == 0)
    response = http_request(server.port, signed_request("GET", "/channels"))
    assert response.body == b'{"channels":{}}'  # Reverb's [] breaks the official PHP SDK


# ConnectionsControllerTest


def test_connections_count_once_each_and_we_count_those_without_subscriptions(
    server: TickedServer, clients: list[RawSocket]
) -> None:
    subscribe(clients[0], "one", "two")

    assert get(server, "/connections") == {"connections": 2}


# EventsBatchControllerTest


@pytest.mark.parametrize("size", [1, 2])
def test_a_batch_without_info_we_answer_with_an_empty_object(server: TickedServer, size: int) -> None:
    response = post(server, {"batch": [batched("room")] * size}, "/batch_events")

    assert (response.status, response.body) == (200, b"{}")


def test_info_on_each_event_of_a_batch_in_order(server: TickedServer, clients: list[RawSocket]) -> None:
    subscribe(clients[0], "presence-room", user=1)
    subscribe(clients[0], "room")
    batch = [batched("presence-room", info="user_count"), batched("room", info="user_count,subscription_count")]

    response = post(server, {"batch": batch}, "/batch_events")

    assert json.loads(response.body) == {"batch": [{"user_count": 1}, {"subscription_count": 1}]}


def test_info_on_some_events_of_a_batch(server: TickedServer, clients: list[RawSocket]) -> None:
    subscribe(clients[0], "presence-room", user=1)

    response = post(server, {"batch": [batched("presence-room", info="user_count"), batched("room")]}, "/batch_events")

    assert json.loads(response.body) == {"batch": [{"user_count": 1}, {}]}


def test_a_batch_accepts_the_socket_id_of_a_local_socket(server: TickedServer, clients: list[RawSocket]) -> None:
    for client in clients:
        subscribe(client, "room")

    batch = {"batch": [batched("room", socket_id=clients[0].socket_id)]}
    assert post(server, batch, "/batch_events").status == 200

    assert clients[1].read_event()["event"] == "NewEvent"
    clients[0].send_event("pusher:ping")
    assert clients[0].read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("route", ["/events", "/batch_events"])
@pytest.mark.parametrize(("body", "expected"), [(b"", 400), (b"null", 422), (b"nope", 400)])
def test_a_null_body_we_refuse_with_a_reason(server: TickedServer, route: str, body: bytes, expected: int) -> None:
    response = post(server, body, route)

    assert response.status == expected  # Reverb: 500
    assert json.loads(response.body)["error"]


# EventsControllerTest


@pytest.mark.parametrize(
    "body", [{"name": "NewEvent", "data": "{}", "channel": "room"}, event("room"), event("room", "other")]
)
def test_an_event_is_answered_with_an_empty_object(server: TickedServer, body: dict[str, Any]) -> None:
    response = post(server, body)

    assert (response.status, response.body, response.headers["content-length"]) == (200, b"{}", "2")


def test_user_counts_of_the_channels_of_an_event(server: TickedServer, clients: list[RawSocket]) -> None:
    subscribe(clients[0], "presence-room", user=1)

    response = post(server, event("presence-room", "room", info="user_count"))

    assert json.loads(response.body) == {"channels": {"presence-room": {"user_count": 1}, "room": {}}}


def test_subscription_counts_of_the_channels_of_an_event_and_we_give_that_of_presence(
    server: TickedServer, clients: list[RawSocket]
) -> None:
    subscribe(clients[0], "presence-room", user=1)
    subscribe(clients[0], "room")

    response = post(server, event("presence-room", "room", "unknown", info="subscription_count"))

    counted = {"subscription_count": 1}
    unknown = {"subscription_count": 0}
    assert json.loads(response.body) == {"channels": {"presence-room": counted, "room": counted, "unknown": unknown}}


def test_socket_id_suppresses_delivery_to_that_socket(server: TickedServer, clients: list[RawSocket]) -> None:
    for client in clients:
        subscribe(client, "room")

    post(server, event("room", socket_id=clients[0].socket_id))

    assert clients[1].read_event()["event"] == "NewEvent"
    clients[0].send_event("pusher:ping")
    assert clients[0].read_event()["event"] == "pusher:pong"


def test_an_unknown_socket_id_is_harmless(server: TickedServer) -> None:
    assert post(server, event("room", socket_id="1234.5678")).status == 200


def test_what_is_no_socket_id_is_refused_as_pusher_does(server: TickedServer) -> None:
    """Reverb takes any text. Its publishers check it before they send it, as Pusher's SDKs do."""
    assert post(server, event("room", socket_id="invalid-socket-id")).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"name": "NewEvent", "channel": "room"},
        {"name": "NewEvent", "channels": ["room"]},
        event("room", socket_id=1234),
        event("room", info=1234),
    ],
)
def test_invalid_fields_are_422(server: TickedServer, body: dict[str, Any]) -> None:
    response = post(server, body)

    assert response.status == 422
    assert "error" in json.loads(response.body)  # Reverb: Laravel's bag of messages per field


def test_a_body_over_max_request_size_is_413_and_passes_with_a_larger_one() -> None:
    body = event("room", data="x" * 10_000)
    with ticked_server(max_request_size=10_000) as server:
        assert post(server, body).status == 413
    with ticked_server(max_request_size=20_000) as server:
        assert post(server, body).status == 200


def test_a_body_of_150_kb_is_read_in_several_parts() -> None:
    roomy = msgspec.structs.replace(APP, max_event_data_size=200_000)
    with ticked_server(roomy, max_request_size=200_000) as server, server.connect() as client:
        subscribe(client, "room")
        post(server, event("room", data="x" * 150_000))
        assert len(client.read_event()["data"]) == 150_000


def test_an_unknown_app_id_is_404(server: TickedServer) -> None:
    request = signed_request("POST", "/events", b"{}", app=msgspec.structs.replace(APP, id="unknown"))

    response = http_request(server.port, request)

    assert response.status == 404
    assert json.loads(response.body) == {"error": "No matching application for ID [unknown]."}


@pytest.mark.parametrize("sign_prefix", [True, False])
def test_with_a_path_the_api_answers_below_it_and_without_it_signed_with_or_without(sign_prefix: bool) -> None:
    with ticked_server(path="ws") as server:
        body = json.dumps(event("room")).encode()
        path = ("/ws" if sign_prefix else "") + "/apps/1/events"
        query = signed_query(APP.key, APP.secret, "POST", path, int(time.time()), body=body)
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        head = f"POST /ws/apps/1/events?{pairs} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"

        assert http_request(server.port, head.encode() + body).status == 200
        assert post(server, event("room")).status == 200  # as pusher-http-php asks if the path has no slash at its end


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "/events"),
        ("POST", "/batch_events"),
        ("GET", "/channels"),
        ("GET", "/channels/room"),
        ("GET", "/channels/presence-room/users"),
        ("GET", "/connections"),
        ("POST", "/users/456/terminate_connections"),
    ],
)
def test_unsigned_is_401(server: TickedServer, method: str, route: str) -> None:
    request = f"{method} /apps/1{route} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()

    assert http_request(server.port, request).status == 401


# HealthCheckControllerTest


def test_up_says_ok(server: TickedServer) -> None:
    response = http_request(server.port, b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (response.status, response.body, response.headers["content-length"]) == (200, b'{"health":"OK"}', "15")


def test_a_stopped_server_refuses() -> None:
    with ticked_server() as server:
        port = server.port

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


# UsersTerminateControllerTest


def test_terminate_at_the_wrong_path_is_404(server: TickedServer) -> None:
    assert status(server, "POST", "/channels/users/456/terminate_connections") == 404


def test_a_user_is_cut_off_from_all_channels_and_others_stay(server: TickedServer, clients: list[RawSocket]) -> None:
    stays, goes = clients
    subscribe(stays, "presence-one", "presence-two", user=123)
    subscribe(goes, "presence-one", "presence-two", user=456)
    with server.connect() as public:  # Reverb fails with such a socket in the app
        subscribe(public, "room")

        response = post(server, b"{}", "/users/456/terminate_connections")

        assert (response.status, response.body, response.headers["content-length"]) == (200, b"{}", "2")
        assert server.run(lambda: [server.subscribers(f"presence-{name}") for name in ("one", "two")]) == [1, 1]
        while (frame := goes.read_frame())[0] != CLOSE:
            pass
        assert parse_close(frame[1])[0] == 4009  # Reverb: no close frame at all


# FactoryTest


def test_bound_to_the_given_host_and_port() -> None:
    port = free_port()
    with ticked_server(host="127.0.0.1", port=port) as server, socket.create_connection(("127.0.0.1", port)) as client:
        assert server.port == port
        assert client.getpeername() == ("127.0.0.1", port)
