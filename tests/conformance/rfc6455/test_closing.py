"""RFC 6455, sections 5.5.1 and 7: the closing handshake."""

from __future__ import annotations

import json
import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.wire import codes, signatures
from soundpost.wire.frames import (
    CLOSE,
    INVALID_PAYLOAD,
    NO_STATUS,
    PING,
    PROTOCOL_ERROR,
    TEXT,
    close_frame,
    parse_close,
)
from support.harness import DEFAULT_APP, TIMEOUT, RawSocket, RunningServer, client_frame, ping_message, running_server

MAY_BE_SENT = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4200, 4999)
MUST_NOT_BE_SENT = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    app = AppSettings(id="1", key=DEFAULT_APP.key, secret=DEFAULT_APP.secret, subscription_count=True)
    with running_server(apps=[app], close_timeout=1) as running:
        yield running


@pytest.fixture(scope="module")
def patient_server() -> Iterator[RunningServer]:
    """One that waits for a client that stands still for seconds."""
    with running_server(close_timeout=60) as running:
        yield running


def code(value: int, reason: bytes = b"") -> bytes:
    return value.to_bytes(2, "big") + reason


@pytest.mark.parametrize("value", MAY_BE_SENT)
def test_close_is_answered_with_the_same_code(server: RunningServer, value: int) -> None:
    with server.connect() as client:
        client.send_frame(CLOSE, code(value, b"going"))

        assert client.read_close_code() == value


@pytest.mark.parametrize("value", MUST_NOT_BE_SENT)
def test_code_that_must_not_be_sent_closes_with_1002(server: RunningServer, value: int) -> None:
    with server.connect() as client:
        client.send_frame(CLOSE, code(value))

        assert client.read_close_code() == PROTOCOL_ERROR


def test_empty_close_is_answered_with_an_empty_close(server: RunningServer) -> None:
    with server.connect() as client:
        client.send_frame(CLOSE)

        assert client.read_until_close() == [(CLOSE, b"")]


@pytest.mark.parametrize("payload", [b"\x03", b"\0", b"x"])
def test_half_a_code_closes_with_1002(server: RunningServer, payload: bytes) -> None:
    with server.connect() as client:
        client.send_frame(CLOSE, payload)

        assert client.read_close_code() == PROTOCOL_ERROR


@pytest.mark.parametrize(
    "reason", [b"\xff", b"\xed\xa0\x80", "é".encode()[:1], b"fine until \xc0\xaf", b"x" * 122 + b"\x80"]
)
def test_reason_that_is_no_text_closes_with_1007(server: RunningServer, reason: bytes) -> None:
    with server.connect() as client:
        client.send_frame(CLOSE, code(1000, reason))

        assert client.read_close_code() == INVALID_PAYLOAD


@pytest.mark.parametrize("reason", [b"", b"x", "Grüße".encode(), b"x" * 123, "é".encode() * 61])
def test_reason_of_up_to_123_bytes_is_taken(server: RunningServer, reason: bytes) -> None:
    with server.connect() as client:
        client.send_frame(CLOSE, code(1000, reason))

        assert client.read_close_code() == 1000


def test_reason_of_124_bytes_closes_with_1002(server: RunningServer) -> None:
    with server.connect() as client:
        client.send_frame(CLOSE, code(1000, b"x" * 124))

        assert client.read_close_code() == PROTOCOL_ERROR


def test_close_that_arrives_octet_by_octet(server: RunningServer) -> None:
    with server.connect() as client:
        for octet in client_frame(CLOSE, code(1000, b"slowly")):
            client.send(bytes([octet]))

        assert client.read_close_code() == 1000


AFTER_CLOSE = {
    "a message": client_frame(TEXT, ping_message()),
    "a ping": client_frame(PING, b"ignored"),
    "a second close": client_frame(CLOSE, code(1001)),
    "a broken frame": client_frame(TEXT, b"\xff", rsv=7),
    "no frame at all": b"GET /up HTTP/1.1\r\n\r\n",
    "much": client_frame(TEXT, ping_message()) * 500,
}


@pytest.mark.parametrize("after", AFTER_CLOSE.values(), ids=AFTER_CLOSE.keys())
def test_what_comes_after_a_close_is_ignored(server: RunningServer, after: bytes) -> None:
    with server.connect() as client:
        client.send(client_frame(TEXT, ping_message()) + client_frame(CLOSE, code(1000)) + after)

        assert client.read_event()["event"] == "pusher:pong"
        assert client.read_close_code() == 1000


@pytest.mark.parametrize("after", AFTER_CLOSE.values(), ids=AFTER_CLOSE.keys())
def test_what_comes_after_a_broken_frame_is_ignored(server: RunningServer, after: bytes) -> None:
    with server.connect() as client:
        client.send(client_frame(3) + after)
        client.send(after)

        assert client.read_close_code() == PROTOCOL_ERROR


def sign_in(client: RawSocket, user_id: str) -> None:
    user = json.dumps({"id": user_id})
    signature = signatures.sign(DEFAULT_APP.secret, signatures.user_text(client.socket_id, user))
    client.send_event("pusher:signin", {"auth": f"{DEFAULT_APP.key}:{signature}", "user_data": user})
    assert client.read_event()["event"] == "pusher:signin_success"


def read_close_of_server(client: RawSocket) -> int:
    assert client.read_event()["event"] == "pusher:error"
    opcode, payload = client.read_frame()
    assert opcode == CLOSE
    return parse_close(payload)[0]


def terminate(server: RunningServer, user_id: str) -> None:
    assert server.request("POST", f"/users/{user_id}/terminate_connections", b"{}").status == 200


def test_server_waits_for_the_answer_to_its_close(patient_server: RunningServer) -> None:
    with patient_server.connect() as client:
        sign_in(client, "waited-for")
        terminate(patient_server, "waited-for")
        assert read_close_of_server(client) == codes.UNAUTHORIZED
        client.send_frame(TEXT, ping_message())
        client.send_frame(PING, b"too late")
        client.send_frame(CLOSE, code(codes.UNAUTHORIZED))

        assert client.read_until_close() == []


def test_server_keeps_its_place_in_a_message_cut_by_its_close(patient_server: RunningServer) -> None:
    message = client_frame(TEXT, ping_message(5000))
    with patient_server.connect() as client:
        sign_in(client, "cut")
        client.send(message[:2500])
        terminate(patient_server, "cut")
        assert read_close_of_server(client) == codes.UNAUTHORIZED
        client.send(message[2500:] + client_frame(CLOSE))

        assert client.read_until_close() == []


def test_server_does_not_wait_for_ever_for_the_answer_to_its_close(server: RunningServer) -> None:
    with server.connect() as client:
        sign_in(client, "silent")
        terminate(server, "silent")
        assert read_close_of_server(client) == codes.UNAUTHORIZED

        assert client.read_until_close() == []


def test_client_that_goes_on_sending_after_a_broken_frame_is_dropped(server: RunningServer) -> None:
    with server.connect() as client:
        client.send_frame(3)
        assert client.read_close_code() == PROTOCOL_ERROR
        client.socket.shutdown(socket.SHUT_WR)

        assert client.read_until_close() == []


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize(
    "unfinished", [b"", client_frame(TEXT, length=100), b"\x81"], ids=["idle", "in a frame", "in a head"]
)
def test_client_that_vanishes_leaves_its_channels(server: RunningServer, reset: bool, unfinished: bytes) -> None:
    with server.connect() as witness, server.connect() as client:
        witness.send_event("pusher:subscribe", {"channel": "left"})
        client.send_event("pusher:subscribe", {"channel": "left"})
        while '"subscription_count":2' not in (event := witness.read_event())["data"]:
            assert event["channel"] == "left"
        client.send(unfinished)
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()

        assert witness.read_event()["data"] == '{"subscription_count":1}'


def test_stopping_server_closes_with_4200() -> None:
    with running_server() as server, server.connect() as idle, server.connect() as busy:
        busy.send(client_frame(TEXT, ping_message(5000))[:2500])
        server.process.send_signal(signal.SIGTERM)

        for client in (idle, busy):
            opcode, payload = client.read_frame()
            assert (opcode, parse_close(payload)[0]) == (CLOSE, codes.GENERIC_RECONNECT)
            client.socket.close()
        assert server.process.wait(TIMEOUT) == 0


@pytest.mark.parametrize("reason", ["x" * 200, "é" * 100, "𝄞" * 50])
def test_servers_reason_is_cut_to_fit_at_a_characters_edge(reason: str) -> None:
    frame = close_frame(4000, reason)

    assert len(frame) <= 2 + 125
    assert reason.startswith(parse_close(frame[2:])[1])


def test_close_without_a_code_is_1005_and_never_sent() -> None:
    assert parse_close(b"") == (NO_STATUS, "")
    assert close_frame(NO_STATUS) == b"\x88\x00"
