"""RFC 6455, section 4: the opening handshake."""

from __future__ import annotations

import pytest

from soundpost.errors import HandshakeError
from soundpost.wire.frames import CLOSE, PING, TEXT
from soundpost.wire.handshake import accept, wants_websocket
from support.harness import RawSocket, RunningServer, client_frame, ping_message, upgrade_request

GOOD = {
    b"host": b"example.com",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version": b"13",
}
UPGRADES = ["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", "websocket,other", " websocket "]
CONNECTIONS = ["Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade,keep-alive", "foo , upgrade ,bar"]
VERSIONS = [None, "", "0", "7", "8", "12", "14", "013", "13, 8", "8, 13", "-13", "13.0", "x"]
KEYS = {
    "missing": None,
    "empty": "",
    "15 bytes": "AAAAAAAAAAAAAAAAAAAA",
    "17 bytes": "AAAAAAAAAAAAAAAAAAAAAAA=",
    "18 bytes": "AAAAAAAAAAAAAAAAAAAAAAAA",
    "without padding": "AAAAAAAAAAAAAAAAAAAAAA",
    "too much padding": "AAAAAAAAAAAAAAAAAAAAAA===",
    "not base64": "!!!!!!!!!!!!!!!!!!!!!!==",
    "padding in the middle": "AAAA==AAAAAAAAAAAAAAAA==",
    "of the web-safe alphabet": "____________________-A==",
    "very long": "A" * 4096,
    "two of them": "AAAAAAAAAAAAAAAAAAAAAA==, AAAAAAAAAAAAAAAAAAAAAA==",
}


def changed(name: bytes, value: str | None) -> dict[bytes, bytes]:
    headers = dict(GOOD)
    del headers[name]
    return headers if value is None else headers | {name: value.encode()}


def refusal(headers: dict[bytes, bytes], method: bytes = b"GET", version: str = "1.1") -> HandshakeError:
    with pytest.raises(HandshakeError) as refused:
        accept(method, version, headers)
    return refused.value


def test_accept_is_that_of_the_rfcs_example() -> None:
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accept(b"GET", "1.1", GOOD)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"get"])
def test_other_methods_are_not_allowed(method: bytes) -> None:
    error = refusal(GOOD, method)

    assert (error.status, error.headers) == (405, (("Allow", "GET"),))


@pytest.mark.parametrize("version", ["0.9", "1.0"])
def test_older_http_is_refused(version: str) -> None:
    assert refusal(GOOD, version=version).status == 400


@pytest.mark.parametrize("version", VERSIONS)
def test_other_versions_are_told_which_one_is_spoken(version: str | None) -> None:
    error = refusal(changed(b"sec-websocket-version", version))

    assert (error.status, error.headers) == (426, (("Sec-WebSocket-Version", "13"),))


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_bad_keys_are_refused(key: str | None) -> None:
    assert refusal(changed(b"sec-websocket-key", key)).status == 400


@pytest.mark.parametrize("value", UPGRADES)
def test_upgrade_is_a_list_of_tokens_in_any_case(value: str) -> None:
    headers = changed(b"upgrade", value)

    assert wants_websocket(headers)
    assert accept(b"GET", "1.1", headers).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("value", [None, "", "h2c", "websockets", "web socket", "x-websocket", "websocket/13;q=1"])
def test_request_without_an_upgrade_is_told_to_upgrade(value: str | None) -> None:
    error = refusal(changed(b"upgrade", value))

    assert error.status == 426
    assert ("Upgrade", "websocket") in error.headers


@pytest.mark.parametrize("value", CONNECTIONS)
def test_connection_is_a_list_of_tokens_in_any_case(value: str) -> None:
    assert accept(b"GET", "1.1", changed(b"connection", value)).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("value", [None, "", "keep-alive", "close", "Upgraded", "no upgrade"])
def test_request_without_the_connection_token_is_refused(value: str | None) -> None:
    assert refusal(changed(b"connection", value)).status == 400


@pytest.mark.parametrize("value", UPGRADES)
def test_any_upgrade_list_opens_a_websocket(server: RunningServer, value: str) -> None:
    with RawSocket(server.port) as client:
        assert client.handshake(Upgrade=value).startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"


@pytest.mark.parametrize("value", CONNECTIONS)
def test_any_connection_list_opens_a_websocket(server: RunningServer, value: str) -> None:
    with RawSocket(server.port) as client:
        assert client.handshake(Connection=value).startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"


REFUSED: dict[str, tuple[int, dict[str, str | None]]] = {
    "no upgrade": (426, {"Upgrade": None}),
    "upgrade to something else": (426, {"Upgrade": "h2c"}),
    "no connection token": (400, {"Connection": None}),
    "connection keep-alive": (400, {"Connection": "keep-alive"}),
    "no version": (426, {"Sec_WebSocket_Version": None}),
    "version 8": (426, {"Sec_WebSocket_Version": "8"}),
    "no key": (400, {"Sec_WebSocket_Key": None}),
    "bad key": (400, {"Sec_WebSocket_Key": "short"}),
}


@pytest.mark.parametrize(("status", "headers"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_handshake_is_answered_by_http(server: RunningServer, status: int, headers: dict[str, str | None]) -> None:
    with RawSocket(server.port) as client:
        client.send(upgrade_request("/app/app-key?protocol=7", **headers))
        response = client.read_response()

    assert response.status == status
    assert b'"error"' in response.body
    assert "sec-websocket-accept" not in response.headers
    if status == 426:
        assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS"])
def test_upgrade_with_another_method_is_answered_with_405(server: RunningServer, method: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(upgrade_request().replace(b"GET", method, 1))
        response = client.read_response()

    assert (response.status, response.headers["allow"]) == (405, "GET")


def test_upgrade_over_http_1_0_is_refused(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0", 1))

        assert client.read_response().status == 400


def test_header_names_may_have_any_case(server: RunningServer) -> None:
    line, _, rest = upgrade_request().partition(b"\r\n")
    names = [name.swapcase() + b":" + value for name, _, value in (h.partition(b":") for h in rest.split(b"\r\n")[:-2])]
    with RawSocket(server.port) as client:
        client.send(b"\r\n".join([line, *names, b"", b""]))

        assert client.read_head().startswith(b"HTTP/1.1 101 ")


def test_headers_may_be_repeated(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(upgrade_request(Connection="keep-alive").replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\n\r\n"))

        assert client.read_head().startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec_WebSocket_Protocol", "chat, superchat"),
        ("Sec_WebSocket_Protocol", "pusher"),
        ("Sec_WebSocket_Extensions", "permessage-bzip2; client_max_window_bits"),
        ("Sec_WebSocket_Extensions", "x-unknown, x-webkit-deflate-frame"),
    ],
)
def test_offers_are_not_taken_up(server: RunningServer, name: str, value: str) -> None:
    with RawSocket(server.port) as client:
        head = client.handshake(**{name: value})

        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-protocol" not in head.lower()
        assert b"sec-websocket-extensions" not in head.lower()
        assert client.read_event()["event"] == "pusher:connection_established"


@pytest.mark.parametrize("whole", [True, False], ids=["whole frames", "frame and a half"])
def test_frames_in_the_handshakes_packet_are_not_lost(server: RunningServer, whole: bool) -> None:
    frame = client_frame(TEXT, ping_message())
    early = frame + frame if whole else frame + frame[:9]
    with RawSocket(server.port) as client:
        client.send(upgrade_request() + early)
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"
        assert client.read_event()["event"] == "pusher:pong"
        if not whole:
            client.send(frame[9:])
        assert client.read_event()["event"] == "pusher:pong"
        client.send(frame)
        assert client.read_event()["event"] == "pusher:pong"


def test_close_in_the_handshakes_packet_is_answered(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(upgrade_request() + client_frame(CLOSE, b"\x03\xe8"))
        client.read_head()

        assert client.read_close_code() == 1000


def test_handshake_that_arrives_byte_by_byte(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        for octet in upgrade_request() + client_frame(PING, b"early"):
            client.send(bytes([octet]))
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"

        assert client.read_frame()[1] == b"early"


def test_handshake_after_other_requests_on_the_same_connection(server: RunningServer) -> None:
    up = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
    with RawSocket(server.port) as client:
        client.send(up)
        assert client.read_response().status == 200
        client.send(up + up + upgrade_request() + client_frame(PING, b"early"))
        assert client.read_response().status == 200
        assert client.read_response().status == 200
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"

        assert client.read_frame()[1] == b"early"


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_handshake_with_a_body_is_refused(server: RunningServer, framing: str) -> None:
    body = b"5\r\nhello\r\n0\r\n\r\n" if "chunked" in framing else b"hello"
    request = upgrade_request().replace(b"\r\n\r\n", f"\r\n{framing}\r\n\r\n".encode())
    with RawSocket(server.port) as client:
        client.send(request + body + client_frame(PING, b"frame"))

        assert client.read_response().status == 400
        assert client.read_rest() == b""


def test_handshake_with_an_empty_body_is_none_with_a_body(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        assert client.handshake(Content_Length="0").startswith(b"HTTP/1.1 101 ")
