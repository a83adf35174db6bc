"""The address of the playground, and the pages that may ask it to sign and to publish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.harness import RawSocket, RunningServer, http_request, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(playground=True, hostname="ws.example.com") as running:
        yield running


AUTH = {"socket_id": "1.2", "channel_name": "private-admin"}
PUBLISH = {"channel": "orders", "event": "e", "data": 1}
OURS = {"X-Soundpost-Playground": "1"}


def ask(server: RunningServer, path: str, body: Any, host: str, **headers: str) -> int:
    """The status of the answer."""
    data = json.dumps(body).encode()
    lines = [f"POST /playground/{path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in {**OURS, **headers}.items()]
    return http_request(server.port, "\r\n".join([*lines, "", ""]).encode() + data).status


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("LOCALHOST", "http://localhost"),
        ("shop.localhost:8080", "http://shop.localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("192.168.1.7:8080", "http://192.168.1.7:8080"),
        ("ws.example.com", "https://ws.example.com"),
        ("WS.example.com:8443", "https://ws.example.com:8443"),
        ("127.0.0.1:8080", None),
    ],
)
def test_the_page_may_ask(server: RunningServer, host: str, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert ask(server, "auth", AUTH, host, **headers) == 200
    assert ask(server, "publish", PUBLISH, host, **headers) == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example", "http://evil.example"),
        ("evil.example:8080", "http://evil.example:8080"),
        ("evil.example", None),
        ("localhost.evil.example", None),
        ("127.0.0.1.evil.example", None),
        ("evillocalhost", None),
        ("localhost.", None),
        ("127.1", None),
        ("0x7f.1", None),
        ("ws.example.com.evil.example", None),
        ("127.0.0.1@evil.example", None),
        ("127.0.0.1, evil.example", None),
        ("", None),
        ("127.0.0.1:8080", "http://evil.example"),
        ("127.0.0.1:8080", "http://evil.example:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:3000"),
        ("127.0.0.1:8080", "http://localhost:8080"),
        ("127.0.0.1:8080", "null"),
        ("127.0.0.1:8080", ""),
        ("127.0.0.1:8080", "http://127.0.0.1:8080, http://evil.example"),
    ],
)
def test_pages_of_others_may_not(server: RunningServer, host: str, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert ask(server, "auth", AUTH, host, **headers) == 403
    assert ask(server, "publish", PUBLISH, host, **headers) == 403


@pytest.mark.parametrize(
    "path", ["/playground", "/playground/", "/playground/config.json", "/playground/playground.js"]
)
def test_nothing_is_served_under_a_foreign_name(server: RunningServer, path: str) -> None:
    answer = http_request(server.port, f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
    assert answer.status == 403
    assert "set server.hostname to this name" in answer.json()["error"]


@pytest.mark.parametrize(
    "socket_id",
    [
        "",
        "undefined",
        "1.2::user::{}",
        "1",
        "1.",
        "x.y",
        "1.2:private-x",
        "1.2\n",
        "\u0661.2",
        "1.2.3",
        "-1.2",
        "1" * 50 + ".1",
    ],
)
def test_a_socket_id_is_two_numbers(server: RunningServer, socket_id: str) -> None:
    assert ask(server, "auth", {**AUTH, "socket_id": socket_id}, "127.0.0.1") == 422


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /up HTTP/1.1\r\n\r\n", 400),
        (b"GET /up HTTP/1.1\r\nX-Host: x\r\nHosts: x\r\n\r\n", 400),
        (b"GET /up HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        (b"GET /up HTTP/1.1\r\nHost: x\r\nhOsT: y\r\n\r\n", 400),
        (b"GET /up HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /app/app-key?protocol=7 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),
        (b"GET /up HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        (b"GET /up HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET /up HTTP/1.0\r\n\r\n", 200),
        (b"GET /up HTTP/1.0\r\nHost: x\r\n\r\n", 200),
    ],
)
def test_a_request_names_one_host(server: RunningServer, head: bytes, status: int) -> None:
    with RawSocket(server.port) as client:
        client.send(head)
        assert client.read_response().status == status


def test_with_a_slash_at_its_end_it_leads_to_the_page() -> None:
    with running_server(playground=True, path="/ws") as server:
        answer = http_request(server.port, b"GET /ws/playground/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (answer.status, answer.headers["location"]) == (308, "/ws/playground")
        page = http_request(server.port, b"GET /ws/playground HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert server.app().secret.encode() not in page.body


def test_switched_off_there_is_nothing() -> None:
    with running_server() as server:
        assert http_request(server.port, b"GET /playground HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").status == 404
