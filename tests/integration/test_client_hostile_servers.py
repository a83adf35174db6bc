"""Whatever a server sends, the client's session goes on, or the client connects anew."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from integration.test_client_connection import Peer, impatient, next_event, server
from soundpost.client import Client, from_endpoint
from soundpost.errors import ConfigurationError, RequestError, SubscriptionError
from soundpost.wire.frames import CONTINUATION, PING, TEXT, encode_frame
from support.raw_socket import TIMEOUT

__all__ = ["impatient"]

DEEP = "[" * 5000
NESTED = "[" * 300 + "]" * 300
HUGE = "9" * 5000


def message(event: str, data: str, channel: str = '"presence-x"') -> str:
    return f'{{"event":{json.dumps(event)},"channel":{channel},"data":{data}}}'


MEANINGLESS = {
    "nested deeply": DEEP,
    "an event nested deeply": f'{{"event":{DEEP}',
    "data nested deeply": message("shipped", DEEP),
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "no event": "{}",
    "a number for an event": '{"event":7}',
    "a size of its own": '{"event":"a","soundpost:size":"x"}',
    "bytes": b"\xff\xfe\x00",
    "half a character": '{"event":"a","data":"\\ud800"}',
    "members of the wrong kind": message("pusher_internal:subscription_succeeded", '{"presence":{"hash":7}}'),
    "members nested": message("pusher_internal:subscription_succeeded", json.dumps('{"presence":' + NESTED + "}")),
    "members nested deeply": message("pusher_internal:subscription_succeeded", json.dumps(DEEP)),
    "a member nested": message("pusher_internal:member_added", f'{{"user_id":{NESTED}}}'),
    "a member with a huge number": message("pusher_internal:member_added", f'{{"user_id":{HUGE}}}'),
    "a member who was never there": message("pusher_internal:member_removed", '{"user_id":[]}'),
    "another channel accepted": message("pusher_internal:subscription_succeeded", "{}", '"other"'),
    "another channel's event": message("shipped", "1", '"other"'),
    "a sign-in nobody asked for": message("pusher:signin_success", '{"user_data":"{\\"id\\":\\"7\\"}"}', "null"),
    "a pong": message("pusher:pong", DEEP[:100], "null"),
}


@pytest.mark.parametrize("text", MEANINGLESS.values(), ids=MEANINGLESS)
async def test_a_message_without_meaning_ends_nothing(text: str | bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        for _ in range(3):
            await peer.socket.send(text)
        await peer.say("shipped", "1", "presence-x")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        subscription = await client.subscribe("presence-x")
        while (event := await subscription.next(timeout=TIMEOUT)).name != "shipped":
            assert event.is_protocol
        assert client.socket_id == "1.1", "it is the first connection still"
        assert client.user is None


NO_ERRORS = {
    "a code nested": f'{{"code":{NESTED},"message":"no"}}',
    "a huge code": f'{{"code":{HUGE},"message":"no"}}',
    "a message nested": f'{{"code":4301,"message":{NESTED}}}',
    "a channel's name": '{"code":null,"message":"presence-x"}',
    "no object": '"no"',
}


@pytest.mark.parametrize("event", ["pusher:error", "pusher:subscription_error"])
@pytest.mark.parametrize("data", NO_ERRORS.values(), ids=NO_ERRORS)
async def test_an_error_about_nothing_ends_nothing(event: str, data: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        await peer.socket.send(message(event, data, '"other"'))
        await peer.say("shipped", "1", "presence-x")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        subscription = await client.subscribe("presence-x")
        assert (await subscription.next(timeout=TIMEOUT)).name == "shipped"


async def test_messages_without_meaning_are_logged_and_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        for _ in range(1000):
            await peer.socket.send("\x1b]0;owned\x07" + DEEP)
        await peer.say("end")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        assert (await next_event(client)).name == "end"
    (line,) = [record for record in caplog.records if record.name == "soundpost.client"]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("no message of the Pusher protocol, left out:  ]0;owned [[[[")
    assert line.getMessage().isprintable()


EMPTY_FRAGMENT = b"\x00\x00"
assert encode_frame(CONTINUATION, b"")[:1] == b"\x80"

FORBIDDEN = {
    "reserved bits": (b"\xf1\x00", 1002),
    "an unknown opcode": (b"\x83\x00", 1002),
    "a masked frame": (b"\x81\x80\0\0\0\0", 1002),
    "a long ping": (b"\x89\x7e\x01\x00" + b"x" * 256, 1002),
    "no text": (encode_frame(TEXT, b"\xff"), 1007),
    "a continuation of nothing": (encode_frame(CONTINUATION, b""), 1002),
    "a close code that is none": (b"\x88\x02\x00\x01", 1002),
    "a message over the limit": (encode_frame(TEXT, b"x" * 100_001), 1009),
    "a frame said to be over the limit": (b"\x81\x7f\x00\x00\x00\x10\x00\x00\x00\x00", 1009),
    "fragments over the limit": (b"\x01\x7d" + b"x" * 125 + (b"\x00\x7d" + b"x" * 125) * 1000, 1009),
    "fragments without an end": (b"\x01\x00" + EMPTY_FRAGMENT * 400_000, None),
    "http": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100 + b"\r\n\r\n", 1002),
}


@pytest.mark.parametrize(("raw", "code"), FORBIDDEN.values(), ids=FORBIDDEN)
async def test_what_a_server_must_not_send_ends_the_socket_and_not_the_client(raw: bytes, code: int | None) -> None:
    async def forbidden(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        peer.socket.transport.write(raw)
        await peer.socket.wait_closed()

    async def well_behaved(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        await peer.say("shipped", "1", "orders")
        await peer.socket.wait_closed()

    said: list[str] = []
    async with (
        server(forbidden, well_behaved) as url,
        Client(url, "key", max_message_size=100_000, on_status=said.append) as client,
    ):
        subscription = await client.subscribe("orders")
        assert (await subscription.next(timeout=TIMEOUT)).name == "shipped"
        assert client.socket_id == "2.1"
    assert said[-1] == "connected again"
    if code is not None:
        assert f"connection lost ({code} " in said[0]
    if code == 1009:
        assert "more than max_message_size, 100,000 bytes" in said[0]


async def test_a_server_that_asks_and_does_not_read_is_left() -> None:
    """Its pings are not answered into a buffer without an end."""

    async def ask(peer: Peer) -> None:
        await peer.hello()
        peer.socket.transport.pause_reading()
        while not peer.socket.transport.is_closing():
            peer.socket.transport.write(encode_frame(PING, b"x" * 125) * 500)
            await asyncio.sleep(0)

    async def greet(peer: Peer) -> None:
        await peer.hello()
        await peer.say("end")
        await peer.socket.wait_closed()

    said: list[str] = []
    async with server(ask, greet) as url, Client(url, "key", on_status=said.append) as client:
        async with asyncio.timeout(60):
            assert (await anext(client)).name == "end"
    assert "does not read" in said[0] or "connection lost (1006" in said[0]


HELLOS = {
    "nested deeply": DEEP,
    "no socket id": message("pusher:connection_established", "{}"),
    "a socket id nested": message("pusher:connection_established", f'{{"socket_id":{NESTED}}}'),
    "a socket id that is not text": message("pusher:connection_established", '{"socket_id":7}'),
    "a socket id that holds a name": message("pusher:connection_established", '{"socket_id":"1.1:presence-x:{}"}'),
    "a refusal nested": message("pusher:error", f'{{"code":{NESTED},"message":{NESTED}}}'),
    "a refusal with a huge code": message("pusher:error", f'{{"code":{HUGE}}}'),
    "an event": message("shipped", "{}"),
}


@pytest.mark.parametrize("hello", HELLOS.values(), ids=HELLOS)
async def test_a_hello_that_is_none_is_an_error_at_first_and_tried_again_later(
    hello: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundpost.client.pusher_socket.ANSWER_TIMEOUT", 0.3)

    async def lie(peer: Peer) -> None:
        await peer.socket.send(hello)
        await peer.socket.wait_closed()

    async def lose(peer: Peer) -> None:
        await peer.hello()
        await peer.socket.close(1011)

    async def greet(peer: Peer) -> None:
        await peer.hello()
        await peer.say("end")
        await peer.socket.wait_closed()

    async with server(lie) as url:
        with pytest.raises((RequestError, Exception), match=r"127\.0\.0\.1|close code"):
            await Client(url, "key").__aenter__()
    async with server(lose, lie, lie, greet) as url, Client(url, "key") as client:
        assert (await next_event(client)).name == "end"


@pytest.mark.parametrize("told", [1e-9, 1, 10**400, -5, True, "x", None, [1]], ids=repr)
async def test_any_activity_timeout_is_survived(told: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.say("pusher:connection_established", {"socket_id": "1.1", "activity_timeout": told})
        await peer.say("end")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        assert (await next_event(client)).name == "end"


ANSWERS = {
    "no http": b"SSH-2.0-OpenSSH\r\n",
    "no status": b"HTTP/1.1 x\r\n\r\n",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[::bad\r\n\r\n",
    "a redirect to no number": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:x/\r\n\r\n",
    "a redirect to a name": b"HTTP/1.1 302 Found\r\nLocation: ws://" + b"a" * 70 + b"/\r\n\r\n",
    "a redirect to another protocol": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
    "two redirects": b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\n\r\n",
    "two lengths": b"HTTP/1.1 404 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "no length": b"HTTP/1.1 404 No\r\nContent-Length: -5\r\n\r\n",
    "nested deeply": b"HTTP/1.1 403 No\r\nContent-Length: 5000\r\n\r\n" + b"[" * 5000,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "a page of titles": b"HTTP/1.1 404 No\r\nContent-Length: 700000\r\n\r\n" + b"<title>" * 100_000,
    "an accepted key that is none": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_is_no_websocket_is_an_error_that_names_the_address(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        with pytest.raises(RequestError, match=f"127.0.0.1:{port}") as caught:
            await Client(f"http://127.0.0.1:{port}", "key").__aenter__()
    assert str(caught.value).isprintable()


APPLICATION = {
    "nested deeply": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"[" * 5000,
    "a refusal nested deeply": b"HTTP/1.1 403 No\r\nContent-Length: 5000\r\n\r\n" + b"[" * 5000,
    "without an end": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 2_000_000,
}


@pytest.mark.parametrize("answer", APPLICATION.values(), ids=APPLICATION)
async def test_an_application_that_answers_so_refuses_a_channel_and_ends_nothing(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()

    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        await peer.socket.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    auth = from_endpoint(f"http://127.0.0.1:{port}/auth")
    try:
        async with server(script) as url, Client(url, "key", auth=auth) as client:
            with pytest.raises(SubscriptionError, match=f"127.0.0.1:{port}"):
                await client.subscribe("private-x")
            await client.subscribe("orders")
    finally:
        listening.close()  # without waiting for connections, which Python 3.12 would do for ever


@pytest.mark.parametrize("size", [0, -1])
def test_a_limit_that_is_none_is_refused(size: int) -> None:
    with pytest.raises(ConfigurationError, match=f"max_message_size {size}: expected a number of bytes, 1 or more"):
        Client("http://127.0.0.1", "key", max_message_size=size)
