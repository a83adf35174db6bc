"""Silent clients over real sockets; the seconds are ticked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec
import pytest

from soundpost.wire.frames import CLOSE, PING, PONG, TEXT, parse_close
from soundpost.wire.signatures import channel_text, sign
from support.harness import DEFAULT_APP, RawSocket, client_frame, signed_request
from support.ticked_server import TickedServer, ticked_server

PUSHER_PING = {"event": "pusher:ping", "data": "{}"}
PUSHER_PONG = {"event": "pusher:pong", "data": "{}"}
GIVEN_UP = {"event": "pusher:error", "data": {"code": 4201, "message": "Pong reply not received in time"}}


@pytest.fixture
def ticked() -> Iterator[TickedServer]:
    with ticked_server() as server:
        yield server


def assert_given_up(client: RawSocket) -> None:
    assert client.read_event() == GIVEN_UP
    opcode, payload = client.read_frame()
    assert opcode == CLOSE
    assert parse_close(payload) == (4201, "Pong reply not received in time")


@pytest.mark.parametrize("subscribed", [False, True])
def test_a_silent_client_is_pinged_then_closed_with_4201(ticked: TickedServer, subscribed: bool) -> None:
    with ticked.connect() as client:
        if subscribed:
            client.subscribe("room")

        ticked.tick(30)
        assert client.read_event() == PUSHER_PING
        ticked.tick(29)
        assert ticked.run(lambda: len(ticked.server.node.by_id["1"].connections)) == 1
        ticked.tick(1)
        assert_given_up(client)

        assert ticked.run(lambda: ticked.server.node.by_id["1"].connections) == {}
        assert ticked.run(lambda: ticked.subscribers("room")) == 0


def test_a_dead_clients_socket_is_dropped_without_its_close_frame(ticked: TickedServer) -> None:
    with ticked.connect():
        ticked.tick(60)
        assert ticked.server.open_websockets == 1
        ticked.tick(ticked.server.settings.close_timeout)

        ticked.until(lambda: ticked.server.open_websockets == ticked.server.open_sockets == 0)


def test_five_idle_clients_are_all_pinged_and_all_given_up(ticked: TickedServer) -> None:
    clients = [ticked.connect() for _ in range(5)]

    ticked.tick(30)
    assert [client.read_event() for client in clients] == [PUSHER_PING] * 5
    ticked.tick(30)
    for client in clients:
        assert_given_up(client)
        client.socket.close()


def send_ping_message(client: RawSocket) -> None:
    client.send_event("pusher:ping", {})
    assert client.read_event() == PUSHER_PONG


def send_pong_message(client: RawSocket) -> None:
    client.send_event("pusher:pong", {})
    send_ping_message(client)


def send_any_message(client: RawSocket) -> None:
    client.subscribe("room")


def send_nonsense(client: RawSocket) -> None:
    client.send_frame(TEXT, b"Hi")
    assert client.read_event()["event"] == "pusher:error"


@pytest.mark.parametrize("sign_of_life", [send_ping_message, send_pong_message, send_any_message, send_nonsense])
def test_whatever_a_client_sends_is_a_sign_of_life(
    ticked: TickedServer, sign_of_life: Callable[[RawSocket], None]
) -> None:
    with ticked.connect() as client:
        for _ in range(6):
            ticked.tick(29)
            sign_of_life(client)
        ticked.tick(30)
        assert client.read_event() == PUSHER_PING
        sign_of_life(client)
        ticked.tick(30)
        assert client.read_event() == PUSHER_PING


def test_a_websocket_ping_is_a_sign_of_life_and_is_answered(ticked: TickedServer) -> None:
    with ticked.connect() as client:
        for _ in range(4):
            ticked.tick(29)
            client.send_frame(PING, b"hello")
            assert client.read_frame() == (PONG, b"hello")


def test_bytes_of_an_unfinished_frame_are_a_sign_of_life(ticked: TickedServer) -> None:
    with ticked.connect() as client:
        ticked.tick(29)
        frame = client_frame(TEXT, b'{"event":"pusher:ping"}')
        connection = ticked.run(lambda: next(iter(ticked.server.node.by_id["1"].connections.values())))
        client.send(frame[:3])
        ticked.until(lambda: connection.last_seen == 29)  # type: ignore[attr-defined]
        ticked.tick(29)
        client.send(frame[3:])
        assert client.read_event() == PUSHER_PONG


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_clients_that_use_websocket_pings_are_asked_by_one(ticked: TickedServer, opcode: int) -> None:
    with ticked.connect() as client:
        client.send_frame(opcode, b"")
        if opcode == PING:
            assert client.read_frame() == (PONG, b"")
        send_ping_message(client)

        ticked.tick(30)
        assert client.read_frame() == (PING, b"")
        client.send_frame(PONG, b"")
        send_ping_message(client)
        ticked.tick(30)
        assert client.read_frame() == (PING, b"")


def test_what_the_server_sends_is_no_sign_of_life(ticked: TickedServer) -> None:
    with ticked.connect() as client:
        client.subscribe("room")
        for number in range(30):
            ticked.tick(1)
            ticked.publish("room", str(number))

        events = [client.read_event()["event"] for _ in range(31)]

        assert sorted(events, key=str) == sorted([*map(str, range(30)), "pusher:ping"])


def test_the_apps_own_times_are_used() -> None:
    app = msgspec.structs.replace(DEFAULT_APP, activity_timeout=300, ping_interval=200)
    with ticked_server(app) as ticked, ticked.connect() as client:
        ticked.tick(200)
        assert client.read_event() == PUSHER_PING
        ticked.tick(30)
        assert_given_up(client)


def test_others_are_told_that_a_dead_member_is_gone(ticked: TickedServer) -> None:
    def join(client: RawSocket, user: str) -> None:
        data = json.dumps({"user_id": user})
        signature = sign(DEFAULT_APP.secret, channel_text(client.socket_id, "presence-room", data))
        client.send_event(
            "pusher:subscribe",
            {"channel": "presence-room", "auth": f"{DEFAULT_APP.key}:{signature}", "channel_data": data},
        )
        assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"

    with ticked.connect() as alive, ticked.connect() as dead:
        join(alive, "1")
        join(dead, "2")
        assert alive.read_event()["event"] == "pusher_internal:member_added"
        heard = []
        for _ in range(4):
            ticked.tick(15)
            alive.send_event("pusher:ping")
            while (event := alive.read_event()) != PUSHER_PONG:
                heard.append(event)
        alive.send_event("pusher:ping")
        while (event := alive.read_event()) != PUSHER_PONG:
            heard.append(event)

        assert heard == [
            {"event": "pusher_internal:member_removed", "data": '{"user_id":"2"}', "channel": "presence-room"}
        ]


def test_a_server_that_was_stopped_does_not_hold_the_lost_time_against_its_clients(ticked: TickedServer) -> None:
    """After a pause of the process, or of its machine, what clients sent meanwhile is still to be read."""
    with ticked.connect() as client:
        ticked.tick(29)
        before = ticked.server.wheel.now

        ticked.run(lambda: ticked.server._tick(ticked.server.loop.time() - 3600))

        assert ticked.server.wheel.now == before + 1
        assert client.read_event() == PUSHER_PING


# HTTP connections


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GET /up HTTP/1.1\r\nHost: x\r\n",
        b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
        b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n",
    ],
)
def test_a_request_that_is_never_finished_is_closed_with_408(ticked: TickedServer, start: bytes) -> None:
    with RawSocket(ticked.port) as client:
        ticked.until(lambda: ticked.server.open_sockets == 1)
        if start:
            client.send(start)

        ticked.tick(10)
        assert client.read_response().status == 408
        ticked.tick(5)
        assert client.read_rest() == b""
        ticked.until(lambda: ticked.server.open_sockets == 0)


def test_a_request_that_comes_in_drips_has_no_more_time(ticked: TickedServer) -> None:
    request = signed_request("POST", "/events", b'{"name":"e","channel":"a","data":"x"}')
    with RawSocket(ticked.port) as client:
        ticked.until(lambda: ticked.server.open_sockets == 1)
        for second in range(10):
            client.send(request[second : second + 1])
            ticked.tick(1)

        assert client.read_response().status == 408


def test_an_idle_keep_alive_connection_is_closed_in_the_end(ticked: TickedServer) -> None:
    with RawSocket(ticked.port) as client:
        for _ in range(3):
            client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.read_response().status == 200
            ticked.tick(60)
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response().status == 200

        ticked.tick(90)

        assert client.read_rest() == b""
        ticked.until(lambda: ticked.server.open_sockets == 0)


def test_a_second_request_on_a_connection_must_be_finished_in_time_too(ticked: TickedServer) -> None:
    with RawSocket(ticked.port) as client:
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response().status == 200
        ticked.tick(50)
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\nGET /up HTTP")
        assert client.read_response().status == 200

        ticked.tick(20)

        assert client.read_response().status == 408


def test_a_client_that_does_not_close_after_the_last_answer_is_dropped(ticked: TickedServer) -> None:
    with RawSocket(ticked.port) as client:
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.read_response().status == 200
        assert ticked.server.open_sockets == 1

        ticked.tick(5)

        ticked.until(lambda: ticked.server.open_sockets == 0)
