"""The HTTP API's publishing routes, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest

from soundpost.wire.signatures import channel_text, sign
from support.harness import (
    DEFAULT_APP,
    HttpResponse,
    RawSocket,
    RunningServer,
    http_request,
    running_server,
    signed_request,
)

_numbers = count()


@pytest.fixture
def channel() -> str:
    """A channel no other test uses."""
    return f"room-{next(_numbers)}"


@pytest.fixture
def client(server: RunningServer, channel: str) -> Iterator[RawSocket]:
    """A subscriber of ``channel``."""
    with server.connect() as connected:
        connected.subscribe(channel)
        yield connected


def post(server: RunningServer, body: Any, route: str = "/events", **query: str) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http_request(server.port, signed_request("POST", route, data, query=query))


def event(channel: str, **more: Any) -> dict[str, Any]:
    return {"name": "e", "data": "{}", "channel": channel, **more}


def join_presence(client: RawSocket, channel: str, user: str) -> None:
    data = json.dumps({"user_id": user})
    auth = f"{DEFAULT_APP.key}:{sign(DEFAULT_APP.secret, channel_text(client.socket_id, channel, data))}"
    client.send_event("pusher:subscribe", {"channel": channel, "auth": auth, "channel_data": data})
    assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"


def nothing_came(client: RawSocket) -> None:
    client.send_event("pusher:ping")
    assert client.read_event()["event"] == "pusher:pong"


def test_an_event_is_answered_with_an_empty_object_and_delivered(
    server: RunningServer, channel: str, client: RawSocket
) -> None:
    response = post(server, {"name": "greeting", "data": '{"text":"hi"}', "channels": [channel]})

    assert (response.status, response.body) == (200, b"{}")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == "2"
    assert client.read_event() == {"event": "greeting", "data": '{"text":"hi"}', "channel": channel}


@pytest.mark.parametrize("form", ["channel", "channels"])
def test_one_channel_in_either_form(server: RunningServer, channel: str, client: RawSocket, form: str) -> None:
    body = {"name": "e", "data": "x", form: channel if form == "channel" else [channel]}

    assert post(server, body).status == 200
    assert client.read_event()["data"] == "x"


def test_several_channels_each_get_their_own_frame(server: RunningServer, channel: str, client: RawSocket) -> None:
    client.subscribe(f"{channel}-b")

    assert post(server, {"name": "e", "data": "x", "channels": [channel, f"{channel}-b", f"{channel}-c"]}).status == 200

    assert {client.read_event()["channel"] for _ in range(2)} == {channel, f"{channel}-b"}
    nothing_came(client)


def test_a_channel_named_twice_gets_the_event_once(server: RunningServer, channel: str, client: RawSocket) -> None:
    post(server, {"name": "e", "data": "x", "channels": [channel, channel]})

    assert client.read_event()["event"] == "e"
    nothing_came(client)


def test_the_excepted_socket_gets_nothing(server: RunningServer, channel: str, client: RawSocket) -> None:
    with server.connect() as other:
        other.subscribe(channel)

        assert post(server, event(channel, socket_id=client.socket_id)).status == 200

        assert other.read_event()["event"] == "e"
        nothing_came(client)


@pytest.mark.parametrize("socket_id", ["1.1", "99999999999.99999999999", None])
def test_an_unknown_socket_id_is_harmless(
    server: RunningServer, channel: str, client: RawSocket, socket_id: str | None
) -> None:
    assert post(server, event(channel, socket_id=socket_id)).status == 200
    assert client.read_event()["event"] == "e"


@pytest.mark.parametrize(
    "socket_id", ["", "undefined", "null", "x y", "1.2 ", "1.2\n", "1.2\x00", "１.２", "1", "1.2.3", "1." + "1" * 9_000]
)
@pytest.mark.parametrize("route", ["/events", "/batch_events"])
@pytest.mark.parametrize("key", [None, "once"])
def test_what_is_no_socket_id_is_refused_by_name_and_nothing_is_published(
    server: RunningServer, channel: str, client: RawSocket, route: str, key: str | None, socket_id: str
) -> None:
    wrong = event(channel, socket_id=socket_id)
    data = json.dumps(wrong if route == "/events" else {"batch": [event(channel), wrong]}).encode()
    headers = [] if key is None else [f"Idempotency-Key: {key}"]

    response = http_request(server.port, signed_request("POST", route, data, headers=headers))

    assert response.status == 400
    said = json.loads(response.body)["error"]
    assert said.startswith(f"socket_id: {socket_id[:60]!a}")
    assert said.endswith("is not a socket id: expected digits, a dot, digits, as in 123.456")
    assert said.replace("…", "").isascii()
    nothing_came(client)


def test_info_tells_of_each_channel_what_applies(server: RunningServer, channel: str, client: RawSocket) -> None:
    presence = f"presence-{channel}"
    join_presence(client, presence, "1")
    body = {"name": "e", "data": "x", "channels": [channel, presence, "nobody-here"]}

    response = post(server, body | {"info": "user_count,subscription_count"})

    assert json.loads(response.body) == {
        "channels": {
            channel: {"subscription_count": 1},
            presence: {"user_count": 1, "subscription_count": 1},
            "nobody-here": {"subscription_count": 0},
        }
    }


@pytest.mark.parametrize("info", ["", "unknown", "user_count", "occupied,nonsense"])
def test_info_that_does_not_apply_is_left_out(
    server: RunningServer, channel: str, client: RawSocket, info: str
) -> None:
    response = post(server, event(channel, info=info))

    assert json.loads(response.body) == {"channels": {channel: {}}}


def test_data_is_delivered_to_the_letter(server: RunningServer, channel: str, client: RawSocket) -> None:
    for data in ["", "plain", "5", '{"a":{},"b":[]}', "ä\u2028😀\u0000", '"', "x" * 10_240]:
        assert post(server, event(channel, data=data)).status == 200
        assert client.read_event()["data"] == data


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "e", "channel": "a"}, "data"),
        ({"name": "e", "channels": ["a"]}, "data"),
        ({"data": "x", "channel": "a"}, "name"),
        ({"name": "e", "data": "x"}, "channels"),
        ({"name": "e", "data": "x", "channels": []}, "channels"),
        ({"name": "e", "data": "x", "channels": "a"}, "channels"),
        ({"name": "e", "data": "x", "channels": [1]}, "channels"),
        ({"name": "e", "data": "x", "channel": ["a"]}, "channel"),
        ({"name": "e", "data": {"a": 1}, "channel": "a"}, "data"),
        ({"name": "e", "data": None, "channel": "a"}, "data"),
        ({"name": 5, "data": "x", "channel": "a"}, "name"),
        ({"name": "", "data": "x", "channel": "a"}, "name"),
        ({"name": "x" * 201, "data": "x", "channel": "a"}, "max_event_name_length"),
        ({"name": "e", "data": "x", "channel": "a", "socket_id": 1234}, "socket_id"),
        ({"name": "e", "data": "x", "channel": "a", "info": 1234}, "info"),
        ({"name": "e", "data": "x", "channel": "bad name"}, "'bad name'"),
        ({"name": "e", "data": "x", "channel": ""}, "empty"),
        ({"name": "e", "data": "x", "channel": "x" * 201}, "at most 200"),
        ({"name": "e", "data": "x", "channels": [f"c{n}" for n in range(101)]}, "max_channels_per_event"),
        ({"name": "e", "data": "x", "channels": ["private-encrypted-a", "b"]}, "encrypted"),
        ([], "object"),
        (None, "object"),
    ],
)
def test_a_wrong_field_is_422_and_named(server: RunningServer, body: Any, field: str) -> None:
    response = post(server, body)

    assert response.status == 422
    assert field in json.loads(response.body)["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b"\xff", b'{"x":' + b"[" * 50_000])
def test_what_is_not_json_is_400(server: RunningServer, body: bytes) -> None:
    response = post(server, body)

    assert response.status == 400
    assert "JSON" in json.loads(response.body)["error"]


def test_a_hundred_channels_and_a_name_of_200_characters_are_fine(server: RunningServer) -> None:
    assert post(server, {"name": "x" * 200, "data": "x", "channels": [f"c{n}" for n in range(100)]}).status == 200


@pytest.mark.parametrize("data", ["x" * 10_241, "ä" * 5_121, "😀" * 2_561])
def test_data_over_ten_kilobytes_is_413(server: RunningServer, data: str) -> None:
    response = post(server, event("a", data=data))

    assert response.status == 413
    assert "10240" in json.loads(response.body)["error"]


@pytest.mark.parametrize("data", ["ä" * 5_120, "😀" * 2_560])
def test_data_is_measured_in_bytes(server: RunningServer, data: str) -> None:
    assert post(server, event("a", data=data)).status == 200


def test_an_encrypted_channel_alone_is_fine(server: RunningServer) -> None:
    assert post(server, event("private-encrypted-a", data='{"nonce":"a","ciphertext":"b"}')).status == 200


def test_a_wrong_channel_among_right_ones_publishes_nothing(
    server: RunningServer, channel: str, client: RawSocket
) -> None:
    assert post(server, {"name": "e", "data": "x", "channels": [channel, "bad name"]}).status == 422

    nothing_came(client)


# Batches


def test_a_batch_is_delivered_in_order(server: RunningServer, channel: str, client: RawSocket) -> None:
    response = post(server, {"batch": [event(channel, name=str(n)) for n in range(10)]}, "/batch_events")

    assert (response.status, response.body) == (200, b"{}")
    assert [client.read_event()["event"] for _ in range(10)] == [str(n) for n in range(10)]


def test_info_of_a_batch_comes_in_order(server: RunningServer, channel: str, client: RawSocket) -> None:
    presence = f"presence-{channel}"
    join_presence(client, presence, "1")
    asked = "user_count,subscription_count"

    response = post(
        server, {"batch": [event(presence, info=asked), event(channel), event(channel, info=asked)]}, "/batch_events"
    )

    assert json.loads(response.body) == {
        "batch": [{"user_count": 1, "subscription_count": 1}, {}, {"subscription_count": 1}]
    }


def test_each_event_of_a_batch_excepts_its_own_socket(server: RunningServer, channel: str, client: RawSocket) -> None:
    batch = [event(channel, name="1", socket_id=client.socket_id), event(channel, name="2")]

    post(server, {"batch": batch}, "/batch_events")

    assert client.read_event()["event"] == "2"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"name": "e", "data": "x"}, 422),
        ({"name": "e", "channel": "a"}, 422),
        ({"name": "e", "data": "x", "channel": "bad name"}, 422),
        ({"name": "x" * 201, "data": "x", "channel": "a"}, 422),
        ({"name": "e", "data": "x" * 10_241, "channel": "a"}, 413),
        (None, 422),
    ],
)
def test_a_batch_is_published_whole_or_not_at_all(
    server: RunningServer, channel: str, client: RawSocket, wrong: Any, status: int
) -> None:
    assert post(server, {"batch": [event(channel), wrong]}, "/batch_events").status == status

    nothing_came(client)


@pytest.mark.parametrize("body", [{}, {"batch": []}, {"batch": None}, {"batch": {}}, {"batch": [event("a")] * 11}])
def test_a_batch_has_one_to_ten_events(server: RunningServer, body: Any) -> None:
    response = post(server, body, "/batch_events")

    assert response.status == 422
    assert "batch" in json.loads(response.body)["error"]


# The connection


def test_many_requests_on_one_connection(server: RunningServer, channel: str, client: RawSocket) -> None:
    with RawSocket(server.port) as publisher:
        for number in range(20):
            publisher.send(signed_request("POST", "/events", msgspec.json.encode(event(channel, name=str(number)))))
            response = publisher.read_response()
            assert (response.status, response.body) == (200, b"{}")
            assert "connection" not in response.headers

    assert [client.read_event()["event"] for _ in range(20)] == [str(number) for number in range(20)]


def test_pipelined_requests_are_answered_in_order(server: RunningServer, channel: str, client: RawSocket) -> None:
    requests = [
        signed_request("POST", "/events", msgspec.json.encode(event(channel, info="subscription_count"))),
        b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n",
        signed_request("POST", "/events", b"nope"),
        signed_request("GET", f"/channels/{channel}"),
    ]
    with RawSocket(server.port) as publisher:
        publisher.send(b"".join(requests))
        responses = [publisher.read_response() for _ in requests]

    assert [response.status for response in responses] == [200, 200, 400, 200]
    assert json.loads(responses[0].body)["channels"] == {channel: {"subscription_count": 1}}


def test_a_chunked_body_is_understood(server: RunningServer, channel: str, client: RawSocket) -> None:
    body = msgspec.json.encode(event(channel))
    request = signed_request("POST", "/events", body)
    head = request[: -len(body)].replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    with RawSocket(server.port) as publisher:
        publisher.send(head + b"5\r\n" + body[:5] + b"\r\n")
        publisher.send(b"%x\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\n\r\n")
        assert publisher.read_response().status == 200

    assert client.read_event()["event"] == "e"


def test_a_body_that_comes_in_many_pieces() -> None:
    body = json.dumps({"name": "e", "data": "x" * 150_000, "channel": "a"}).encode()
    roomy = msgspec.structs.replace(DEFAULT_APP, max_event_data_size=200_000)
    with running_server(apps=[roomy]) as server, server.connect() as client, RawSocket(server.port) as publisher:
        client.subscribe("a")
        request = signed_request("POST", "/events", body)
        for at in range(0, len(request), 10_000):
            publisher.send(request[at : at + 10_000])

        assert publisher.read_response().status == 200
        assert len(client.read_event()["data"]) == 150_000


def test_expect_100_continue_is_answered(server: RunningServer) -> None:
    body = msgspec.json.encode(event("a"))
    request = signed_request("POST", "/events", body, headers=["Expect: 100-continue"])
    with RawSocket(server.port) as publisher:
        publisher.send(request[: -len(body)])
        assert publisher.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        publisher.send(body)
        assert publisher.read_response().status == 200


def test_connection_close_is_honoured(server: RunningServer) -> None:
    request = signed_request("POST", "/events", msgspec.json.encode(event("a")), headers=["Connection: close"])
    with RawSocket(server.port) as publisher:
        publisher.send(request + request)
        assert publisher.read_response().headers["connection"] == "close"
        assert publisher.read_rest() == b""
