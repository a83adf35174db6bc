"""Admission over real sockets: each refusal is an error and a close frame with the same code."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import CLOSE, TEXT, parse_close
from support.harness import DEFAULT_APP, RawSocket, RunningServer, client_frame, running_server, upgrade_request

RESTRICTED = AppSettings(id="2", key="restricted-key", secret="s", allowed_origins=("laravel.com", "*.laravel.com"))
DISABLED = AppSettings(id="3", key="disabled-key", secret="s", enabled=False)
LENIENT = msgspec.structs.replace(RESTRICTED, id="4", key="lenient-key", allow_missing_origin=True)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[DEFAULT_APP, RESTRICTED, DISABLED, LENIENT]) as running:
        yield running


def assert_refused(client: RawSocket, code: int) -> str:
    """The error, then the close frame, then nothing more."""
    error = client.read_event()
    assert error["event"] == "pusher:error"
    assert error["data"]["code"] == code
    opcode, payload = client.read_frame()
    assert (opcode, parse_close(payload)[0]) == (CLOSE, code)
    client.send_frame(CLOSE, payload[:2])
    assert client.read_rest() == b""
    return str(error["data"]["message"])


def refused(server: RunningServer, target: str, code: int, **headers: str | None) -> str:
    with RawSocket(server.port) as client:
        assert client.handshake(target, **headers).startswith(b"HTTP/1.1 101 ")
        return assert_refused(client, code)


def accepted(server: RunningServer, target: str, **headers: str | None) -> None:
    with RawSocket(server.port) as client:
        assert client.handshake(target, **headers).startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"


@pytest.mark.parametrize("protocol", ["5", "6", "7"])
def test_protocols_five_to_seven_are_spoken(server: RunningServer, protocol: str) -> None:
    accepted(server, f"/app/app-key?protocol={protocol}")


@pytest.mark.parametrize(
    "query",
    [
        "protocol=7&client=js&version=8.4.0&flash=false",
        "client=java-client&version=2.4.4&protocol=7",
        "protocol=7&client=pusher-websocket-swift&version=10.1.5",
        "protocol=7&version=8.4.0-rc.1%2Bbuild",
        "protocol=7&unknown=x",
    ],
)
def test_queries_of_official_clients_are_accepted(server: RunningServer, query: str) -> None:
    accepted(server, f"/app/app-key?{query}")


def test_unknown_key_is_4001(server: RunningServer) -> None:
    assert "Application does not exist" in refused(server, "/app/nobody?protocol=7", 4001)


@pytest.mark.parametrize(
    ("target", "code"), [("/app/a%1B%5B2J?protocol=7", 4001), ("/app/app-key?protocol=%1B%5B2J", 4007)]
)
def test_what_a_client_sent_is_told_without_control_characters(server: RunningServer, target: str, code: int) -> None:
    assert "\\u001b[2J'" in refused(server, target, code)


def test_disabled_app_is_4003(server: RunningServer) -> None:
    assert "disabled" in refused(server, "/app/disabled-key?protocol=7", 4003)


@pytest.mark.parametrize("path", ["/", "/app", "/apps/app-key", "/wrong/app/app-key", "/application/app-key"])
def test_another_path_is_4005(server: RunningServer, path: str) -> None:
    assert "/app/" in refused(server, f"{path}?protocol=7", 4005)


@pytest.mark.parametrize("version", ["", "%20", "a%20b", "%3Cscript%3E", "x" * 65])
def test_nonsense_as_version_is_4006(server: RunningServer, version: str) -> None:
    refused(server, f"/app/app-key?protocol=7&version={version}", 4006)


@pytest.mark.parametrize("protocol", ["", "0", "1", "4", "8", "99", "-7", "7.0", "seven"])
def test_another_protocol_is_4007(server: RunningServer, protocol: str) -> None:
    refused(server, f"/app/app-key?protocol={protocol}", 4007)


@pytest.mark.parametrize("query", ["", "?client=js&version=8.4.0", "?Protocol=7"])
def test_no_protocol_is_4008(server: RunningServer, query: str) -> None:
    assert "?protocol=7" in refused(server, f"/app/app-key{query}", 4008)


@pytest.mark.parametrize("origin", ["https://laravel.com", "http://sub.laravel.com:3000"])
def test_an_allowed_origin_may_connect(server: RunningServer, origin: str) -> None:
    accepted(server, "/app/restricted-key?protocol=7", Origin=origin)


@pytest.mark.parametrize("origin", [None, "null", "https://evil.org", "https://laravel.com.evil.org"])
def test_another_origin_is_4009(server: RunningServer, origin: str | None) -> None:
    assert "Origin not allowed" in refused(server, "/app/restricted-key?protocol=7", 4009, Origin=origin)


def test_clients_without_an_origin_can_be_let_in(server: RunningServer) -> None:
    accepted(server, "/app/lenient-key?protocol=7")
    refused(server, "/app/lenient-key?protocol=7", 4009, Origin="https://evil.org")


def test_messages_sent_with_the_handshake_are_not_lost(server: RunningServer) -> None:
    subscribe = client_frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"early"}}')
    with RawSocket(server.port) as client:
        client.send(upgrade_request() + subscribe + client_frame(TEXT, b'{"event":"pusher:ping"}'))
        assert client.read_head().startswith(b"HTTP/1.1 101 ")

        assert [client.read_event()["event"] for _ in range(3)] == [
            "pusher:connection_established",
            "pusher_internal:subscription_succeeded",
            "pusher:pong",
        ]


def test_the_answer_to_the_handshake_names_no_subprotocol(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        assert b"protocol:" not in client.handshake(Sec_WebSocket_Protocol="pusher, chat").lower()


def test_with_a_prefix_connections_go_below_it() -> None:
    with running_server(path="/ws") as server:
        accepted(server, "/ws/app/app-key?protocol=7")
        assert "/ws/app/" in refused(server, "/app/app-key?protocol=7", 4005)


def test_a_plain_request_to_a_websocket_address_is_told_what_is_missing(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\n\r\n")
        response = client.read_response()

    assert response.status == 426
    assert response.headers["upgrade"] == "websocket"
    assert b"proxy" in response.body


def test_a_stopping_server_closes_with_4200_so_that_clients_come_back_at_once() -> None:
    with running_server() as server, server.connect() as client:
        server.process.terminate()

        assert client.read_close_code() == 4200
