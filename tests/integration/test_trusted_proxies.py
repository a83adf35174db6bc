"""Behind an HTTP proxy: the client's address in logs and limits; host names, path prefixes, Unix sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from soundpost.core.app_settings import AppSettings, HistorySettings
from support.deployed_proxy import main_file, running_nginx_with
from support.harness import (
    DEFAULT_APP,
    RawSocket,
    RunningServer,
    http_request,
    running_server,
    signed_request,
    until,
    upgrade_request,
)
from support.redis_process import free_port

TOLD = {"X_Forwarded_For": "192.0.2.1, 203.0.113.7"}
"""A client claims to be at the first address, and the proxy has added the second."""
WRONG = (
    b"GET /apps/1/channels?auth_key=app-key&auth_timestamp=1&auth_version=1.0&auth_signature=x HTTP/1.1\r\nHost: x\r\n"
)


def app(**options: Any) -> AppSettings:
    return msgspec.structs.replace(DEFAULT_APP, **options)


def hello(client: RawSocket, target: str = "/app/app-key?protocol=7", **headers: str) -> str:
    """Connect; give the socket id."""
    assert client.handshake(target, **headers).startswith(b"HTTP/1.1 101 ")
    event = client.read_event()
    assert event["event"] == "pusher:connection_established", event
    return str(json.loads(event["data"])["socket_id"])


def code(port: int, source: str = "", **headers: str) -> int:
    """Return the error code that a new client gets, 0 for a hello."""
    with RawSocket(port, source=source) as client:
        client.handshake(**headers)
        event = client.read_event()
        return 0 if event["event"] == "pusher:connection_established" else int(event["data"]["code"])


def opened(server: RunningServer, socket_id: str) -> str:
    """Return the client's address, as the stream of messages shows it."""
    (line,) = server.wait_for_log(rf"opened +{socket_id.replace('.', '[.]')} ")
    return line.rpartition(" from ")[2]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(debug=True) as running:
        yield running


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({}, "127.0.0.1"),
        (TOLD, "203.0.113.7"),
        ({"X_Real_IP": "203.0.113.8"}, "203.0.113.8"),
        ({"Forwarded": 'for="[2001:db8::7]:4711";proto=https'}, "2001:db8::7"),
        ({"X_Forwarded_For": "nonsense"}, "127.0.0.1"),
    ],
)
def test_a_proxy_on_this_machine_is_believed(server: RunningServer, headers: dict[str, str], address: str) -> None:
    with RawSocket(server.port) as client:
        assert opened(server, hello(client, **headers)) == address


@pytest.mark.parametrize(
    ("trusted", "address"), [([], "127.0.0.1"), (["127.0.0.0/8"], "203.0.113.7"), (["*"], "192.0.2.1")]
)
def test_others_are_believed_as_configured(trusted: list[str], address: str) -> None:
    with running_server(trusted_proxies=trusted, debug=True) as server, RawSocket(server.port) as client:
        assert opened(server, hello(client, **TOLD)) == address


def test_the_log_has_the_whole_way_of_a_request(server: RunningServer) -> None:
    headers = {"X_Forwarded_Proto": "https", "Host": "ws.example.com", "Origin": "https://example.com"}
    with RawSocket(server.port) as client:
        hello(client, **TOLD, **headers)
    server.wait_for_log(
        r"asked for a WebSocket from 203\.0\.113\.7 by way of 127\.0\.0\.1, https; Host: 'ws\.example\.com', "
        r"Origin: 'https://example\.com', '/app/app-key'"
    )


def test_refusals_are_logged_with_the_client(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.handshake("/app/unknown\x1b?protocol=7".replace("\x1b", "%1b"), **TOLD)
        assert client.read_event()["data"]["code"] == 4001
    (line,) = server.wait_for_log("refused a client from 203.0.113.7 with 4001: ")
    assert line.isprintable()
    assert http_request(server.port, WRONG + b"X-Forwarded-For: 192.0.2.1, 203.0.113.9\r\n\r\n").status == 401
    (line,) = server.wait_for_log("401 to 203.0.113.9: ")
    assert "Invalid signature" in line


def test_a_slow_client_is_logged_with_its_address() -> None:
    with running_server(apps=[app(max_output_buffer=1000, max_event_data_size=100_000)]) as server:
        with RawSocket(server.port) as client:
            hello(client, **TOLD)
            client.subscribe("room")
            for _ in range(200):
                assert server.publish("room", "e", "x" * 90_000).status == 200
                if "4100" in server.log():
                    break
        server.wait_for_log(r"closed socket [0-9.]+ of app 1 from 203\.0\.113\.7 with 4100: it read too slowly")


def test_over_capacity_is_logged_once_with_the_client() -> None:
    with running_server(max_connections=20, workers=1) as server, ExitStack() as stack:
        clients = [stack.enter_context(RawSocket(server.port)) for _ in range(19)]
        for client in clients:
            hello(client)
        for _ in range(3):
            assert code(server.port, **TOLD) == 4100
        (line,) = server.wait_for_log("over capacity")
        assert "refused a client from 203.0.113.7" in line
        assert server.log().count("over capacity") == 1


# A limit for each address


@pytest.mark.parametrize("workers", [1, 3])
def test_connections_of_one_address_are_limited_exactly(workers: int) -> None:
    with running_server(apps=[app(max_connections_per_ip=5)], workers=workers) as server, ExitStack() as stack:
        clients = [stack.enter_context(RawSocket(server.port)) for _ in range(5)]
        for client in clients:
            hello(client, **TOLD)
        with RawSocket(server.port) as client:
            client.handshake(**TOLD)
            assert client.read_event()["data"] == {
                "code": 4004,
                "message": "Application is over connection quota of your address 203.0.113.7 (max_connections_per_ip)",
            }
            assert client.read_close_code() == 4004
        server.wait_for_log("app 1: refused a client from 203.0.113.7 with 4004: Application is over")

        assert [code(server.port, X_Forwarded_For=f"203.0.113.{last}") for last in range(10, 20)] == [0] * 10
        assert code(server.port) == 0
        clients[0].send_frame(8, b"\x03\xe8")
        assert clients[0].read_close_code() == 1000
        # Another worker may be asked before the one that had the client has told the hub.
        until(lambda: code(server.port, **TOLD) == 0, "a place is free")


def test_direct_connections_are_counted_by_their_own_address() -> None:
    with running_server(apps=[app(max_connections_per_ip=1)], trusted_proxies=[]) as server:
        with RawSocket(server.port, source="127.0.0.2") as client:
            hello(client)
            assert code(server.port, "127.0.0.2") == 4004
            assert code(server.port, "127.0.0.2", X_Forwarded_For="203.0.113.7") == 4004
            assert code(server.port, "127.0.0.3") == 0
        until_free(server, "127.0.0.2")


def until_free(server: RunningServer, source: str) -> None:
    """Wait until the server has noticed that a client from there is gone."""
    while code(server.port, source):
        pass


def test_ipv6_addresses_of_one_network_are_one() -> None:
    with running_server(apps=[app(max_connections_per_ip=1)]) as server, RawSocket(server.port) as client:
        hello(client, X_Forwarded_For="2001:db8:1:2::1")
        assert code(server.port, X_Forwarded_For="2001:db8:1:2:ffff::9") == 4004
        assert code(server.port, X_Forwarded_For="2001:db8:1:3::1") == 0


def test_the_limit_is_that_of_one_app() -> None:
    other = AppSettings(id="2", key="other-key", secret="s")
    with running_server(apps=[app(max_connections_per_ip=1), other]) as server, RawSocket(server.port) as client:
        hello(client, **TOLD)
        with RawSocket(server.port) as another, RawSocket(server.port) as third:
            hello(another, "/app/other-key?protocol=7", **TOLD)
            hello(third, "/app/other-key?protocol=7", **TOLD)


# A real Nginx

FORWARD = """\
proxy_http_version 1.1;
proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection "upgrade";
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
"""


@contextmanager
def nginx(folder: Path, location: str, upstream: str, path: str = "") -> Iterator[int]:
    port = free_port()
    inside = f"server {{ listen 127.0.0.1:{port}; location {location} {{ proxy_pass {upstream}{path};\n{FORWARD} }} }}"
    with running_nginx_with(main_file(folder, inside), port):
        yield port


@pytest.mark.parametrize(
    ("server_path", "path"), [("/ws", ""), ("", "/")], ids=["prefix kept", "prefix taken away by Nginx"]
)
def test_a_path_prefix_and_the_host(tmp_path: Path, server_path: str, path: str) -> None:
    with (
        running_server(path=server_path, debug=True) as server,
        nginx(tmp_path, "/ws/", f"http://127.0.0.1:{server.port}", path) as port,
        RawSocket(port, source="127.0.0.2") as client,
    ):
        socket_id = hello(client, "/ws/app/app-key?protocol=7", Host="ws.example.com:443", X_Forwarded_For="192.0.2.1")
        assert opened(server, socket_id) == "127.0.0.2"
        server.wait_for_log(r"from 127\.0\.0\.2 by way of 127\.0\.0\.1, http; Host: 'ws\.example\.com'")
        client.subscribe("room")
        body = b'{"name":"hello","channels":["room"],"data":"{}"}'
        request = signed_request("POST", "/events", body).replace(b"POST /apps/", b"POST /ws/apps/")
        assert http_request(port, request).status == 200
        assert client.read_event()["event"] == "hello"
        assert http_request(port, b"GET /ws/up HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with (
        running_server(unix_socket=str(path), debug=True, apps=[app(max_connections_per_ip=1)]) as server,
        nginx(tmp_path, "/", f"http://unix:{path}:") as port,
        RawSocket(port, source="127.0.0.2") as client,
    ):
        assert opened(server, hello(client)) == "127.0.0.2"
        assert code(port, "127.0.0.2") == 4004
        assert code(port, "127.0.0.3") == 0


def test_a_unix_socket_whose_proxy_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    request = upgrade_request()
    with running_server(unix_socket=str(path), debug=True, apps=[app(max_connections_per_ip=1)]) as server:
        inside = (
            f"upstream u {{ server unix:{path}; }} server {{ listen 127.0.0.1:PORT; location / {{ proxy_pass http://u;"
        )
        port = free_port()
        inside = inside.replace("PORT", str(port)) + FORWARD.replace("X-Forwarded-For", "X-Nothing") + "}}"
        with (
            running_nginx_with(main_file(tmp_path, inside), port),
            RawSocket(port) as first,
            RawSocket(port) as second,
        ):
            for client in (first, second):
                client.send(request)
                assert client.read_head().startswith(b"HTTP/1.1 101 ")
                socket_id = str(json.loads(client.read_event()["data"])["socket_id"])
                assert opened(server, socket_id) == "a Unix socket"


def test_a_refused_page_is_logged_as_a_warning_once_a_minute_with_what_is_allowed() -> None:
    with running_server(apps=[app(allowed_origins=("example.com", "http://[::1]:5173"))]) as server:
        assert code(server.port, Origin="http://[::1]:5173") == 0
        for origin in ("https://evil.example", "https://www.example.com", "null"):
            assert code(server.port, Origin=origin) == 4009
        (line,) = server.wait_for_log("WARNING .*refused a page")
        assert "app 1: refused a page with 4009: its Origin is 'https://evil.example'. allowed_origins has" in line
        assert "example.com, http://[::1]:5173" in line
        assert "SOUNDPOST_APP_ALLOWED_ORIGINS" in line
        assert server.log().count("refused a page") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Real_IP": "203.0.113.7", "X_Forwarded_For": "192.0.2.1"},
        {"X_Real_IP": "203.0.113.7", "X_Forwarded_For": "192.0.2.1, 127.0.0.1"},
        {"Forwarded": "for=203.0.113.7", "X_Forwarded_For": "192.0.2.1"},
        {"Forwarded": "for=203.0.113.7", "X_Real_IP": "192.0.2.1"},
    ],
)
def test_a_header_that_the_proxy_does_not_set_gives_no_other_address(
    server: RunningServer, headers: dict[str, str]
) -> None:
    with RawSocket(server.port) as client:
        assert opened(server, hello(client, **headers)) == "an unknown address"
    (line,) = server.wait_for_log("by way of 127.0.0.1 says in different headers")
    assert "SOUNDPOST_SERVER_CLIENT_IP_HEADER" in line


@pytest.mark.parametrize(
    ("header", "address"),
    [("X-Real-IP", "203.0.113.7"), ("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "127.0.0.1"), ("none", "127.0.0.1")],
)
def test_the_header_that_counts_is_configured(header: str, address: str) -> None:
    with running_server(client_ip_header=header, debug=True) as server, RawSocket(server.port) as client:
        told = hello(client, X_Real_IP="203.0.113.7", X_Forwarded_For="192.0.2.1")
        assert opened(server, told) == address
        assert "different headers" not in server.log()


def test_clients_with_contradictory_headers_share_one_limit() -> None:
    with running_server(apps=[app(max_connections_per_ip=2)]) as server, ExitStack() as stack:
        for last in range(2):
            client = stack.enter_context(RawSocket(server.port))
            hello(client, X_Real_IP="203.0.113.7", X_Forwarded_For=f"192.0.2.{last}")
        assert code(server.port, X_Real_IP="203.0.113.7", X_Forwarded_For="192.0.2.77") == 4004
        assert code(server.port) == 0


# Replays of a history


def resumed(server: RunningServer, position: str, **headers: str) -> Any:
    """Resume over a new connection; return the reason of the gap, or the number of events."""
    with RawSocket(server.port) as client:
        hello(client, **headers)
        client.send_event("pusher:subscribe", {"channel": "kept", "resume": position})
        answer = client.read_event()
        missed = [client.read_event() for _ in range(answer.get("resumed", 0))]
        assert [event["event"] for event in missed] == ["e"] * len(missed)
        client.send_event("pusher:ping")
        assert client.read_event()["event"] == "pusher:pong"
        return answer.get("gap") or len(missed)


def test_replays_are_counted_by_the_address_that_the_proxy_tells() -> None:
    history = (HistorySettings(channels=("kept",)),)
    with running_server(apps=[app(history=history, max_replays_per_ip=25_000)]) as server:
        with RawSocket(server.port) as client:
            hello(client)
            client.send_event("pusher:subscribe", {"channel": "kept", "resume": ""})
            position = client.read_event()["position"]
        body = json.dumps({"name": "e", "data": "x" * 5_000, "channel": "kept"}).encode()
        for _ in range(2):
            assert http_request(server.port, signed_request("POST", "/events", body)).status == 200
        assert [resumed(server, position, **TOLD) for _ in range(5)] == [2, 2, 2, "limited", "limited"]
        assert resumed(server, position, X_Forwarded_For="203.0.113.8") == 2
        network = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:1::4"]
        outcomes = [resumed(server, position, X_Forwarded_For=address) for address in network]
        assert outcomes == [2, 2, 2, "limited", 2]
