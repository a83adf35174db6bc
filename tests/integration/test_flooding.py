"""Control frames, tiny fragments and malformed messages are counted, and who sends little else is closed with 4100."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from integration.test_limits import app
from soundpost.core.app_settings import RateLimiting
from soundpost.core.flooding import MAX_JUNK, SMALL_FRAGMENT
from soundpost.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, parse_close
from support.harness import DEFAULT_APP, RawSocket, client_frame
from support.ticked_server import TickedServer, ticked_server

JUNK = {
    "pings": client_frame(PING, b"x"),
    "pongs": client_frame(PONG),
    "no JSON": client_frame(TEXT, b"1"),
    "no object": client_frame(TEXT, b"[]"),
    "no event": client_frame(TEXT, b"{}"),
    "an unknown event": client_frame(TEXT, b'{"event":"pusher:nothing"}'),
    "a subscription to nothing": client_frame(TEXT, b'{"event":"pusher:subscribe","data":{}}'),
}


@pytest.fixture
def ticked() -> Iterator[TickedServer]:
    with ticked_server() as server:
        yield server


def last_words(client: RawSocket) -> tuple[int, str]:
    """Code and reason of the close frame. The socket may stay open until seconds have passed."""
    opcode, payload = client.read_frame()
    while opcode != CLOSE:
        opcode, payload = client.read_frame()
    return parse_close(payload)


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_a_client_that_sends_junk_without_end_is_closed_with_4100(junk: bytes) -> None:
    with ticked_server() as ticked, ticked.connect() as client:
        client.send(junk * (MAX_JUNK + 200))

        assert last_words(client)[0] == 4100
        ticked.until(lambda: not ticked.server.node.by_id["1"].connections)


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_as_much_as_is_allowed_does_no_harm(junk: bytes) -> None:
    with ticked_server() as ticked, ticked.connect() as client:
        client.send(junk * MAX_JUNK)
        client.send_event("pusher:subscribe", {"channel": "room"})

        ticked.until(lambda: ticked.subscribers("room") == 1)


@pytest.mark.parametrize("payload", [b"", b"x" * (SMALL_FRAGMENT - 1)])
def test_tiny_fragments_without_end_are_closed_for(payload: bytes) -> None:
    with ticked_server(app(max_message_size=1_000_000)) as ticked, ticked.connect() as client:
        client.send(client_frame(TEXT, b"", fin=False))
        client.send(client_frame(CONTINUATION, payload, fin=False) * (MAX_JUNK + 200))

        assert last_words(client)[0] == 4100


def test_a_large_message_in_many_fragments_is_taken() -> None:
    with ticked_server(app(max_message_size=1_000_000)) as ticked, ticked.connect() as client:
        message = json.dumps({"event": "pusher:ping", "data": "x" * 60_000}).encode()
        parts = [message[at : at + 32] for at in range(0, len(message), 32)]
        client.send(client_frame(TEXT, b"", fin=False))
        for part in parts:
            client.send(client_frame(CONTINUATION, part, fin=False))
        client.send(client_frame(CONTINUATION, b""))

        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize(
    "frames",
    [
        client_frame(PING),
        client_frame(PONG),
        client_frame(CONTINUATION, fin=False),
        client_frame(TEXT, b'{"event":"pusher:ping"}'.ljust(17_000)),
    ],
    ids=["ping", "pong", "fragment", "oversized"],
)
def test_control_frames_and_fragments_count_against_the_apps_rate_limit(frames: bytes) -> None:
    limit = RateLimiting(enabled=True, max_attempts=5, terminate_on_limit=True)
    with ticked_server(app(rate_limiting=limit)) as ticked, ticked.connect() as client:
        if frames[0] & 0x0F == CONTINUATION:
            client.send(client_frame(TEXT, b"", fin=False))
        client.send(frames * 20)

        assert last_words(client) == (4100, "Rate limit exceeded")


def test_what_follows_a_close_frame_of_ours_is_not_acted_on(ticked: TickedServer) -> None:
    with ticked.connect() as client:
        subscribe = client_frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"room"}}')
        client.send(client_frame(BINARY, b"x") + subscribe * 1_000)

        assert last_words(client)[0] == 1003
        assert ticked.subscribers("room") == 0


def test_a_client_is_told_why_though_it_goes_on_sending(ticked: TickedServer) -> None:
    """The socket is not reset while the client still writes: that would lose the close frame on its way."""
    with ticked.connect() as client:
        client.send(client_frame(PING, b"x" * 125) * 20_000)

        assert last_words(client)[0] == 4100
        ticked.tick(ticked.server.settings.close_timeout)
        ticked.until(lambda: ticked.server.open_websockets == 0)


def test_floods_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with ticked_server() as ticked:
        for _ in range(3):
            with ticked.connect() as client:
                client.send(client_frame(PONG) * (MAX_JUNK + 200))
                last_words(client)

    assert len([record for record in caplog.records if "control frames" in record.getMessage()]) == 1
    assert DEFAULT_APP.secret not in caplog.text
