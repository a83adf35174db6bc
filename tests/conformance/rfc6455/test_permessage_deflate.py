"""permessage-deflate on real sockets, with our own frames and with another library's."""

from __future__ import annotations

import json
import zlib

import pytest
from websockets.sync.client import connect

from soundpost.wire.compression import RESPONSE
from soundpost.wire.frames import CLOSE, PING, PONG, TEXT
from support.harness import RawSocket, RunningServer, client_frame, running_server

OFFER = "permessage-deflate; client_max_window_bits"
PING_MESSAGE = b'{"event":"pusher:ping","data":{}}'
LONG = json.dumps({"text": "rosin and bridge " * 100})


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def compressing(server: RunningServer) -> RawSocket:
    client = RawSocket(server.port)
    head = client.handshake(Sec_WebSocket_Extensions=OFFER)
    assert b"\r\nSec-WebSocket-Extensions: " + RESPONSE + b"\r\n" in head
    assert client.read_event()["event"] == "pusher:connection_established"
    return client


def test_another_library_reads_and_writes_compressed_messages(server: RunningServer) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/app/app-key?protocol=7", compression="deflate") as client:
        client.recv()
        client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "a", "auth": " " * 2000}}))
        assert json.loads(client.recv())["event"] == "pusher_internal:subscription_succeeded"
        for number in range(3):
            assert server.publish("a", f"e{number}", LONG).status == 200
        for number in range(3):
            assert json.loads(client.recv()) == {"event": f"e{number}", "channel": "a", "data": LONG}


def test_the_same_event_reaches_those_with_and_those_without_compression(server: RunningServer) -> None:
    with compressing(server) as small, server.connect() as plain:
        for client in (small, plain):
            client.subscribe("both")
        assert server.publish("both", "short", "{}").status == 200
        assert server.publish("both", "long", LONG).status == 200
        assert [plain.read_event()["event"], plain.read_event()["event"]] == ["short", "long"]
        assert small.read_event()["event"] == "short"
        first, second = small.read_exactly(2)
        assert first == 0xC1
        length = second if second < 126 else int.from_bytes(small.read_exactly(2), "big")
        assert length < len(LONG) / 5
        payload = zlib.decompressobj(-15).decompress(small.read_exactly(length) + b"\x00\x00\xff\xff")
        assert json.loads(payload)["data"] == LONG


def test_compressed_messages_in_fragments_and_between_pings(server: RunningServer) -> None:
    payload = deflated(PING_MESSAGE)
    with compressing(server) as client:
        client.send(client_frame(TEXT, payload, rsv=4))
        assert client.read_event()["event"] == "pusher:pong"
        begin, end = client_frame(TEXT, payload[:5], fin=False, rsv=4), client_frame(0, payload[5:])
        client.send(begin + client_frame(PING, b"x") + end)
        assert client.read_frame() == (PONG, b"x")
        assert client.read_event()["event"] == "pusher:pong"
        client.send(client_frame(TEXT, PING_MESSAGE))
        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (client_frame(TEXT, deflated(b"x" * 70_000), rsv=4), 1009),
        (client_frame(TEXT, b"\xff\xff\xff", rsv=4), 1007),
        (client_frame(TEXT, deflated(b"\xc3\x28"), rsv=4), 1007),
        (client_frame(PING, b"", rsv=4), 1002),
        (client_frame(TEXT, b"a", fin=False, rsv=4) + client_frame(0, b"b", rsv=4), 1002),
        (client_frame(TEXT, b"{}", rsv=2), 1002),
        (client_frame(TEXT, b"{}", rsv=6), 1002),
    ],
    ids=["bomb", "no data", "no text", "control frame", "continuation", "second bit", "two bits"],
)
def test_broken_compressed_messages_end_the_connection(server: RunningServer, frame: bytes, code: int) -> None:
    with compressing(server) as client:
        client.send(frame)
        opcode, payload = client.read_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)


def test_without_an_offer_or_switched_off_nothing_is_compressed() -> None:
    with running_server(compression=False) as server, RawSocket(server.port) as client:
        assert b"extensions" not in client.handshake(Sec_WebSocket_Extensions=OFFER).lower()
        client.read_event()
        client.send(client_frame(TEXT, deflated(PING_MESSAGE), rsv=4))
        assert client.read_frame()[0] == CLOSE
