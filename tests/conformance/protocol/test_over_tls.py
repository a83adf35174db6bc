"""https and wss served directly: the same protocol through the transport instead of the descriptor."""

from __future__ import annotations

import datetime
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness import DEFAULT_APP, TIMEOUT, RawSocket, RunningServer, running_server, signed_request
from soundpost.wire.frames import CLOSE, parse_close


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and its self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


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


def test_a_client_that_speaks_no_tls_harms_nobody(server: RunningServer) -> None:
    with RawSocket(server.port) as plain:
        plain.send(signed_request("GET", "/channels", app=DEFAULT_APP))
        plain.read_rest()
    with connect(server) as client:
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response().status == 200
