"""RFC 6455, sections 5.5.2 and 5.5.3: pings and pongs."""

from __future__ import annotations

import pytest

from soundpost.wire.frames import CLOSE, CONTINUATION, PING, PONG, PROTOCOL_ERROR, TEXT
from support.harness import RunningServer, client_frame, fragments, ping_message


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 124, 125])
def test_ping_is_answered_with_its_payload(server: RunningServer, size: int) -> None:
    with server.connect() as client:
        client.send_frame(PING, b"p" * size)

        assert client.read_frame() == (PONG, b"p" * size)


@pytest.mark.parametrize("payload", [b"\0\xff\xfe\xfd\xfc\xfb\0\xff", b"\xed\xa0\x80", ping_message()])
def test_ping_may_carry_anything(server: RunningServer, payload: bytes) -> None:
    with server.connect() as client:
        client.send_frame(PING, payload)

        assert client.read_frame() == (PONG, payload)


@pytest.mark.parametrize("chop", [False, True], ids=["one packet", "octets"])
def test_pings_of_all_sizes_back_to_back_are_answered_in_order(server: RunningServer, chop: bool) -> None:
    payloads = [bytes([size]) * size for size in (range(0, 126, 25) if chop else range(126))]
    data = b"".join(client_frame(PING, payload) for payload in payloads)
    with server.connect() as client:
        for at in range(0, len(data), 1 if chop else len(data)):
            client.send(data[at : at + (1 if chop else len(data))])

        assert [client.read_frame() for _ in payloads] == [(PONG, payload) for payload in payloads]


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("size", [126, 127, 65535, 65536])
def test_control_frame_over_125_bytes_closes_with_1002(server: RunningServer, opcode: int, size: int) -> None:
    with server.connect() as client:
        client.send_frame(opcode, b"p" * size)

        assert client.read_close_code() == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("length_bytes", [2, 8])
def test_too_long_a_control_frame_is_refused_before_its_length_is_whole(
    server: RunningServer, opcode: int, length_bytes: int
) -> None:
    with server.connect() as client:
        client.send(client_frame(opcode, length=126, length_bytes=length_bytes)[:2])

        assert client.read_close_code() == PROTOCOL_ERROR


@pytest.mark.parametrize("payload", [b"", b"unsolicited", b"p" * 125])
def test_unsolicited_pong_is_not_answered(server: RunningServer, payload: bytes) -> None:
    with server.connect() as client:
        client.send_frame(PONG, payload)
        client.send_frame(PING, b"next")

        assert client.read_frame() == (PONG, b"next")


@pytest.mark.parametrize("count", [1, 3, 50])
def test_pings_between_fragments_are_answered_first(server: RunningServer, count: int) -> None:
    message = ping_message()
    with server.connect() as client:
        client.send_frame(TEXT, message[:10], fin=False)
        for i in range(count):
            client.send_frame(PING, b"%d" % i)
        assert [client.read_frame() for _ in range(count)] == [(PONG, b"%d" % i) for i in range(count)]
        client.send_frame(CONTINUATION, message[10:])

        assert client.read_event()["event"] == "pusher:pong"


def test_ping_between_all_octets_of_a_message(server: RunningServer) -> None:
    parts = [bytes([octet]) for octet in ping_message()]
    data = client_frame(TEXT, parts[0], fin=False)
    for part in parts[1:-1]:
        data += client_frame(PING, part) + client_frame(CONTINUATION, part, fin=False)
    data += client_frame(PING) + client_frame(CONTINUATION, parts[-1])
    with server.connect() as client:
        client.send(data)

        pongs = [client.read_frame() for _ in parts[1:]]
        assert pongs == [(PONG, part) for part in parts[1:-1]] + [(PONG, b"")]
        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("open_message", [False, True])
def test_fragmented_control_frame_closes_with_1002(server: RunningServer, opcode: int, open_message: bool) -> None:
    with server.connect() as client:
        if open_message:
            client.send_frame(TEXT, b"{", fin=False)
        client.send(fragments(opcode, [b"\x03\xe8", b"rest"]))

        assert client.read_close_code() == PROTOCOL_ERROR
