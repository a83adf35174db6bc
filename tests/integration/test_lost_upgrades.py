"""A proxy that takes the upgrade away or makes other paths: log and answer say so, with the way out."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from support.harness import RawSocket, RunningServer, running_server, upgrade_request
from support.stream_proxy import haproxy

KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE = b"Upgrade: websocket\r\n"
GET = b"GET /app/app-key HTTP/1.1"
NO_UPGRADE = "send 'Upgrade: websocket'; if you did, the proxy"
NO_CONNECTION = "'Connection: Upgrade' is missing"
OLD = "over HTTP/1.0: use HTTP/1.1"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "reason"),
    [
        (b"GET /app/app-key HTTP/1.0", UPGRADE + b"Connection: Upgrade\r\n", 400, OLD),
        (b"GET /app/app-key HTTP/1.0", b"Connection: close\r\n", 400, OLD),
        (GET, b"", 426, NO_UPGRADE),
        (GET, b"Connection: close\r\n", 426, NO_UPGRADE),
        (GET, b"Connection: upgrade\r\n", 426, NO_UPGRADE),
        (GET, UPGRADE, 400, NO_CONNECTION),
        (GET, UPGRADE + b"Connection: close\r\n", 400, NO_CONNECTION),
        (b"POST /app/app-key HTTP/1.1", UPGRADE + b"Connection: Upgrade\r\n", 405, "use GET"),
    ],
)
def test_a_lost_upgrade_is_answered_and_logged_once_a_minute(
    server: RunningServer, request_line: bytes, headers: bytes, status: int, reason: str
) -> None:
    for _ in range(3):
        with RawSocket(server.port) as client:
            client.send(request_line + b"\r\nHost: ws.example.com\r\n" + KEY + headers + b"\r\n")
            response = client.read_response()
            assert response.status == status
            assert reason in response.json()["error"]
    (line,) = server.wait_for_log("WARNING .*asked for a WebSocket")
    assert reason in line
    assert "'/app/app-key' (Host: 'ws.example.com')" in line
    assert "proxy_http_version 1.1" in line
    assert server.log().count("asked for a WebSocket") == 1


def test_a_person_who_looks_at_the_address_is_no_lost_upgrade(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"GET /app/app-key HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response().status == 426
    assert server.log() == ""


@pytest.mark.parametrize("path", ["//app/app-key", "///app/app-key", "/ws//app/app-key"])
def test_two_slashes_are_named(server: RunningServer, path: str) -> None:
    with RawSocket(server.port) as client:
        client.handshake(f"{path}?protocol=7")
        message = client.read_event()["data"]["message"]
    assert "a proxy made two slashes of one" in message
    assert "--path" not in message
    (line,) = server.wait_for_log("WARNING .*refused a WebSocket with 4005")
    assert "a proxy made two slashes of one" in line
    assert path in line
    with RawSocket(server.port) as client:
        client.send(f"GET {path.replace('app/app-key', 'apps/1/channels')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert "a proxy made two slashes of one" in client.read_response().json()["error"]


def test_a_missing_prefix_is_named_and_logged(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.handshake("/ws/app/app-key?protocol=7")
        assert "start with --path '/ws'" in client.read_event()["data"]["message"]
    (line,) = server.wait_for_log("WARNING .*refused a WebSocket with 4005")
    assert "start with --path '/ws'" in line


def test_slashes_of_a_prefix_are_named_too() -> None:
    with running_server(path="/ws") as server, RawSocket(server.port) as client:
        client.send(b"GET //ws/apps/1/channels HTTP/1.1\r\nHost: x\r\n\r\n")
        error = client.read_response().json()["error"]
        assert "paths begin with /ws on this server" in error
        assert "two slashes" in error


@pytest.mark.parametrize("say", [b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_is_gone_at_once_is_no_untrusted_proxy(say: bytes) -> None:
    """Health checks and port scans connect and reset."""
    with running_server(proxy_protocol=True) as server:
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", server.port)) as gone:
                gone.sendall(say)
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        with haproxy(server.port, "send-proxy") as proxy, RawSocket(proxy) as client:
            client.send(upgrade_request())
            assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert "unknown address" not in server.log()
        assert "only trusted proxies" not in server.log()
