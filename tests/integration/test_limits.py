"""Every limit over real sockets: what is refused, how it is told, and that nobody else notices."""

from __future__ import annotations

import contextlib
import gc
import json
import tracemalloc
from collections.abc import Iterator

import httptools
import msgspec
import pytest

from soundpost.core.app_settings import AppSettings, RateLimiting
from soundpost.server.connections.websocket_connection import WebSocketConnection
from soundpost.wire.frames import CLOSE, TEXT, encode_frame, parse_close
from soundpost.wire.signatures import channel_text, sign
from support.harness import DEFAULT_APP, RawSocket, client_frame, http_request, signed_request, upgrade_request
from support.ticked_server import TickedServer, ticked_server

CHUNK = "x" * 8_000


def app(**options: object) -> AppSettings:
    return msgspec.structs.replace(DEFAULT_APP, **options)


@pytest.fixture
def ticked() -> Iterator[TickedServer]:
    with ticked_server() as server:
        yield server


def connect_with_small_buffer(ticked: TickedServer) -> RawSocket:
    """A client whose kernel takes little for it while it does not read."""
    client = RawSocket(ticked.port, receive_buffer=4096)
    assert client.handshake().startswith(b"HTTP/1.1 101 ")
    client.socket_id = json.loads(client.read_event()["data"])["socket_id"]
    return client


def flood(ticked: TickedServer, channel: str) -> int:
    """Publish until a slow subscriber is closed; how many events that took."""
    for number in range(5_000):
        ticked.publish(channel, str(number), CHUNK)
        if ticked.server.overflows:
            return number + 1
    raise AssertionError("40 MB waited for a client that does not read")


# Slow clients


def test_a_client_that_never_reads_is_closed_and_its_memory_is_freed(ticked: TickedServer) -> None:
    with connect_with_small_buffer(ticked) as slow:
        slow.subscribe("room")
        connection = ticked.run(lambda: next(iter(ticked.server.node.by_id["1"].connections.values())))
        assert isinstance(connection, WebSocketConnection)
        transport = connection._transport
        assert transport is not None
        flood(ticked, "room")

        assert ticked.subscribers("room") == 0
        assert ticked.run(lambda: ticked.server.node.by_id["1"].connections) == {}
        waiting = ticked.run(transport.get_write_buffer_size)
        for _ in range(20):
            ticked.publish("room", "more", CHUNK)
        assert ticked.run(transport.get_write_buffer_size) <= waiting
        assert waiting < DEFAULT_APP.max_output_buffer + 100_000
        ticked.tick(ticked.server.settings.close_timeout)
        ticked.until(lambda: ticked.server.open_websockets == 0)
        del connection, transport
        gc.collect()
        assert not [found for found in gc.get_objects() if isinstance(found, WebSocketConnection)]


def test_a_slow_client_that_reads_in_time_is_told_4100(ticked: TickedServer) -> None:
    with connect_with_small_buffer(ticked) as slow:
        slow.subscribe("room")
        published = flood(ticked, "room")

        *events, (opcode, payload) = [slow.read_frame() for _ in range(published + 1)]

        assert [json.loads(text)["event"] for _, text in events] == [str(number) for number in range(published)]
        assert opcode == CLOSE
        code, reason = parse_close(payload)
        assert (code, "max_output_buffer" in reason) == (4100, True)


def write_often(connection: WebSocketConnection, frame: bytes, times: int) -> None:
    for _ in range(times):
        connection.write(frame)


@pytest.mark.parametrize("size", [20, 60, 500])
def test_what_waits_for_a_slow_client_takes_no_more_memory_than_it_has_bytes(ticked: TickedServer, size: int) -> None:
    """Small frames would each cost a multiple of themselves as a write of their own."""
    frame, count = encode_frame(TEXT, b"x" * size), 600_000 // size
    with connect_with_small_buffer(ticked):
        connection = ticked.run(lambda: next(iter(ticked.server.node.by_id["1"].connections.values())))
        assert isinstance(connection, WebSocketConnection)
        while connection.fd >= 0:  # the kernel takes it
            ticked.run(lambda: connection.write(bytes(100_000)))
        tracemalloc.start()
        try:
            ticked.run(lambda: write_often(connection, frame, count))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(frame) * count <= held < 1.3 * len(frame) * count


def test_a_client_that_does_not_read_is_not_read_from(ticked: TickedServer) -> None:
    """Requests of a client that does not read would only add to its output."""
    with connect_with_small_buffer(ticked) as slow:
        connection = ticked.run(lambda: next(iter(ticked.server.node.by_id["1"].connections.values())))
        frame, written = encode_frame(TEXT, b"x" * 20_000), 0
        assert isinstance(connection, WebSocketConnection)
        while ticked.run(lambda: connection.is_reading):
            ticked.run(lambda: connection.write(frame))
            written += 1
            assert written < 1_000, "20 MB wait, and it is still read from"
        slow.send_event("pusher:subscribe", {"channel": "room"})
        ticked.run(lambda: None)
        assert ticked.subscribers("room") == 0
        for _ in range(written):
            assert slow.read_frame() == (TEXT, b"x" * 20_000)

        ticked.until(lambda: ticked.subscribers("room") == 1)


def test_nobody_waits_for_a_slow_client(ticked: TickedServer) -> None:
    with connect_with_small_buffer(ticked) as slow, ticked.connect() as quick:
        slow.subscribe("room")
        quick.subscribe("room")
        for number in range(2_000):
            ticked.publish("room", str(number), CHUNK)
            assert quick.read_event()["event"] == str(number)
            if ticked.server.overflows:
                break

        assert ticked.server.overflows == 1
        assert ticked.subscribers("room") == 1


def test_the_limit_of_waiting_bytes_is_the_apps() -> None:
    with ticked_server(app(max_output_buffer=10_000_000)) as ticked, connect_with_small_buffer(ticked) as slow:
        slow.subscribe("room")
        for number in range(1_000):
            ticked.publish("room", str(number), CHUNK)
        assert ticked.server.overflows == 0
        assert [slow.read_event()["event"] for _ in range(1_000)] == [str(number) for number in range(1_000)]


# Messages


@pytest.mark.parametrize(("size", "taken"), [(16_384, True), (16_385, False)])
def test_the_size_of_a_message(ticked: TickedServer, size: int, taken: bool) -> None:
    with ticked.connect() as client:
        client.send_frame(TEXT, b'{"event":"pusher:ping"}'.ljust(size))

        answer = client.read_event()
        if taken:
            assert answer["event"] == "pusher:pong"
        else:
            assert "16385 bytes, at most 16384 are allowed (max_message_size)" in answer["data"]["message"]
        client.subscribe("room")


def too_large(event: str, padding: int = 20_000, **fields: object) -> bytes:
    return json.dumps({"event": event, **fields, "padding": "x" * padding}).encode()


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        (
            {"event": "pusher:subscribe", "data": {"channel_data": "x" * 20_000, "channel": "presence-x"}},
            [("pusher:subscription_error", "presence-x", 413), ("pusher:error", None, 4009)],
        ),
        (
            {"event": "pusher:subscribe", "data": {"channel": "room", "padding": "é" * 5_000}},
            [("pusher:subscription_error", "room", 413), ("pusher:error", None, 4009)],
        ),
        ({"event": "pusher:signin", "data": {"user_data": "x" * 20_000}}, [("pusher:error", None, 4009)]),
        ({"event": "client-x", "channel": "private-x", "data": "x" * 20_000}, [("pusher:error", None, 4301)]),
        ({"event": "pusher:subscribe", "data": {"padding": "x" * 20_000}}, [("pusher:error", None, 4200)]),
        ({"event": "no-such", "data": "x" * 20_000}, [("pusher:error", None, 4200)]),
        ([" " * 20_000], [("pusher:error", None, 4200)]),
    ],
)
def test_too_large_a_message_is_answered_in_the_protocol_and_the_connection_stays(
    ticked: TickedServer, message: object, answers: list[tuple[str, str | None, int]]
) -> None:
    with ticked.connect() as client, ticked.connect() as other:
        other.subscribe("room-of-others")
        client.subscribe("a-room-of-its-own")
        payload = json.dumps(message).encode()
        client.send_frame(TEXT, payload)

        for event, channel, code in answers:
            answer = client.read_event()
            data = json.loads(answer["data"]) if isinstance(answer["data"], str) else answer["data"]
            assert (answer["event"], answer.get("channel")) == (event, channel)
            assert (data["status"] if event == "pusher:subscription_error" else data["code"]) == code
            text = data["error"] if event == "pusher:subscription_error" else data["message"]
            assert f"{len(payload)} bytes, at most 16384 are allowed (max_message_size)" in text
        ticked.publish("a-room-of-its-own", "still-there")
        assert client.read_event()["event"] == "still-there"
        assert ticked.subscribers("room-of-others") == 1


def test_a_whisper_of_as_much_data_as_pusher_takes(ticked: TickedServer) -> None:
    with ticked.connect() as sender, ticked.connect() as receiver:
        channel = "private-" + "c" * 150
        for client in (sender, receiver):
            signature = sign(DEFAULT_APP.secret, channel_text(client.socket_id, channel))
            client.send_event("pusher:subscribe", {"channel": channel, "auth": f"{DEFAULT_APP.key}:{signature}"})
            assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
        data = "x" * (10_240 - 2)
        sender.send_event("client-" + "e" * 150, data, channel=channel)

        assert receiver.read_event()["data"] == data


@pytest.mark.parametrize("length", [65_537, 1_000_000])
def test_a_message_of_many_times_the_size_is_refused_when_it_is_announced(
    ticked: TickedServer, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    with ticked.connect() as client:
        client.send(client_frame(TEXT, length=length)[:14])

        *_, (opcode, payload) = client.read_until_close()
        assert opcode == CLOSE
        assert parse_close(payload) == (1009, "Message over 65536 bytes (4 times max_message_size)")
    assert "max_message_size" in caplog.text


def test_messages_that_are_too_large_are_logged_once_a_minute(
    ticked: TickedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with ticked.connect() as client:
        for _ in range(5):
            client.send_frame(TEXT, too_large("pusher:ping"))
            assert client.read_event()["data"]["code"] == 4200

    (line,) = [record.getMessage() for record in caplog.records if "max_message_size" in record.getMessage()]
    assert "refused a message of 20" in line


def test_an_app_may_allow_larger_messages() -> None:
    with ticked_server(app(max_message_size=1_000_000)) as ticked, ticked.connect() as client:
        client.send_event("pusher:subscribe", {"channel": "room", "padding": "x" * 20_000})

        assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"


def test_rate_limit_with_terminate_says_why_before_it_closes() -> None:
    limit = RateLimiting(enabled=True, max_attempts=1, terminate_on_limit=True)
    with ticked_server(app(rate_limiting=limit)) as ticked, ticked.connect() as client:
        client.send(client_frame(TEXT, b'{"event":"pusher:ping"}') * 50)

        assert client.read_event()["event"] == "pusher:pong"
        assert client.read_event()["data"] == {"code": 4301, "message": "Rate limit exceeded"}
        opcode, payload = client.read_frame()
        assert (opcode, parse_close(payload)[0]) == (CLOSE, 4100)


def test_many_messages_in_one_packet_after_the_end_are_not_acted_on() -> None:
    limit = RateLimiting(enabled=True, max_attempts=1, terminate_on_limit=True)
    with ticked_server(app(rate_limiting=limit)) as ticked, ticked.connect() as client:
        subscribe = client_frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"room"}}')
        client.send(client_frame(TEXT, b'{"event":"pusher:ping"}') * 2 + subscribe * 10)
        while client.read_frame()[0] != CLOSE:
            pass

        assert ticked.subscribers("room") == 0


# Connections


def refusal(client: RawSocket) -> tuple[int, int]:
    """The codes of the error and of the close frame a refused client gets."""
    error = client.read_event()
    assert error["event"] == "pusher:error"
    opcode, payload = client.read_frame()
    assert opcode == CLOSE
    code, reason = parse_close(payload)
    assert reason == error["data"]["message"].encode()[:123].decode(errors="ignore")
    return error["data"]["code"], code


def test_a_connection_over_the_apps_quota_is_closed_with_4004() -> None:
    with ticked_server(app(max_connections=1)) as ticked:
        with ticked.connect(), RawSocket(ticked.port) as second:
            assert second.handshake().startswith(b"HTTP/1.1 101 ")
            assert refusal(second) == (4004, 4004)
        ticked.until(lambda: not ticked.server.node.by_id["1"].connections)
        with ticked.connect():
            pass


def test_the_quota_counts_connections_without_subscriptions_and_each_app_for_itself() -> None:
    other = AppSettings(id="2", key="other-key", secret="s", max_connections=1)
    with (
        ticked_server(DEFAULT_APP, other) as ticked,
        ticked.connect("2"),
        ticked.connect("1"),
        ticked.connect("1"),
        RawSocket(ticked.port) as client,
    ):
        client.handshake("/app/other-key?protocol=7")
        assert refusal(client) == (4004, 4004)


def test_a_server_full_of_websockets_leaves_places_for_publishers() -> None:
    with ticked_server(max_connections=40) as ticked, contextlib.ExitStack() as stack:
        for _ in range(38):
            stack.enter_context(ticked.connect())
        with RawSocket(ticked.port) as client:
            assert client.handshake().startswith(b"HTTP/1.1 101 ")
            assert refusal(client) == (4100, 4100)
            with RawSocket(ticked.port) as backend:
                backend.send(signed_request("POST", "/events", b'{"name":"e","channel":"room","data":"x"}'))
                assert backend.read_response().status == 200


def test_connections_over_the_servers_capacity_are_refused_and_the_others_are_served() -> None:
    with (
        ticked_server(max_connections=2) as ticked,
        ticked.connect() as websocket,
        RawSocket(ticked.port) as backend,
    ):
        websocket.subscribe("room")
        backend.send(signed_request("GET", "/channels"))
        assert backend.read_response().status == 200
        with RawSocket(ticked.port) as client:
            assert client.handshake().startswith(b"HTTP/1.1 101 ")
            assert refusal(client) == (4100, 4100)
            with RawSocket(ticked.port) as another:
                another.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
                assert another.read_response().status == 200  # the refused one made room: it has had its answer
                assert client.read_rest() == b""
                # Those who were there first publish and hear as before, also while the others are shown out.
                for number in range(3):
                    body = msgspec.json.encode({"name": str(number), "channel": "room", "data": "x"})
                    backend.send(signed_request("POST", "/events", body))
                    assert backend.read_response().status == 200
                    assert websocket.read_event()["event"] == str(number)
        ticked.until(lambda: ticked.server.open_sockets == 2)


def test_a_refused_connection_can_do_nothing_and_is_closed() -> None:
    with ticked_server(app(allowed_origins=("example.com",))) as ticked, RawSocket(ticked.port) as client:
        subscribe = client_frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"room"}}')
        client.send(upgrade_request(Origin="https://evil.org") + subscribe * 3)
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert refusal(client) == (4009, 4009)
        client.send(subscribe)

        assert client.read_rest() == b""
        assert ticked.run(lambda: ticked.server.node.by_id["1"].connections) == {}
        assert ticked.subscribers("room") == 0
        ticked.tick(ticked.server.settings.close_timeout)
        ticked.until(lambda: ticked.server.open_sockets == 0)


def test_a_refused_connection_goes_at_once_when_its_client_answers() -> None:
    with ticked_server() as ticked, RawSocket(ticked.port) as client:
        client.handshake("/app/unknown?protocol=7")
        assert refusal(client) == (4001, 4001)

        client.send_frame(CLOSE, (4001).to_bytes(2, "big"))

        ticked.until(lambda: ticked.server.open_sockets == 0)


def test_a_failed_handshake_leaves_no_websocket() -> None:
    with ticked_server() as ticked, RawSocket(ticked.port) as client:
        client.send(upgrade_request(Sec_WebSocket_Key="short"))
        assert client.read_response().status == 400
        client.send(client_frame(TEXT, b'{"event":"pusher:ping"}'))

        assert client.read_rest() == b""
        assert ticked.server.open_websockets == 0


def test_a_connection_leaves_nothing_of_its_http_beginning_behind(ticked: TickedServer) -> None:
    """Its parser and the object that fed it hold each other: many would wait for the garbage collector."""

    def parsers() -> int:
        return sum(isinstance(found, httptools.HttpRequestParser) for found in gc.get_objects())

    gc.collect()
    before = parsers()
    gc.disable()
    try:
        clients = [ticked.connect() for _ in range(20)]
        assert parsers() == before
    finally:
        gc.enable()
    for client in clients:
        client.socket.close()


# API requests


def test_a_body_over_the_limit_is_refused_before_it_comes(ticked: TickedServer) -> None:
    with RawSocket(ticked.port) as client:
        client.send(b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 262145\r\n\r\n")

        response = client.read_response()
        assert response.status == 413
        assert b"max_request_size" in response.body


def test_a_body_of_the_limit_is_taken() -> None:
    with ticked_server(max_request_size=1_000) as ticked:
        body = b'{"name":"e","channel":"room","data":"x"}'
        assert http_request(ticked.port, signed_request("POST", "/events", body.ljust(1_000))).status == 200
        assert http_request(ticked.port, signed_request("POST", "/events", body.ljust(1_001))).status == 413


def test_a_chunked_body_over_the_limit_is_refused() -> None:
    with ticked_server(max_request_size=1_000) as ticked, RawSocket(ticked.port) as client:
        client.send(b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"3e8\r\n" + b"x" * 1_000 + b"\r\n" + b"1\r\n")
        client.send(b"x\r\n")

        assert client.read_response().status == 413


@pytest.mark.parametrize("trailer", [b"A: b\r\n", b"x"])
def test_endless_trailers_are_refused(trailer: bytes) -> None:
    """Neither counted as head nor as body, they would be kept as long as they come."""
    with ticked_server(max_request_size=1_000, max_head_size=1_000) as ticked, RawSocket(ticked.port) as client:
        client.send(b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nB: ")
        client.send(trailer * (20_000 // len(trailer)))

        assert client.read_response().status in (413, 400)


def test_a_body_in_chunks_of_one_byte_is_within_the_limits() -> None:
    body = b'{"name":"e","channel":"room","data":"' + b"x" * 900 + b'"}'
    request = signed_request("POST", "/events", body)
    head = request[: -len(body)].replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    with ticked_server(max_request_size=1_000, max_head_size=1_000) as ticked, RawSocket(ticked.port) as client:
        client.send(head + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nTrailer: x\r\n\r\n")

        assert client.read_response().status == 200


@pytest.mark.parametrize("whole", [False, True], ids=["unfinished", "in one piece"])
@pytest.mark.parametrize("where", ["header", "headers", "target"])
def test_a_head_over_the_limit_is_refused(ticked: TickedServer, where: str, whole: bool) -> None:
    padding = {
        "header": b"GET /up HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 17_000,
        "headers": b"GET /up HTTP/1.1\r\nHost: x" + b"\r\nA: bcdefghij" * 1_700,
        "target": b"GET /up?" + b"x" * 17_000 + (b" HTTP/1.1" if whole else b""),
    }[where]
    with RawSocket(ticked.port) as client:
        client.send(padding + (b"\r\n\r\n" if whole else b""))

        response = client.read_response()
        assert response.status == 431
        assert b"max_head_size" in response.body


def test_heads_of_many_requests_in_one_packet_are_counted_apart(ticked: TickedServer) -> None:
    with RawSocket(ticked.port) as client:
        client.send((b"GET /up HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 5_000 + b"\r\n\r\n") * 10)

        assert [client.read_response().status for _ in range(10)] == [200] * 10


def test_a_client_that_does_not_read_its_answers_may_ask_no_more(ticked: TickedServer) -> None:
    """Ten thousand questions in one go: the answers that wait stay few, and all come once they are read."""
    with RawSocket(ticked.port) as client:
        for _ in range(100):
            client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        for _ in range(10_000):
            assert client.read_response().status == 200
