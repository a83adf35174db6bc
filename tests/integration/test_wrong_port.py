"""TLS to a plain port, plain HTTP to one with TLS: answered, and explained in the log, once."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.deployed_proxy import TlsSocket, main_file, running_nginx_with
from support.harness import RawSocket, RunningServer, http_request, running_server, signed_request, upgrade_request
from support.redis_process import free_port
from support.self_signed import self_signed

UP = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def plain() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path)


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[RunningServer]:
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    with running_server(tls=tls, request_timeout=4) as running:
        yield running


def test_tls_to_a_plain_port(plain: RunningServer) -> None:
    for _ in range(3):
        with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):  # in which many have found the reason
            http.client.HTTPSConnection("127.0.0.1", plain.port, timeout=20).request("GET", "/")
    (line,) = plain.wait_for_log("a client speaks TLS to the plain port")
    assert f"plain port {plain.port} (from 127.0.0.1)" in line
    assert "pusher-js also tries wss" in line
    assert "Give it the port on which a proxy terminates TLS (443 as a rule)" in line
    assert http_request(plain.port, UP).status == 200


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)])
def test_its_first_bytes_are_answered_400(plain: RunningServer, data: bytes) -> None:
    with RawSocket(plain.port) as client:
        client.send(data)
        answer = client.read_response()
        assert answer.status == 400
        assert answer.json()["error"].startswith("TLS on a plain HTTP port: use http:// (ws://) here")


def test_other_bytes_are_no_tls(plain: RunningServer) -> None:
    with RawSocket(plain.port) as client:
        client.send(b"\x17\x03\x01\r\n\r\n")
        assert client.read_response().json()["error"].startswith("Not an HTTP/1.1 request")
    assert "speaks TLS" not in plain.log()


@pytest.mark.parametrize(
    "request_bytes",
    [UP, upgrade_request(), signed_request("POST", "/events", b"{}"), UP.replace(b"GET", b"DELETE"), b"OPTIONS * HTTP"],
)
def test_plain_http_to_a_tls_port_is_answered_400(secure: RunningServer, request_bytes: bytes) -> None:
    with RawSocket(secure.port) as client:
        client.send(request_bytes)
        answer = client.read_response()
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert answer.json() == {"error": "Plain HTTP on a TLS port: use https:// (wss://) here"}


def test_it_is_logged_once_and_tls_goes_on(secure: RunningServer, certificate: tuple[Path, Path]) -> None:
    for _ in range(3):
        assert http_request(secure.port, UP).status == 400
    (line,) = secure.wait_for_log("speaks plain HTTP")
    assert f"to port {secure.port}, which has TLS" in line
    assert "'proxy_pass https://…'" in line
    with TlsSocket.trusting(certificate[0]).open(secure.port) as client:
        client.subscribe("room")


def test_one_that_does_not_go_is_closed(secure: RunningServer) -> None:
    with RawSocket(secure.port) as client:
        client.send(UP)
        assert client.read_response().status == 400
        client.send(UP * 100)
        assert client.read_rest() == b""  # when the time for a handshake is up


def test_bytes_that_are_nothing_are_closed_without_a_word_in_the_log(secure: RunningServer) -> None:
    with RawSocket(secure.port) as client:
        client.send(b"\x00\x01\x02\x03" * 20)
        assert b"HTTP" not in client.read_rest()
    assert secure.log() == ""


def test_nginx_that_passes_plain_http_on_to_a_tls_port(secure: RunningServer, tmp_path: Path) -> None:
    port = free_port()
    inside = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{secure.port}; }} }}"
    with running_nginx_with(main_file(tmp_path, inside), port):
        answer = http_request(port, UP)
        assert (answer.status, answer.json()["error"][:24]) == (400, "Plain HTTP on a TLS port")
    secure.wait_for_log("a proxy in front needs 'proxy_pass https://…'")


def test_nginx_that_passes_tls_on_to_a_plain_port(plain: RunningServer, tmp_path: Path) -> None:
    port = free_port()
    inside = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass https://127.0.0.1:{plain.port}; }} }}"
    with running_nginx_with(main_file(tmp_path, inside), port):
        assert http_request(port, UP).status == 502
    plain.wait_for_log("a client speaks TLS to the plain port")
