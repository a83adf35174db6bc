"""More sockets than allowed: silent ones make room; applications and WebSockets stay."""

from __future__ import annotations

import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from support.deployed_proxy import TlsSocket
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server, signed_request
from support.self_signed import self_signed
from support.ticked_server import ticked_server

OTHER = "127.0.0.2"  # no trusted proxy
UP = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
EVENT = msgspec.json.encode({"name": "e", "channel": "room", "data": "x"})
PLACES = 60


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(max_connections=PLACES, workers=1) as running:
        yield running


def _silent(client: RawSocket) -> None:
    pass


def _slow(client: RawSocket) -> None:
    client.send(b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")


def _asks_for_nothing_much(client: RawSocket) -> None:
    client.send(UP)
    assert client.read_response().status == 200


def _asks_and_goes_on_slowly(client: RawSocket) -> None:
    client.send(UP + b"GET /up HTT")
    assert client.read_response().status == 200


def _has_no_right_signature(client: RawSocket) -> None:
    client.send(signed_request("GET", "/channels").replace(b"auth_signature=", b"auth_signature=0"))
    assert client.read_response().status == 401


def _is_refused_and_stays(client: RawSocket) -> None:
    client.handshake("/app/unknown?protocol=7")
    assert client.read_event()["event"] == "pusher:error"


def _does_not_read(client: RawSocket) -> None:
    client.send(UP * 200)


HOLDS: list[Callable[[RawSocket], None]] = [
    _silent,
    _slow,
    _asks_for_nothing_much,
    _asks_and_goes_on_slowly,
    _has_no_right_signature,
    _is_refused_and_stays,
    _does_not_read,
]


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("source", ["", OTHER])
def test_who_holds_sockets_keeps_no_publisher_out(
    server: RunningServer, hold: Callable[[RawSocket], None], source: str
) -> None:
    with ExitStack() as stack, server.connect() as websocket, RawSocket(server.port) as backend:
        websocket.subscribe("room")
        backend.send(signed_request("POST", "/events", EVENT))
        assert backend.read_response().status == 200
        for _ in range(PLACES + 20):
            hold(stack.enter_context(RawSocket(server.port, source=source)))
        for _ in range(50):
            assert server.publish("room", "e", "x").status == 200
        with server.connect() as other:
            other.subscribe("room")
            backend.send(signed_request("POST", "/events", EVENT))  # the same connection: it was not closed
            assert backend.read_response().status == 200
            assert other.read_event()["event"] == "e"
        for _ in range(52):
            assert websocket.read_event()["event"] == "e"
        (line,) = server.wait_for_log("over capacity: as [0-9]+ sockets are open and 60 are possible")
        assert f"one from {OTHER if source else '127.0.0.1'} was closed" in line


def test_refused_clients_that_linger_at_the_websocket_limit_keep_no_publisher_out(server: RunningServer) -> None:
    with ExitStack() as stack:
        for _ in range(PLACES - 3):
            stack.enter_context(server.connect())
        for _ in range(10):
            refused = stack.enter_context(RawSocket(server.port))
            refused.handshake()
            assert refused.read_event()["data"]["code"] == 4100
        assert [server.publish("room", "e", "x").status for _ in range(30)] == [200] * 30


def test_websockets_and_applications_that_fill_all_places_are_not_closed(server: RunningServer) -> None:
    with ExitStack() as stack:
        websockets = [stack.enter_context(server.connect()) for _ in range(PLACES - 3)]
        backends = [stack.enter_context(RawSocket(server.port)) for _ in range(3)]
        for backend in backends:
            backend.send(signed_request("GET", "/channels"))
            assert backend.read_response().status == 200
        with RawSocket(server.port) as client:
            client.send(UP)
            assert client.read_response().status == 503
        for _ in range(PLACES):
            stack.enter_context(RawSocket(server.port, source=OTHER))
        for backend in backends:
            backend.send(signed_request("GET", "/channels"))
            assert backend.read_response().status == 200
        for websocket in websockets:
            websocket.send_event("pusher:ping")
            assert websocket.read_event()["event"] == "pusher:pong"
        server.wait_for_log("over capacity")


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_sockets_without_a_tls_handshake_make_room_too(tmp_path: Path, first: bytes) -> None:
    certificate, key = self_signed(tmp_path)
    tls = {"certificate": str(certificate), "key": str(key)}
    connect = TlsSocket.trusting(certificate)
    with running_server(max_connections=PLACES, workers=1, tls=tls) as server, ExitStack() as stack:
        for _ in range(PLACES + 20):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port))).sendall(first)
        for _ in range(20):
            with connect(server.port) as client:
                client.send(signed_request("POST", "/events", EVENT))
                assert client.read_response().status == 200
        server.wait_for_log("over capacity")


def test_a_silent_socket_on_a_tls_port_is_closed_in_time(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = {"certificate": str(certificate), "key": str(key)}
    with running_server(workers=1, tls=tls, request_timeout=1) as server:
        for first in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with RawSocket(server.port) as client:
                client.send(first)
                assert client.read_rest() == b""


def test_handshakes_in_any_portions_succeed(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = {"certificate": str(certificate), "key": str(key)}
    context = ssl.create_default_context(cafile=str(certificate))
    with running_server(workers=1, tls=tls) as server:
        for portion in (1, 7, 100, 10_000):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:

                def send(sock: socket.socket = sock, outgoing: ssl.MemoryBIO = outgoing, size: int = portion) -> None:
                    data = outgoing.read()
                    for at in range(0, len(data), size):
                        sock.sendall(data[at : at + size])

                while True:
                    try:
                        session.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        send()
                        incoming.write(sock.recv(65_536))
                session.write(UP)  # goes out with the last of the handshake
                send()
                answer = b""
                while b"OK" not in answer:
                    try:
                        answer += session.read(1000)
                    except ssl.SSLWantReadError:
                        incoming.write(sock.recv(65_536))
                assert answer.startswith(b"HTTP/1.1 200 OK")


def test_an_address_has_no_more_silent_sockets_than_it_may_have_websockets() -> None:
    app = msgspec.structs.replace(DEFAULT_APP, max_connections_per_ip=3)
    with ticked_server(app) as ticked, ExitStack() as stack:
        silent = [stack.enter_context(RawSocket(ticked.port, source=OTHER)) for _ in range(10)]
        others = [stack.enter_context(RawSocket(ticked.port, source="127.0.0.3")) for _ in range(3)]
        proxied = [stack.enter_context(RawSocket(ticked.port)) for _ in range(10)]
        ticked.until(lambda: ticked.server.open_sockets == 23)
        ticked.run(ticked.server._after_tick)
        assert ticked.run(lambda: ticked.server.open_sockets) == 23  # what they ask may be on its way
        ticked.run(ticked.server._after_tick)
        ticked.until(lambda: ticked.server.open_sockets == 16)
        assert [client.has_input() for client in others + proxied] == [False] * 13
        for client in silent[:7]:
            with pytest.raises((EOFError, OSError)):
                client.read_exactly(1)
        for client in silent[7:]:
            _asks_for_nothing_much(client)


def test_without_descriptors_there_is_a_log_line_and_the_server_can_be_stopped() -> None:
    if sys.platform != "linux":
        pytest.skip("needs prlimit")
    with running_server(workers=1) as server:
        open_files = sum(1 for _ in Path(f"/proc/{server.pid}/fd").iterdir())
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (open_files, open_files))
        (line,) = server.wait_for_log("no file can be opened, so that nobody can connect: Too many open files")
        assert "ulimit -n, LimitNOFILE, minfds" in line
        os.kill(server.pid, signal.SIGTERM)
        server.wait_for_the_end()
        assert server.process.returncode == 0
