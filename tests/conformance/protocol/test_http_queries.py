"""The HTTP API's other routes: channels, users, connections, health; paths, methods and signatures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from conformance.protocol.stage import signature
from soundpost import __version__
from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import CLOSE, parse_close
from soundpost.wire.signatures import channel_text, md5, sign, user_text
from support.harness import (
    DEFAULT_APP,
    HttpResponse,
    RawSocket,
    RunningServer,
    http_request,
    running_server,
    signed_request,
)

DISABLED = AppSettings(id="3", key="disabled-key", secret="disabled-secret", enabled=False)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server of its own for each test: they count everything there is."""
    with running_server(apps=[DEFAULT_APP, DISABLED]) as running:
        yield running


def get(server: RunningServer, route: str, **query: str) -> HttpResponse:
    return http_request(server.port, signed_request("GET", route, query=query))


def subscribe(client: RawSocket, channel: str, channel_data: str | None = None) -> None:
    auth = f"{DEFAULT_APP.key}:{sign(DEFAULT_APP.secret, channel_text(client.socket_id, channel, channel_data))}"
    data = {"channel": channel, "auth": auth} | ({"channel_data": channel_data} if channel_data else {})
    client.send_event("pusher:subscribe", data)
    while client.read_event()["event"] != "pusher_internal:subscription_succeeded":
        pass


def request(
    method: str, target: str, *, key: str = "app-key", secret: str = "app-secret", sign_path: str = "", **more: str
) -> bytes:
    """A signed request without a body to any path; ``more`` are parameters."""
    query = {"auth_key": key, "auth_timestamp": str(int(time.time())), "auth_version": "1.0", **more}
    text = f"{method}\n{sign_path or target}\n" + "&".join(f"{name}={query[name]}" for name in sorted(query))
    query["auth_signature"] = signature(secret, text)
    return f"{method} {target}?{urlencode(query)} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()


# Channels


def test_channels_that_are_occupied(server: RunningServer) -> None:
    with server.connect() as client:
        assert get(server, "/channels").body == b'{"channels":{}}'
        subscribe(client, "a")
        subscribe(client, "private-b")
        subscribe(client, "presence-c", '{"user_id":"1"}')
        subscribe(client, "gone")
        client.send_event("pusher:unsubscribe", {"channel": "gone"})
        client.send_event("pusher:ping")
        client.read_event()

        answer = json.loads(get(server, "/channels").body)

        assert answer == {"channels": {"a": {}, "private-b": {}, "presence-c": {}}}


def test_channels_filtered_by_prefix_with_what_was_asked(server: RunningServer) -> None:
    with server.connect() as first, server.connect() as second:
        subscribe(first, "a")
        subscribe(first, "presence-c", '{"user_id":"1"}')
        subscribe(second, "presence-c", '{"user_id":"1"}')
        subscribe(second, "presence-d", '{"user_id":"2"}')

        asked = get(server, "/channels", filter_by_prefix="presence-", info="user_count,subscription_count")
        assert json.loads(asked.body) == {
            "channels": {
                "presence-c": {"user_count": 1, "subscription_count": 2},
                "presence-d": {"user_count": 1, "subscription_count": 1},
            }
        }
        assert json.loads(get(server, "/channels", info="subscription_count").body)["channels"]["a"] == {
            "subscription_count": 1
        }
        assert json.loads(get(server, "/channels", filter_by_prefix="nothing").body) == {"channels": {}}


@pytest.mark.parametrize("prefix", [None, "", "private-", "pre"])
def test_user_count_needs_a_presence_prefix(server: RunningServer, prefix: str | None) -> None:
    query = {} if prefix is None else {"filter_by_prefix": prefix}

    response = get(server, "/channels", info="user_count", **query)

    assert response.status == 400
    assert "filter_by_prefix=presence-" in json.loads(response.body)["error"]


def test_one_channel(server: RunningServer) -> None:
    asked = "user_count,subscription_count,cache"
    with server.connect() as client:
        subscribe(client, "a")
        subscribe(client, "presence-c", '{"user_id":"1"}')

        assert json.loads(get(server, "/channels/a").body) == {"occupied": True}
        assert json.loads(get(server, "/channels/a", info=asked).body) == {"occupied": True, "subscription_count": 1}
        presence = {"occupied": True, "user_count": 1, "subscription_count": 1}
        assert json.loads(get(server, "/channels/presence-c", info=asked).body) == presence
        assert json.loads(get(server, "/channels/nobody", info=asked).body) == {
            "occupied": False,
            "subscription_count": 0,
        }


def test_the_cached_event_of_a_channel(server: RunningServer) -> None:
    assert json.loads(get(server, "/channels/cache-a", info="cache").body) == {"occupied": False, "cache": None}
    server.publish("cache-a", "price", '{"eur":5}')

    answer = json.loads(get(server, "/channels/cache-a", info="cache").body)

    ttl = answer["cache"].pop("ttl")
    assert answer == {"occupied": False, "cache": {"event": "price", "data": '{"eur":5}'}}
    assert 0 < ttl <= 1800


@pytest.mark.parametrize("route", ["/channels/bad%20name", "/channels/bad%20name/users"])
def test_a_name_no_channel_can_have_is_400(server: RunningServer, route: str) -> None:
    assert get(server, route).status == 400


def test_encoded_names_in_the_path(server: RunningServer) -> None:
    with server.connect() as client:
        client.subscribe("a@b;c=d,e.f")

        for name in ("a@b;c=d,e.f", quote("a@b;c=d,e.f", safe="")):
            assert json.loads(get(server, f"/channels/{name}").body) == {"occupied": True}
        sent, signed = "/apps/1/channels/a%40b%3Bc%3Dd%2Ce.f", "/apps/1/channels/a@b;c=d,e.f"
        response = http_request(server.port, request("GET", sent, sign_path=signed))
        assert json.loads(response.body) == {"occupied": True}


# Users


def test_users_of_a_channel_once_each_in_order_ids_as_written(server: RunningServer) -> None:
    with server.connect() as first, server.connect() as second, server.connect() as third:
        subscribe(first, "presence-c", '{"user_id":2}')
        subscribe(second, "presence-c", '{"user_id":"b"}')
        subscribe(third, "presence-c", '{"user_id":"2"}')

        assert get(server, "/channels/presence-c/users").body == b'{"users":[{"id":2},{"id":"b"}]}'


def test_users_of_another_channel_is_400_and_of_an_empty_one_none(server: RunningServer) -> None:
    with server.connect() as client:
        client.subscribe("a")

        assert get(server, "/channels/a/users").status == 400
        assert get(server, "/channels/private-a/users").status == 400
        empty = get(server, "/channels/presence-nobody/users")
        assert (empty.status, empty.body) == (200, b'{"users":[]}')


@pytest.mark.parametrize("path", ["/apps/1/users/7/terminate_connections", "/users/7/terminate_connections"])
def test_terminating_a_users_connections(server: RunningServer, path: str) -> None:
    with server.connect() as signed_in, server.connect() as present, server.connect() as other:
        user_data = '{"id":"7"}'
        auth = f"app-key:{sign('app-secret', user_text(signed_in.socket_id, user_data))}"
        signed_in.send_event("pusher:signin", {"auth": auth, "user_data": user_data})
        assert signed_in.read_event()["event"] == "pusher:signin_success"
        subscribe(present, "presence-c", '{"user_id":7}')
        subscribe(other, "presence-c", '{"user_id":8}')
        other.subscribe("public")

        response = http_request(server.port, request("POST", path))

        assert (response.status, response.body) == (200, b"{}")
        for client in (signed_in, present):
            while (message := client.read_event())["event"] != "pusher:error":
                pass
            assert message["data"]["code"] == 4009
            opcode, payload = client.read_frame()
            assert (opcode, parse_close(payload)[0]) == (CLOSE, 4009)
        assert other.read_event()["event"] == "pusher_internal:member_removed"
        server.publish("public", "still here")
        assert other.read_event()["event"] == "still here"


def test_terminating_a_user_with_an_encoded_id(server: RunningServer) -> None:
    with server.connect() as client:
        subscribe(client, "presence-c", '{"user_id":"a/b c"}')

        path = f"/apps/1/users/{quote('a/b c', safe='')}/terminate_connections"
        assert http_request(server.port, request("POST", path)).status == 200

        assert client.read_event()["data"]["code"] == 4009


@pytest.mark.parametrize("key", ["", "nobody"])
def test_the_short_path_needs_a_known_key(server: RunningServer, key: str) -> None:
    response = http_request(server.port, request("POST", "/users/7/terminate_connections", key=key))

    assert response.status == 401


# Connections and health


def test_connections_are_counted_once_each_subscribed_or_not(server: RunningServer) -> None:
    assert get(server, "/connections").body == b'{"connections":0}'
    with server.connect() as first, server.connect():
        first.subscribe("a")
        first.subscribe("b")

        assert get(server, "/connections").body == b'{"connections":2}'


def test_health_is_not_signed(server: RunningServer) -> None:
    response = http_request(server.port, b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (response.status, response.body) == (200, b'{"health":"OK"}')
    assert response.headers["content-length"] == "15"


def test_head_has_no_body(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"HEAD /up HTTP/1.1\r\nHost: x\r\n\r\nGET /up HTTP/1.1\r\nHost: x\r\n\r\n")

        assert client.read_response("HEAD").headers["content-length"] == "15"
        assert client.read_response().body == b'{"health":"OK"}'


# Paths and methods


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/apps",
        "/apps/",
        "/apps/1",
        "/apps/1/",
        "/apps/1/nothing",
        "/apps/1/events/",
        "/apps/1/channels/a/users/b",
        "/apps/1/channels/a/events",
        "/apps/1/channels/a/stats",
        "/apps/1/channels/",
        "/apps/1/channels/users/7/terminate_connections",
        "/apps/1/users/7",
        "/apps/1/users//terminate_connections",
        "/playground",
        "/up/",
    ],
)
def test_unknown_paths_are_404(server: RunningServer, path: str) -> None:
    assert http_request(server.port, request("GET", path)).status == 404


@pytest.mark.parametrize("id", ["2", "", "x", "11", "1%20"])
def test_an_unknown_app_is_404_by_name(server: RunningServer, id: str) -> None:
    response = http_request(server.port, request("GET", f"/apps/{id}/channels"))

    assert response.status == 404
    assert json.loads(response.body)["error"] == f"No matching application for ID [{id}]."


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/apps/1/events", "POST"),
        ("PUT", "/apps/1/events", "POST"),
        ("GET", "/apps/1/batch_events", "POST"),
        ("POST", "/apps/1/channels", "GET"),
        ("DELETE", "/apps/1/channels/a", "GET"),
        ("POST", "/apps/1/channels/a/users", "GET"),
        ("GET", "/apps/1/users/7/terminate_connections", "POST"),
        ("POST", "/apps/1/connections", "GET"),
        ("POST", "/up", "GET"),
    ],
)
def test_the_wrong_method_is_405_with_the_right_one(
    server: RunningServer, method: str, path: str, allowed: str
) -> None:
    response = http_request(server.port, request(method, path))

    assert response.status == 405
    assert response.headers["allow"] == allowed


def test_no_cross_origin_access(server: RunningServer) -> None:
    preflight = (
        b"OPTIONS /apps/1/events HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.org\r\n"
        b"Access-Control-Request-Method: POST\r\n\r\n"
    )
    plain = b"GET /up HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.org\r\n\r\n"

    for response, status in ((http_request(server.port, preflight), 405), (http_request(server.port, plain), 200)):
        assert response.status == status
        assert not [name for name in response.headers if name.startswith("access-control-")]


# Signatures


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "/events"),
        ("POST", "/batch_events"),
        ("GET", "/channels"),
        ("GET", "/channels/a"),
        ("GET", "/channels/presence-a/users"),
        ("GET", "/connections"),
        ("POST", "/users/7/terminate_connections"),
    ],
)
def test_every_route_must_be_signed(server: RunningServer, method: str, route: str) -> None:
    plain = f"{method} /apps/1{route} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    forged = request(method, f"/apps/1{route}", secret="wrong")
    of_another = request(method, f"/apps/1{route}", key="disabled-key", secret="disabled-secret")

    for unsigned in (plain, forged, of_another):
        response = http_request(server.port, unsigned)
        assert response.status == 401
        assert len(json.loads(response.body)["error"]) > 20


def test_a_captured_request_cannot_be_sent_again_later(server: RunningServer) -> None:
    for skew in (-601 - 5, 601 + 5, -800_000_000):
        captured = request("GET", "/apps/1/channels", auth_timestamp=str(int(time.time()) + skew))
        response = http_request(server.port, captured)
        assert response.status == 401
        assert "Timestamp expired" in json.loads(response.body)["error"]


def test_a_disabled_app_is_403(server: RunningServer) -> None:
    response = http_request(
        server.port, request("GET", "/apps/3/channels", key="disabled-key", secret="disabled-secret")
    )

    assert response.status == 403


def test_the_digest_of_an_empty_body_on_get_as_the_python_sdk_sends_it(server: RunningServer) -> None:
    assert http_request(server.port, request("GET", "/apps/1/channels", body_md5=md5(b""))).status == 200
    assert http_request(server.port, request("GET", "/apps/1/channels", body_md5=md5(b"x"))).status == 401


def test_below_a_prefix_requests_may_sign_it_or_not() -> None:
    with running_server(path="ws") as server:
        for signed in ("/ws/apps/1/channels", "/apps/1/channels"):
            response = http_request(server.port, request("GET", "/ws/apps/1/channels", sign_path=signed))
            assert response.status == 200
        assert http_request(server.port, request("GET", "/apps/1/channels")).status == 200
        assert http_request(server.port, b"GET /ws/up HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
        assert http_request(server.port, b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n").status == 404
        terminate = request("POST", "/ws/users/7/terminate_connections", sign_path="/users/7/terminate_connections")
        assert http_request(server.port, terminate).status == 200


@pytest.mark.parametrize(
    "garbage",
    [b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"],
)
def test_what_is_not_http_is_400(server: RunningServer, garbage: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(garbage)
        response = client.read_response()

    assert response.status == 400
    assert "HTTP/1.1" in json.loads(response.body)["error"]


# Paths that people open in a browser


def page(server: RunningServer, path: str, method: str = "GET") -> HttpResponse:
    return http_request(server.port, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


def test_the_root_says_what_runs_here_and_no_secret() -> None:
    with running_server() as server:
        response = page(server, "/")
        text = json.loads(response.body)["error"]

        assert response.status == 404
        assert text.startswith(f"Soundpost {__version__} runs here: browsers connect to /app/KEY, ")
        assert "playground" not in text
        assert DEFAULT_APP.key not in text


def test_the_root_has_the_prefix_of_all_paths() -> None:
    with running_server(path="ws", playground=True) as server:
        for path in ("/ws", "/ws/"):
            assert b"connect to /ws/app/KEY" in page(server, path).body
            assert b"/ws/playground" in page(server, path).body
        assert b"runs here" not in page(server, "/").body
        assert b"runs here" not in page(server, "/wsx").body


def test_a_playground_that_is_off_says_how_to_switch_it_on(server: RunningServer) -> None:
    for path in ("/playground", "/playground/", "/playground/config.json"):
        response = page(server, path)
        error = json.loads(response.body)["error"]
        assert response.status == 404
        assert "--playground" in error
        assert "playground = true below [server]" in error


@pytest.mark.parametrize(("path", "way"), [("/metrics", "status --json"), ("/admin/users", "soundpost status")])
def test_pages_of_other_servers_lead_to_the_way_here(server: RunningServer, path: str, way: str) -> None:
    response = page(server, path)
    error = json.loads(response.body)["error"]
    assert response.status == 404
    assert error.startswith(f"Not found: there is nothing at '{path}': ")
    assert way in error


def test_any_other_path_is_just_not_found(server: RunningServer) -> None:
    assert json.loads(page(server, "/metricsx").body)["error"] == "Not found: there is nothing at '/metricsx'"
