"""Commands that speak with a server end with a reason and without a traceback, whatever the server does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundpost.wire import messages
from soundpost.wire.frames import CONTINUATION, PING, TEXT, encode_frame
from soundpost.wire.handshake import accept
from support.cli_process import Shell, shell
from support.command_line import CommandLine, command_line
from support.misbehaving_server import Behaviour, MisbehavingServer, misbehaving

__all__ = ["command_line"]

APP = ("--app-id", "1", "--key", "k", "--secret", "s")
COMMANDS = {
    "trigger": ("trigger", "orders", "shipped", *APP),
    "listen": ("listen", "orders", "--key", "k"),
    "doctor": ("doctor", *APP),
    "webhooks": ("webhooks", "test", "--event", "user_online", *APP),
    "bench": ("bench", "--i-own-this-server", "--connections", "1", "--duration", "1", *APP),
}
DEEP = b"[" * 5000


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def answering_raw(reply: bytes) -> Behaviour:
    def behave(connection: socket.socket, server: MisbehavingServer) -> None:
        if server.read_request(connection):
            connection.sendall(reply)

    return behave


def speaking(*parts: bytes, again: bytes = b"") -> Behaviour:
    """Accept a WebSocket and send these, the last part over and over; requests of the API are answered well."""

    def behave(connection: socket.socket, server: MisbehavingServer) -> None:
        while server.read_request(connection):
            head = server.requests[-1]
            if b"Upgrade: websocket" not in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                continue
            lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line]
            connection.sendall(accept(b"GET", "1.1", {name.lower(): value for name, value in lines}) + b"".join(parts))
            while again and not server.over.is_set():
                connection.sendall(again)
            server.over.wait(30)
            return

    return behave


def text(payload: bytes) -> bytes:
    return encode_frame(TEXT, payload)


HELLO = messages.connection_established("1.1", 30)
assert encode_frame(CONTINUATION, b"")[0] == 0x80

SERVERS = {
    "nested deeply": answering_raw(b"HTTP/1.1 400 No\r\nContent-Length: 5000\r\n\r\n" + DEEP),
    "a success nested deeply": answering_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + DEEP),
    "a length that is none": answering_raw(b"HTTP/1.1 400 No\r\nContent-Length: \xb2\r\n\r\n{}"),
    "a status that is none": answering_raw(b"HTTP/1.1 \xb2\xb2\xb2 No\r\n\r\n"),
    "a long length": answering_raw(b"HTTP/1.1 400 No\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"),
    "a chunk that is none": answering_raw(b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n"),
    "a page of titles": answering_raw(b"HTTP/1.1 404 No\r\nContent-Length: 65534\r\n\r\n" + b"<title>" * 9362),
    "a date of another age": answering_raw(
        b"HTTP/1.1 401 No\r\nDate: Mon, 01 Jan 0001 00:00:00 -0000\r\nContent-Length: 0\r\n\r\n"
    ),
    "a far server time": answering_raw(
        b"HTTP/1.1 401 No\r\nContent-Length: 5032\r\n\r\n" + b"Timestamp: server time (" + b"9" * 5000 + b")       "
    ),
    "a hello nested deeply": speaking(text(DEEP)),
    "a hello without an end": speaking(b"\x01\x00", again=b"\x00\x00" * 30_000),
    "a hello over the limit": speaking(b"\x81\x7f\x00\x00\x00\x00\x40\x00\x00\x00", again=b"x" * 65_536),
    "reserved bits": speaking(HELLO, b"\xf1\x00"),
    "a code of many digits": speaking(text(b'{"event":"pusher:error","data":{"code":' + b"9" * 4000 + b"}}")),
    "an activity timeout of many digits": speaking(
        text(
            b'{"event":"pusher:connection_established","data":{"socket_id":"1.1","activity_timeout":'
            + b"9" * 4000
            + b"}}"
        ),
        text(b'{"event":"pusher:error","data":{"code":4301,"message":' + DEEP[:300] + b"]" * 300 + b"}}"),
    ),
    "pings without an end": speaking(HELLO, again=encode_frame(PING, b"x" * 125) * 500),
    "other events without an end": speaking(HELLO, again=text(b'{"event":"a","channel":"b","data":{}}') * 100),
}


NEVER_ENDING = ("reserved bits", "pings without an end")
"""Servers that are connected to anew, again and again."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tools.doctor.timeouts.ANSWER", "tools.doctor.timeouts.CONNECT", "client.session.ANSWER_TIMEOUT"):
        monkeypatch.setattr(f"soundpost.{name}", 0.5)
    monkeypatch.setattr("soundpost.client.pusher_socket.ANSWER_TIMEOUT", 0.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("command", "name"),
    [
        (command, name)
        for command in ("trigger", "listen", "doctor", "webhooks")
        for name in SERVERS
        if command != "listen" or name not in NEVER_ENDING  # it listens until it is told to end
    ],
)
def test_a_command_ends_with_a_reason(command_line: CommandLine, command: str, name: str) -> None:
    with misbehaving(SERVERS[name]) as server:
        done = command_line.run(*COMMANDS[command], "--url", f"http://127.0.0.1:{server.port}")
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in (0, 1)
    if command not in ("trigger", "webhooks"):  # which take any answer with 200
        assert done.exit_code == 1


@pytest.mark.parametrize("name", ["nested deeply", "reserved bits", "a hello without an end", "pings without an end"])
def test_a_run_of_bench_ends_with_a_reason(sh: Shell, name: str) -> None:
    with misbehaving(SERVERS[name]) as server:
        process = sh.start(*COMMANDS["bench"], "--url", f"http://127.0.0.1:{server.port}")
        assert process.popen.wait(60) == 1
    assert not [line for line in process.rest_of_err() if "Traceback" in line]
