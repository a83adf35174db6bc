"""Requests behind others on one connection, which are acted on one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from soundpost.server.connections.http_connection import HttpConnection
from support.harness import RawSocket, signed_request
from support.late_peers import LatePeers
from support.ticked_server import TickedServer, ticked_server

UP = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = json.dumps({"name": "e", "channel": "news", "data": "{}"}).encode()


def channels_request() -> bytes:
    return signed_request("GET", "/channels")


def publish_request() -> bytes:
    return signed_request("POST", "/events", BODY)


def chunked(request: bytes) -> bytes:
    """Return a request without a body as one whose body is chunked, and empty."""
    head = request.replace(b"\r\nContent-Length: 0", b"").removesuffix(b"\r\n\r\n")
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


@pytest.fixture
def ticked() -> Iterator[TickedServer]:
    with ticked_server() as ticked:
        yield ticked


def only_connection(ticked: TickedServer) -> HttpConnection:
    """Return the one HTTP connection of a server, once it has it."""
    ticked.until(lambda: len(ticked.server.http_connections) == 1)
    return next(iter(ticked.server.http_connections))


@pytest.mark.parametrize(
    "writes",
    [
        lambda channels, publish: (channels + publish,),
        lambda channels, publish: (channels, publish),
        lambda channels, publish: (channels, publish[:50], publish[50:]),
        lambda channels, publish: (channels[:-1], channels[-1:] + publish),
        lambda channels, publish: (chunked(channels) + publish,),
        lambda channels, publish: (channels + publish * 20,),
    ],
    ids=["together", "apart", "in parts", "end apart", "chunks", "many"],
)
def test_no_request_overtakes_one_that_waits_for_other_nodes(
    ticked: TickedServer, writes: Callable[[bytes, bytes], tuple[bytes, ...]]
) -> None:
    late = LatePeers.of(ticked)
    with ticked.connect() as witness, RawSocket(ticked.port) as client:
        witness.subscribe("news")
        connection = only_connection(ticked)
        for data in writes(channels_request(), publish_request()):
            client.send(data)
            ticked.run(lambda: None)  # so that each is read by itself
        ticked.until(lambda: not connection.transport.is_reading())
        assert not witness.has_input()

        ticked.run(late.asked.pop())
        assert client.read_response().json() == {"channels": {"news": {}}}
        assert client.read_response().body == b"{}"
        assert witness.read_event()["event"] == "e"


def test_a_client_is_not_read_while_many_of_its_answers_wait(ticked: TickedServer) -> None:
    late = LatePeers.of(ticked)
    late.holds_publishes = True
    with RawSocket(ticked.port) as client:
        connection = only_connection(ticked)
        sent = 20
        for _ in range(sent):
            client.send(publish_request())
            ticked.run(lambda: None)
        ticked.until(lambda: not connection.transport.is_reading())
        assert len(connection._responses) == 8

        late.holds_publishes = False
        for then in late.publishes:
            ticked.run(then)
        assert [client.read_response().status for _ in range(sent)] == [200] * sent


def test_requests_of_a_client_that_is_gone_wait_for_other_nodes_too(ticked: TickedServer) -> None:
    late = LatePeers.of(ticked)
    with ticked.connect() as witness:
        witness.subscribe("news")
        with RawSocket(ticked.port) as client:
            client.send(channels_request() + publish_request() * 20)
            connection = only_connection(ticked)
            ticked.until(lambda: not connection.transport.is_reading())
            ticked.run(connection.abort)
        ticked.run(lambda: None)
        assert not witness.has_input()
        assert ticked.run(lambda: ticked.server.open_sockets) == 2

        ticked.run(late.asked.pop())
        assert [witness.read_event()["event"] for _ in range(20)] == ["e"] * 20
        ticked.until(lambda: ticked.server.open_sockets == 1 and not ticked.server.http_connections)


def test_a_request_that_is_half_there_behind_another_one_is_under_way(ticked: TickedServer) -> None:
    with RawSocket(ticked.port) as client:
        connection = only_connection(ticked)
        client.send(UP + publish_request()[:-10])
        assert client.read_response().status == 200
        ticked.until(lambda: not connection._responses and not connection._unread)
        ticked.tick(2)
        assert ticked.run(lambda: connection.is_busy)


def test_a_connection_whose_answer_is_late_stays_open_and_has_its_time_from_the_answer_on() -> None:
    with ticked_server(keep_alive_timeout=5) as ticked, RawSocket(ticked.port) as client:
        late = LatePeers.of(ticked)
        client.send(channels_request())
        ticked.until(lambda: bool(late.asked))
        ticked.tick(20)
        ticked.run(late.asked.pop())
        assert client.read_response().json() == {"channels": {}}
        ticked.tick(4)
        client.send(UP)
        assert client.read_response().status == 200
        ticked.tick(6)
        assert client.read_rest() == b""
