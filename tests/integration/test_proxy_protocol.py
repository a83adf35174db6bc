"""The PROXY protocol: real proxies that speak it, and raw bytes that do not quite."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import pytest

from support.deployed_proxy import TlsSocket
from support.harness import RawSocket, RunningServer, running_server, signed_request, upgrade_request
from support.self_signed import self_signed
from support.stream_proxy import haproxy, nginx_stream

LINE: Final = b"PROXY TCP4 203.0.113.7 127.0.0.1 51034 443\r\n"
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
BINARY: Final = SIGNATURE + b"\x21\x11\x00\x0c" + socket.inet_aton("203.0.113.7") + bytes(8)
IPV6: Final = SIGNATURE + b"\x21\x21\x00\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(20)
UNIX: Final = SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)
LOCAL: Final = SIGNATURE + b"\x20\x00\x00\x00"
UP: Final = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(proxy_protocol=True, debug=True) as running:
        yield running


def greeted(client: RawSocket, before: bytes = b"", **headers: str) -> str:
    """Connect, after these bytes; give the socket id."""
    client.send(before + upgrade_request(**headers))
    assert client.read_head().startswith(b"HTTP/1.1 101 ")
    return str(json.loads(client.read_event()["data"])["socket_id"])


def came_from(server: RunningServer, socket_id: str) -> str:
    """Return the client's address in the view of the server."""
    (line,) = server.wait_for_log(rf"opened +{socket_id.replace('.', '[.]')} ")
    return line.rpartition(" from ")[2]


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (LINE, "203.0.113.7"),
        (BINARY, "203.0.113.7"),
        (IPV6, "2001:db8::7"),
        (UNIX, "127.0.0.1"),
        (LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ],
    ids=["version 1", "version 2", "IPv6", "a Unix socket", "LOCAL", "UNKNOWN"],
)
def test_the_header_says_where_a_client_is(server: RunningServer, header: bytes, address: str) -> None:
    with RawSocket(server.port) as client:
        assert came_from(server, greeted(client, header)) == address


@pytest.mark.parametrize("header", [LINE, BINARY], ids=["version 1", "version 2"])
def test_it_may_come_byte_by_byte(server: RunningServer, header: bytes) -> None:
    with RawSocket(server.port) as client:
        for byte in header:
            client.send(bytes([byte]))
            time.sleep(0.001)
        assert came_from(server, greeted(client)) == "203.0.113.7"


def test_what_the_client_claims_in_a_header_of_its_own_is_not_believed(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        assert came_from(server, greeted(client, LINE, X_Forwarded_For="192.0.2.1")) == "203.0.113.7"


def test_a_proxy_that_speaks_http_behind_it_is_believed(server: RunningServer) -> None:
    """Two proxies: the nearer one sends the header, and the farther one, on this machine, the address in HTTP."""
    with RawSocket(server.port) as client:
        header = b"PROXY TCP4 127.0.0.1 127.0.0.1 51034 443\r\n"
        assert came_from(server, greeted(client, header, X_Forwarded_For="192.0.2.1")) == "192.0.2.1"


def test_requests_behind_it_are_answered_and_pipelined(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(LINE + UP + signed_request("GET", "/channels"))
        assert client.read_response().json() == {"health": "OK"}
        assert client.read_response().json() == {"channels": {}}
        client.send(UP)
        assert client.read_response().status == 200


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (UP, "there is no PROXY header: the connection begins with b'GET /up HTTP/1.1'"),
        (b"PROXY TCP4 nonsense\r\n", "cannot be understood"),
        (b"PROXY " + b"x" * 200, "does not end within 107 bytes"),
        (SIGNATURE + b"\x21\x11\xff\xff" + bytes(100), "longer than 4096 bytes"),
        (SIGNATURE + b"\x41\x11\x00\x00", "version or command that is unknown"),
        (b"\x00" * 40, "there is no PROXY header"),
    ],
)
def test_a_connection_without_one_is_refused_and_told_why(data: bytes, why: str) -> None:
    with running_server(proxy_protocol=True) as server:
        for _ in range(3):
            with RawSocket(server.port) as client:
                client.send(data)
                answer = client.read_response()
                assert answer.status == 400
                assert answer.json()["error"].startswith("Connections to this port must begin with a PROXY header")
                assert client.read_rest() == b""
        (line,) = server.wait_for_log("refused a connection")
        assert why in line
        assert f"port {server.port} from 127.0.0.1" in line
        assert "'proxy_protocol on;' in Nginx's stream server" in line
        assert "server.proxy_protocol = false" in line


def test_one_that_never_comes_to_its_end_is_closed() -> None:
    with running_server(proxy_protocol=True, request_timeout=1) as server, RawSocket(server.port) as client:
        client.send(LINE[:10])
        assert client.read_response().status == 408


def test_only_trusted_proxies_may_connect() -> None:
    with running_server(proxy_protocol=True, trusted_proxies=["192.0.2.1"]) as server:
        with RawSocket(server.port) as client:
            client.send(LINE + UP)
            answer = client.read_response()
            assert (answer.status, client.read_rest()) == (400, b"")
        (line,) = server.wait_for_log("refused a connection")
        assert "from 127.0.0.1" in line
        assert "add its address to server.trusted_proxies" in line


def test_a_header_nobody_expects_is_explained() -> None:
    with running_server() as server:
        for header in (LINE, BINARY):
            with RawSocket(server.port) as client:
                client.send(header + UP)
                assert "server.proxy_protocol" in client.read_response().json()["error"]
        (line,) = server.wait_for_log("PROXY header")
        assert "set server.proxy_protocol (SOUNDPOST_SERVER_PROXY_PROTOCOL=true), or switch it off in the proxy" in line


PROXIES = [
    pytest.param(nginx_stream, "proxy_protocol on;", id="Nginx, version 1"),
    pytest.param(haproxy, "send-proxy", id="HAProxy, version 1"),
    pytest.param(haproxy, "send-proxy-v2", id="HAProxy, version 2"),
]


@pytest.mark.parametrize(("proxy", "options"), PROXIES)
def test_through_a_real_proxy(server: RunningServer, proxy: Any, options: str) -> None:
    running: AbstractContextManager[int] = proxy(server.port, options)
    with running as port, RawSocket(port, source="127.0.0.2") as client, RawSocket(port, source="127.0.0.3") as api:
        assert came_from(server, greeted(client)) == "127.0.0.2"
        client.subscribe("room")
        api.send(signed_request("POST", "/events", b'{"name":"hello","channels":["room"],"data":"{}"}'))
        assert api.read_response().status == 200
        assert client.read_event()["event"] == "hello"


def test_a_proxy_that_sends_none_is_found_out(server: RunningServer) -> None:
    with nginx_stream(server.port) as port, RawSocket(port) as client:
        client.send(UP)
        assert client.read_response().status == 400


class ProxiedTlsSocket(TlsSocket):
    """TLS behind a PROXY header."""

    header = LINE
    source = ""

    def __init__(self, port: int, timeout: float = 20) -> None:
        RawSocket.__init__(self, port, timeout, self.source)
        self.socket.sendall(self.header)
        self.socket = ssl.create_default_context(cafile=str(self.authority)).wrap_socket(
            self.socket, server_hostname="localhost"
        )


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    tls = {"certificate": str(certificate), "key": str(key)}
    with running_server(proxy_protocol=True, debug=True, tls=tls) as running:
        yield running, certificate


@pytest.mark.parametrize("header", [LINE, BINARY], ids=["version 1", "version 2"])
def test_it_comes_before_tls(tls_server: tuple[RunningServer, Path], header: bytes) -> None:
    server, certificate = tls_server
    kind = ProxiedTlsSocket.trusting(certificate)
    kind.header = header
    with kind(server.port) as client:
        assert came_from(server, greeted(client)) == "203.0.113.7"


def test_before_tls_it_may_come_in_parts(tls_server: tuple[RunningServer, Path]) -> None:
    server, certificate = tls_server
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context(cafile=str(certificate)).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with RawSocket(server.port) as client:
        for byte in LINE + outgoing.read():
            client.send(bytes([byte]))
        assert client.read_exactly(2) == b"\x16\x03"  # the server's part of the handshake


def test_through_real_proxies_that_pass_tls_on(tls_server: tuple[RunningServer, Path]) -> None:
    server, certificate = tls_server
    kind = ProxiedTlsSocket.trusting(certificate)
    kind.header, kind.source = b"", "127.0.0.2"
    with haproxy(server.port, "send-proxy-v2") as port, kind(port) as client:
        assert came_from(server, greeted(client)) == "127.0.0.2"


def test_tls_without_one_is_refused(tls_server: tuple[RunningServer, Path]) -> None:
    server, certificate = tls_server
    with TlsSocket.trusting(certificate)(server.port) as client:
        answer = client.read_response()
        assert answer.status == 400
        assert "PROXY header" in answer.json()["error"]
    with RawSocket(server.port) as client:
        client.send(b"PROXY nonsense\r\n")
        assert "PROXY header" in client.read_response().json()["error"]
