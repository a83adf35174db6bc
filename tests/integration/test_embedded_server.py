"""The embedded server under a real uvicorn: raw clients get the same bytes as from ``soundpost start``."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from soundpost.asgi import App as Embedded
from soundpost.core.app_settings import AppSettings, RateLimiting
from soundpost.wire.frames import BINARY, CLOSE, TEXT
from soundpost.wire.signatures import channel_text, sign, user_text
from support.embedded import publish_inside, running_embedded
from support.harness import DEFAULT_APP, RawSocket, RunningServer, http_request, until
from support.raw_socket import client_frame

LIMITED = AppSettings(
    id="2",
    key="limited-key",
    secret="limited-secret",
    max_connections=2,
    max_message_size=500,
    max_event_data_size=200,
    max_presence_members=2,
    max_client_events_per_second=3,
    max_output_buffer=100_000,
    allowed_origins=("shop.example",),
    allow_missing_origin=True,
    rate_limiting=RateLimiting(enabled=True, max_attempts=20, terminate_on_limit=True),
)
SLOW = msgspec.structs.replace(
    DEFAULT_APP,
    id="3",
    key="slow-key",
    max_output_buffer=100_000,
    max_event_data_size=10_000,
    rate_limiting=RateLimiting(),
)
QUIET = msgspec.structs.replace(DEFAULT_APP, id="4", key="quiet-key", ping_interval=1, activity_timeout=1)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_embedded(apps=(DEFAULT_APP, LIMITED, SLOW, QUIET)) as running:
        yield running


def subscribe(client: RawSocket, channel: str, member: Any = None, app: AppSettings = DEFAULT_APP) -> dict[str, Any]:
    """Subscribe as the application allows it; what the server says first."""
    data = None if member is None else json.dumps(member)
    auth = f"{app.key}:{sign(app.secret, channel_text(client.socket_id, channel, data))}"
    client.send_event("pusher:subscribe", {"channel": channel, "auth": auth, "channel_data": data})
    return client.read_event()


def close_code(client: RawSocket) -> int:
    """Read past everything up to the close frame, answer that, and give its code."""
    while True:
        opcode, payload = client.read_frame()
        if opcode == CLOSE:
            client.send_frame(CLOSE, payload[:2])
            return int.from_bytes(payload[:2], "big")


def test_public_channels(server: RunningServer) -> None:
    with server.connect() as client, server.connect() as other:
        client.subscribe("orders")
        other.subscribe("orders")
        assert server.publish("orders", "Shipped", '{"id":7}').json() == {}
        for each in (client, other):
            assert each.read_event() == {"event": "Shipped", "data": '{"id":7}', "channel": "orders"}
        other.send_event("pusher:unsubscribe", {"channel": "orders"})
        other.send_event("pusher:ping")
        assert other.read_event()["event"] == "pusher:pong"
        server.publish("orders", "Shipped")
        assert client.read_event()["data"] == "{}"
        assert not other.has_input()


def test_an_excluded_socket_does_not_get_the_event(server: RunningServer) -> None:
    with server.connect() as sender, server.connect() as other:
        for client in (sender, other):
            client.subscribe("chat")
        body = {"name": "e", "channels": ["chat"], "data": "1", "socket_id": sender.socket_id}
        server.request("POST", "/events", json.dumps(body).encode())
        server.publish("chat", "end")
        assert [other.read_event()["event"] for _ in range(2)] == ["e", "end"]
        assert sender.read_event()["event"] == "end"


@pytest.mark.parametrize("socket_id", ["", "undefined", "x y", "1.2\n"])
def test_what_is_no_socket_id_is_refused(server: RunningServer, socket_id: str) -> None:
    body = {"name": "e", "channels": ["chat"], "data": "1", "socket_id": socket_id}
    assert server.request("POST", "/events", json.dumps(body).encode()).status == 400


def test_private_channels_need_a_signature(server: RunningServer) -> None:
    with server.connect() as client:
        assert subscribe(client, "private-orders.7")["event"] == "pusher_internal:subscription_succeeded"
        client.send_event("pusher:subscribe", {"channel": "private-orders.8", "auth": "app-key:00"})
        assert client.read_event()["event"] == "pusher:subscription_error"
        assert client.read_event()["data"]["code"] == 4009
        server.publish("private-orders.7", "still there")
        assert client.read_event()["event"] == "still there"


def test_presence_channels(server: RunningServer) -> None:
    with server.connect() as ann, server.connect() as bob:
        here = json.loads(subscribe(ann, "presence-room", {"user_id": "1", "user_info": {"name": "Ann"}})["data"])
        assert here["presence"] == {"count": 1, "ids": ["1"], "hash": {"1": {"name": "Ann"}}}
        here = json.loads(subscribe(bob, "presence-room", {"user_id": 2, "user_info": {"name": "Bob"}})["data"])
        assert here["presence"]["count"] == 2
        added = ann.read_event()
        assert added["event"] == "pusher_internal:member_added"
        assert json.loads(added["data"]) == {"user_id": 2, "user_info": {"name": "Bob"}}
        users = server.request("GET", "/channels/presence-room/users").json()["users"]
        assert users == [{"id": "1"}, {"id": 2}]
        bob.socket.close()
        assert ann.read_event()["event"] == "pusher_internal:member_removed"


def test_cache_channels(server: RunningServer) -> None:
    with server.connect() as first, server.connect() as second:
        first.subscribe("cache-price")
        assert first.read_event()["event"] == "pusher:cache_miss"
        server.publish("cache-price", "tick", "42")
        second.subscribe("cache-price")
        assert second.read_event() == {"event": "tick", "data": "42", "channel": "cache-price"}


def test_client_events(server: RunningServer) -> None:
    with server.connect() as sender, server.connect() as other:
        for client in (sender, other):
            subscribe(client, "private-chat")
        sender.send_event("client-typing", {"on": True}, channel="private-chat")
        assert other.read_event() == {"event": "client-typing", "channel": "private-chat", "data": {"on": True}}
        sender.send_event("client-typing", {}, channel="private-else")
        assert sender.read_event()["data"]["code"] == 4009


def test_sign_in_and_the_end_of_a_user_s_connections(server: RunningServer) -> None:
    with server.connect() as client:
        user = '{"id":"7"}'
        auth = f"{DEFAULT_APP.key}:{sign(DEFAULT_APP.secret, user_text(client.socket_id, user))}"
        client.send_event("pusher:signin", {"auth": auth, "user_data": user})
        assert client.read_event()["event"] == "pusher:signin_success"
        client.subscribe("#server-to-user-7")
        assert server.request("POST", "/users/7/terminate_connections", b"{}").status == 200
        assert client.read_event()["data"]["code"] == 4009
        assert close_code(client) == 4009


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/app/nobody?protocol=7", 4001),
        ("/app/app-key", 4008),
        ("/app/app-key?protocol=3", 4007),
    ],
)
def test_refused_clients_get_their_code(server: RunningServer, target: str, code: int) -> None:
    with RawSocket(server.port) as client:
        assert client.handshake(target).startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["data"]["code"] == code
        assert close_code(client) == code


def test_origins(server: RunningServer) -> None:
    for origin, welcome in (("https://shop.example", True), ("https://evil.example", False)):
        with RawSocket(server.port) as client:
            client.handshake("/app/limited-key?protocol=7", Origin=origin)
            event = client.read_event()
            assert event["event"] == ("pusher:connection_established" if welcome else "pusher:error")


def test_an_app_has_no_more_connections_than_it_may(server: RunningServer) -> None:
    with server.connect("2"), server.connect("2"), RawSocket(server.port) as third:
        third.handshake("/app/limited-key?protocol=7")
        assert third.read_event()["data"]["code"] == 4004
        assert close_code(third) == 4004
    until(lambda: server.request("GET", "/connections", app_id="2").json() == {"connections": 0}, "all are gone")
    with server.connect("2"):
        pass


def test_members_sizes_and_rates_are_limited(server: RunningServer) -> None:
    with server.connect("2") as first, server.connect("2") as second:
        for client, user in ((first, "1"), (second, "2")):
            answer = subscribe(client, "presence-full", {"user_id": user}, LIMITED)
            assert answer["event"] == "pusher_internal:subscription_succeeded"
        assert first.read_event()["event"] == "pusher_internal:member_added"
        assert server.publish("presence-full", "e", "x" * 201, app_id="2").status == 413
        for _ in range(4):
            first.send_event("client-e", 1, channel="presence-full")
        assert first.read_event()["data"]["code"] == 4301
        assert [second.read_event()["event"] for _ in range(3)] == ["client-e"] * 3
        for _ in range(20):
            first.send_event("pusher:ping")
        answers: list[dict[str, Any]] = []
        while not answers or answers[-1]["event"] != "pusher:error":
            answers.append(first.read_event())
        assert answers[-1]["data"] == {"code": 4301, "message": "Rate limit exceeded"}
        assert close_code(first) == 4100


def test_messages_that_are_too_large_or_binary_end_the_connection(server: RunningServer) -> None:
    for opcode, payload, code in ((TEXT, b"x" * 2_001, 1009), (BINARY, b"x", 1003)):
        with server.connect("2") as client:
            client.send_frame(opcode, payload)
            assert close_code(client) == code


def test_a_message_that_is_too_large_is_answered(server: RunningServer) -> None:
    with server.connect("2") as client:
        client.send_event("pusher:subscribe", {"channel": "room", "padding": "x" * 500})
        assert json.loads(client.read_event()["data"])["status"] == 413
        assert "at most 500 are allowed (max_message_size)" in client.read_event()["data"]["message"]
        client.subscribe("room")


def test_malformed_messages_are_answered(server: RunningServer) -> None:
    with server.connect() as client:
        for text in (b"{", b"[]", b'{"event":"no:such"}', b'"\\ud83d"'):
            client.send_frame(TEXT, text)
            assert client.read_event()["data"]["code"] == 4200
        client.send_event("pusher:ping")
        assert client.read_event()["event"] == "pusher:pong"


def test_a_slow_client_is_closed_and_holds_up_nobody(server: RunningServer) -> None:
    with server.connect("3") as slow, server.connect("3") as quick:
        for client in (slow, quick):
            client.subscribe("flood")
        events = 0
        while "4100" not in server.log():
            assert events < 5_000
            assert server.publish("flood", "e", "x" * 9_000, app_id="3").status == 200
            assert quick.read_event()["event"] == "e"
            events += 1
        connections = server.request("GET", "/connections", app_id="3").json()
        assert connections == {"connections": 1}
        assert close_code(slow) == 4100


def test_a_silent_client_is_pinged(server: RunningServer) -> None:
    with server.connect("4") as client:
        assert client.read_event()["event"] == "pusher:ping"


def test_a_client_that_vanishes_leaves_its_channels(server: RunningServer) -> None:
    with server.connect() as client:
        client.subscribe("left")
        assert server.request("GET", "/channels/left").json() == {"occupied": True}
        client.socket.close()
        until(lambda: server.request("GET", "/channels/left").json() == {"occupied": False}, "the channel is vacated")


def test_the_api_refuses_what_is_not_signed_or_too_large(server: RunningServer) -> None:
    unsigned = http_request(server.port, b"GET /apps/1/channels HTTP/1.1\r\nHost: x\r\n\r\n")
    assert unsigned.status == 401
    assert unsigned.headers["content-type"] == "application/json"
    assert server.request("POST", "/events", b"x" * 300_000).status == 413
    assert server.request("DELETE", "/channels").status == 405


def test_batches_and_repeated_requests(server: RunningServer) -> None:
    with server.connect() as client:
        client.subscribe("many")
        batch = {"batch": [{"name": str(number), "channel": "many", "data": "{}"} for number in range(10)]}
        assert server.request("POST", "/batch_events", json.dumps(batch).encode()).status == 200
        assert [client.read_event()["event"] for _ in range(10)] == [str(number) for number in range(10)]


def test_the_rest_is_the_application_s(server: RunningServer) -> None:
    answer = http_request(server.port, b"GET /around HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"the application around it")
    assert http_request(server.port, b"GET /application HTTP/1.1\r\nHost: x\r\n\r\n").status == 404


@pytest.mark.parametrize("way", ["loop", "sync", "thread", "other-loop"])
def test_the_application_publishes_without_http(server: RunningServer, way: str) -> None:
    with server.connect() as client, server.connect() as other:
        for each in (client, other):
            each.subscribe("orders")
        assert publish_inside(server, way, "orders", "Shipped", {"id": 7}, socket_id=other.socket_id).status == 200
        publish_inside(server, way, "orders", "end")
        assert client.read_event() == {"event": "Shipped", "data": '{"id":7}', "channel": "orders"}
        assert client.read_event()["event"] == other.read_event()["event"] == "end"


def test_a_forked_process_publishes_to_the_site(server: RunningServer) -> None:
    error = publish_inside(server, "forked", "orders", "Shipped").json()["error"]
    assert f"event Shipped on orders: the embedded server is in process {server.pid}, from which this one" in error
    assert "the site did not take the event over HTTP: nothing listens at http://127.0.0.1:8000" in error


@pytest.mark.parametrize("way", ["loop", "thread"])
def test_limits_hold_for_the_application_too(server: RunningServer, way: str) -> None:
    answer = publish_inside(server, way, "orders", "Shipped", "x" * 20_000)
    assert answer.json()["status"] == 413
    assert "max_event_data_size" in answer.json()["error"]


def test_the_end_of_the_process_lets_clients_come_back() -> None:
    with running_embedded() as server, server.connect() as client:
        client.subscribe("orders")
        os.kill(server.pid, signal.SIGTERM)
        assert close_code(client) == 1012  # uvicorn's own: pusher-js connects again
        server.process.wait(10)
        assert "Traceback" not in server.log()
        assert server.process.returncode in (0, -signal.SIGTERM)


def test_nothing_is_logged_as_an_error(server: RunningServer) -> None:
    assert "Traceback" not in server.log()
    assert "ERROR" not in server.log()


def test_a_fragmented_message_is_one(server: RunningServer) -> None:
    with server.connect() as client:
        client.send(client_frame(TEXT, b'{"event":"pusher', fin=False) + client_frame(0, b':ping"}'))
        assert client.read_event()["event"] == "pusher:pong"


def test_a_refused_page_is_logged(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.handshake("/app/limited-key?protocol=7", Origin="https://evil.example")
        assert client.read_event()["data"]["code"] == 4009
    (line,) = server.wait_for_log("app 2: refused a page")
    assert "its Origin is 'https://evil.example'. allowed_origins has shop.example" in line


async def test_two_origins_are_none() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    origins = [(b"origin", b"https://shop.example"), (b"origin", b"https://evil.example")]
    scope = {"type": "websocket", "path": "/app/limited-key", "query_string": b"protocol=7", "headers": origins}
    embedded = Embedded(apps=[LIMITED])
    await embedded(scope, receive, send)
    await embedded.stop()
    assert sent[-1]["code"] == 4009
