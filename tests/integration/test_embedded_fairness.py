"""A client of the embedded server under uvicorn cannot take it from the others, and nobody else notices how."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from soundpost.wire.frames import TEXT
from support.attackers import attacking
from support.embedded import running_embedded
from support.harness import RawSocket, RunningServer, client_frame
from support.hostile import over_http, over_websockets, that_never_read

ATTACKS = {**over_websockets("app-key"), **over_http(), **that_never_read("app-key")}
PING = client_frame(TEXT, b'{"event":"pusher:ping","data":{}}')
UVICORNS = {
    "as installed": {},
    "pure Python": {"loop": "asyncio", "http": "h11", "ws": "wsproto"},
    "asyncio and websockets": {"loop": "asyncio", "http": "httptools", "ws": "websockets"},
}


@pytest.fixture(scope="module", params=UVICORNS)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with running_embedded(uvicorn=UVICORNS[request.param]) as server:
        yield server
        assert "Traceback" not in server.log()


@pytest.fixture(scope="module")
def attacked() -> Iterator[RunningServer]:
    with running_embedded() as server:
        yield server
        assert server.process.poll() is None
        assert "Traceback" not in server.log()


def answered(client: RawSocket) -> None:
    """Have the server answer a ping."""
    client.send(PING)
    assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_harms_nobody_else(attacked: RunningServer, name: str) -> None:
    with attacked.connect() as bystander, attacking(attacked.port, ATTACKS[name], seconds=120) as attackers:
        for _ in range(30):
            answered(bystander)
        assert attackers.poll() is None, "the attack was over too early"
        with attacked.connect() as newcomer:
            answered(newcomer)


def test_a_large_body_arrives_as_it_was_sent(server: RunningServer) -> None:
    lines = (b"\r\n", b"\r\n\r\n", b"\n\n", b"x" * 700, b"y" * 5_000, b"GET / HTTP/1.1\r\n\r\n")
    body = b"".join(random.Random(12).choices(lines, k=2_000))
    with RawSocket(server.port) as client:
        client.send(b"POST /around HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert client.read_response().body == body


def test_a_body_in_chunks_arrives_as_it_was_sent(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        head = b"POST /around HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(head + b"4\r\n\r\n\r\n\r\n" * 1_000 + b"0\r\n\r\n")
        assert client.read_response().body == b"\r\n\r\n" * 1_000


def test_requests_that_came_together_are_answered_in_order(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"".join(b"GET /around?%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(300)))
        answers = [client.read_response().body for _ in range(300)]
        assert answers == [b"the application around it%d" % number for number in range(300)]


def test_messages_that_came_together_are_answered_in_order(server: RunningServer) -> None:
    names = [f"room-{number}" for number in range(200)]
    messages = [{"event": "pusher:subscribe", "data": {"channel": name}} for name in names]
    frames = b"".join(client_frame(TEXT, json.dumps(message).encode()) for message in messages)
    with server.connect() as client:
        client.send(frames)
        assert [client.read_event()["channel"] for _ in names] == names


def test_a_message_in_many_small_writes_is_one(server: RunningServer) -> None:
    message = {"event": "pusher:subscribe", "data": {"channel": "room", "more": "x" * 9_000}}
    frame = client_frame(TEXT, json.dumps(message).encode())
    with server.connect() as client:
        for start in range(0, len(frame), 700):
            client.send(frame[start : start + 700])
        assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
        answered(client)


def test_no_request_sees_the_context_of_another_client_s(server: RunningServer) -> None:
    upload = b"POST /around HTTP/1.1\r\nHost: x\r\nUser: ann\r\nContent-Length: 3000000\r\n\r\n"
    with RawSocket(server.port) as ann, RawSocket(server.port) as other:
        for _ in range(3):
            sending = threading.Thread(target=ann.send, args=[upload + b"x" * 3_000_000])
            sending.start()
            for _ in range(10):
                other.send(b"POST /around HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2_000)
                assert other.read_response().headers["context-user"] == "nobody"
            sending.join()
            assert ann.read_response().status == 200


def test_a_request_whose_client_says_no_more_is_answered(server: RunningServer) -> None:
    for size in (2, 5_000, 200_000):
        with RawSocket(server.port) as client:
            client.send(b"POST /around HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            client.socket.shutdown(socket.SHUT_WR)
            assert client.read_response().body == b"x" * size


def test_clients_that_vanish_in_the_middle_are_forgotten(server: RunningServer) -> None:
    for _ in range(20):
        with server.connect() as client:
            client.send(PING * 5_000)
        with RawSocket(server.port) as client:
            client.send(b"GET /around HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000)
    with server.connect() as client:
        answered(client)
    assert server.request("GET", "/connections").status == 200
