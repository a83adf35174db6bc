"""Requests for a WebSocket behind other requests on one connection: their answers come first."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from soundpost.core.peers import ConnectionsQuery
from soundpost.core.publishing import publish
from soundpost.wire.frames import TEXT
from support.harness import RawSocket, client_frame, signed_request, upgrade_request
from support.late_peers import LatePeers
from support.ticked_server import TickedServer, ticked_server


@pytest.fixture
def ticked() -> Iterator[TickedServer]:
    with ticked_server() as ticked:
        yield ticked


@pytest.fixture
def late(ticked: TickedServer) -> LatePeers:
    return LatePeers.of(ticked)


def channels_request() -> bytes:
    return signed_request("GET", "/channels")


def publish_request() -> bytes:
    return signed_request("POST", "/events", json.dumps({"name": "e", "channel": "news", "data": "{}"}).encode())


def subscription(channel: str) -> bytes:
    return client_frame(TEXT, json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}).encode())


def test_a_websocket_opens_behind_an_answer_that_other_nodes_are_asked_for(
    ticked: TickedServer, late: LatePeers
) -> None:
    with RawSocket(ticked.port) as client:
        client.send(channels_request() + upgrade_request() + subscription("news"))
        ticked.until(lambda: len(late.asked) == 1)
        assert not client.has_input()
        ticked.run(late.asked.pop())

        assert client.read_response().json() == {"channels": {}}
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"
        assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
        ticked.publish("news", "e")
        assert client.read_event()["event"] == "e"


@pytest.mark.parametrize("resets", [True, False], ids=["reset", "closed"])
def test_a_client_that_goes_before_the_answer_gives_its_place_back(
    ticked: TickedServer, late: LatePeers, resets: bool
) -> None:
    def counted() -> int:
        found: list[int] = []
        late.peers.ask(ConnectionsQuery("1"), found.append)
        return found[0]

    late.holds_publishes = True
    with RawSocket(ticked.port) as client:
        client.send(publish_request() + upgrade_request())
        ticked.until(lambda: counted() == 1)
        if resets:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if not resets:
        for then in late.publishes:
            ticked.run(then)
    ticked.until(lambda: not ticked.server.http_connections)
    assert ticked.run(counted) == 0


def test_a_websocket_stays_open_that_opens_behind_the_answer_to_a_publish(
    ticked: TickedServer, late: LatePeers
) -> None:
    """The answer waits until all nodes have the event, and the upgrade waits with it."""
    late.holds_publishes = True
    with RawSocket(ticked.port) as client:
        client.send(publish_request())
        ticked.until(lambda: len(late.publishes) == 1)
        client.send(upgrade_request() + subscription("news"))
        ticked.until(lambda: len(late.publishes) == 2)
        assert not client.has_input()
        for then in late.publishes:
            ticked.run(then)

        assert client.read_response().status == 200
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"
        assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
        client.send(client_frame(TEXT, b'{"event":"pusher:ping","data":{}}'))
        assert client.read_event()["event"] == "pusher:pong"


def test_a_client_that_waits_for_its_admission_is_not_counted_as_silent(ticked: TickedServer, late: LatePeers) -> None:
    late.holds_admissions = True
    with RawSocket(ticked.port), RawSocket(ticked.port) as client:
        client.send(upgrade_request())
        ticked.until(lambda: len(late.admissions) == 1)

        assert ticked.run(lambda: ticked.server.sockets.silent_beyond(1, lambda address: True)) == []
        ticked.run(late.admissions.pop())
        assert client.read_head().startswith(b"HTTP/1.1 101 ")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the loop's transports serve all sockets")
def test_events_do_not_overtake_an_answer_that_the_kernel_has_not_taken(ticked: TickedServer) -> None:
    with ticked.connect() as other, RawSocket(ticked.port, receive_buffer=2_048) as client:
        names = [f"{number:0160}" for number in range(90)]
        for name in names:
            other.subscribe(name)
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_response()
        ticked.run(lambda: narrow(ticked))
        client.send(channels_request() * 6 + upgrade_request() + subscription("news"))
        ticked.until(lambda: ticked.subscribers("news") == 1)

        def publish_news() -> None:
            publish(ticked.server.node.by_id["1"], "news", "e", "{}")
            ticked.server.node.outbox.flush()

        with ticked.held(then=publish_news):
            answers = [client.read_exactly(1_000)]  # the kernel takes more now, though the server gives no more
        client._buffer = b"".join(answers) + client._buffer
        for _ in range(6):
            assert sorted(client.read_response().json()["channels"]) == names
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        got = [client.read_event()["event"] for _ in range(3)]
        assert got == ["pusher:connection_established", "pusher_internal:subscription_succeeded", "e"]


def narrow(ticked: TickedServer) -> None:
    """Have the kernel take little output at a time."""
    (connection,) = ticked.server.http_connections
    with socket.socket(fileno=os.dup(connection.transport.get_extra_info("socket").fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
