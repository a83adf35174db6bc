"""Clients that connect and then say nothing, or not enough, are not kept. The server's own timers end them.

All of them connect before the first is looked at, so that they run out of the server's patience together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.harness import RawSocket, RunningServer, running_server, upgrade_request

UP = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\n"
UNFINISHED = {
    "nothing": b"",
    "a letter": b"G",
    "an empty line": b"\r\n",
    "a request line": b"GET /up HTTP/1.1\r\n",
    "part of a handshake": upgrade_request()[:20],
    "all of a handshake but its last byte": upgrade_request()[:-1],
    "part of a body": POST + b"Content-Length: 100\r\n\r\n{",
    "part of a chunked body": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "part of an ignored upgrade": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(request_timeout=1, keep_alive_timeout=1) as running:
        yield running


@pytest.fixture(scope="module")
def late(server: RunningServer) -> Iterator[dict[bytes, RawSocket]]:
    """Clients by what they have sent, none of it a whole request (or nothing after one)."""
    with ExitStack() as open_sockets:
        clients = {}
        for sent in (*UNFINISHED.values(), UP, UP + UP[:9]):
            clients[sent] = open_sockets.enter_context(RawSocket(server.port))
            clients[sent].send(sent)
        yield clients


def is_given_up(client: RawSocket) -> None:
    response = client.read_response()
    assert (response.status, response.headers["connection"]) == (408, "close")
    assert client.read_rest() == b""


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED.keys())
def test_unfinished_request_is_answered_with_408_and_closed(late: dict[bytes, RawSocket], sent: bytes) -> None:
    is_given_up(late[sent])


def test_unfinished_second_request_is_answered_with_408_and_closed(late: dict[bytes, RawSocket]) -> None:
    client = late[UP + UP[:9]]

    assert client.read_response().status == 200
    is_given_up(client)


def test_idle_connection_is_closed_without_an_answer(late: dict[bytes, RawSocket]) -> None:
    client = late[UP]

    assert client.read_response().status == 200
    assert client.read_rest() == b""


def test_websocket_is_not_ended_by_the_timers_of_http(server: RunningServer) -> None:
    with server.connect() as watched, RawSocket(server.port) as given_up:
        is_given_up(given_up)
        watched.send_event("pusher:ping")

        assert watched.read_event()["event"] == "pusher:pong"
