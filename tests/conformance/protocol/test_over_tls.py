"""https and wss served directly: the same protocol through the transport instead of the descriptor."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundpost.wire.frames import CLOSE, parse_close
from support.harness import DEFAULT_APP, TIMEOUT, RawSocket, RunningServer, running_server, signed_request
from support.self_signed import self_signed_in_one_file


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a certificate and its key."""
    return self_signed_in_one_file(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[RunningServer]:
    with running_server(tls={"certificate": str(certificate)}) as running:
        yield running


def connect(server: RunningServer) -> RawSocket:
    """A client that has shaken hands in TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = RawSocket(server.port, TIMEOUT)
    client.socket = context.wrap_socket(client.socket)
    return client


def test_a_client_subscribes_and_gets_events_large_and_small_in_order(server: RunningServer) -> None:
    with connect(server) as client, connect(server) as publisher:
        assert client.handshake().startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"
        client.subscribe("room")

        for number in range(50):
            event = {"name": str(number), "channel": "room", "data": "x" * (number * 200)}
            publisher.send(signed_request("POST", "/events", json.dumps(event).encode()))
            assert publisher.read_response().body == b"{}"

        for number in range(50):
            assert client.read_event() == {"event": str(number), "channel": "room", "data": "x" * (number * 200)}


def test_a_refused_client_gets_its_code(server: RunningServer) -> None:
    with connect(server) as client:
        client.handshake("/app/nobody?protocol=7")
        assert client.read_event()["data"]["code"] == 4001
        opcode, payload = client.read_frame()
        assert (opcode, parse_close(payload)[0]) == (CLOSE, 4001)
        client.send_frame(CLOSE, payload[:2])

        assert client.read_rest() == b""


def test_a_client_that_speaks_no_tls_harms_nobody(certificate: Path) -> None:
    with running_server(tls={"certificate": str(certificate)}, request_timeout=2) as server:
        with RawSocket(server.port) as plain:
            plain.send(signed_request("GET", "/channels", app=DEFAULT_APP))
            plain.read_rest()
        with connect(server) as client:
            client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.read_response().status == 200
