"""Nothing that somebody else wrote reaches a terminal as a command, whichever command of ours prints it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from support.cli_process import Shell, shell
from support.misbehaving_server import MisbehavingServer, answer, answering, misbehaving

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2066\r\x00\x7f\u2028"
COMMANDS = set("\x1b\x07\x9b\u202e\u2066\r\x00\x7f\u2028")
APP = ("--app-id", "1", "--key", "k", "--secret", "s")


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def check(done: Any) -> None:
    for text in (done.stdout, done.stderr):
        assert not COMMANDS & set(text), repr(text)


@contextmanager
def websocket_server(*frames: dict[str, Any], then_close: str = "") -> Iterator[int]:
    """Sends these, whatever it is told, and closes with this reason."""
    ports: list[int] = []
    listening, over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def handle(socket: ServerConnection) -> None:
        await socket.send(json.dumps(frames[0]))
        async for _ in socket:
            for frame in frames[1:]:
                await socket.send(json.dumps(frame))
            if then_close:
                await socket.close(4001, then_close)

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        async with serve(handle, "127.0.0.1", 0) as server:
            ports.append(next(iter(server.sockets)).getsockname()[1])
            listening.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    listening.wait(10)
    try:
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join()


HELLO = {"event": "pusher:connection_established", "data": {"socket_id": "1.1", "activity_timeout": 30}}
JOINED = {
    "event": "pusher_internal:subscription_succeeded",
    "channel": "presence-x",
    "data": {"presence": {"hash": {HOSTILE: {}}}},
}
EVENTS = (
    {"event": HOSTILE, "channel": "presence-x", "data": HOSTILE, "user_id": HOSTILE},
    {"event": "client-x", "channel": "presence-x", "data": {HOSTILE: [HOSTILE]}},
)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_listen_prints_events(sh: Shell, options: tuple[str, ...]) -> None:
    with websocket_server(HELLO, JOINED, *EVENTS) as port:
        done = sh.run("listen", "presence-x", "--count", "2", "--url", f"http://127.0.0.1:{port}", *APP[2:], *options)
    assert done.returncode == 0
    check(done)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    if options:
        first, second = map(json.loads, lines)
        assert (first["event"], first["data"], first["user_id"]) == (HOSTILE, HOSTILE, HOSTILE), "it means the same"
        assert second["data"] == {HOSTILE: [HOSTILE]}
    else:
        assert "\\u001b]0;owned\\u0007" in lines[0]


@pytest.mark.parametrize(
    "frames",
    [
        ({"event": "pusher:error", "data": {"code": 4001, "message": HOSTILE}},),
        ({"event": "pusher:connection_established", "data": {"socket_id": HOSTILE}}, JOINED),
        (HELLO, {"event": "pusher:subscription_error", "channel": "presence-x", "data": {"error": HOSTILE}}),
        (HELLO, {"event": "pusher:error", "data": {"code": 4009, "message": HOSTILE}}),
    ],
    ids=["refused", "socket id", "subscription refused", "an error"],
)
@pytest.mark.parametrize("command", ["listen", "doctor"])
def test_a_refusal_is_printed(sh: Shell, command: str, frames: tuple[dict[str, Any], ...]) -> None:
    with websocket_server(*frames, then_close="x\x1b[2J\u202e") as port:
        address = ("--url", f"http://127.0.0.1:{port}")
        given = ("presence-x", *APP[2:]) if command == "listen" else ("--key", "k")
        done = sh.run(command, *given, *address)
    assert done.returncode == 1
    check(done)


ANSWERS = {
    "a reason": answer(400, json.dumps({"error": HOSTILE}).encode()),
    "raw": answer(500, HOSTILE.encode()),
    "latin-1": answer(500, b"\x9b31m\x1b[2J"),
    "a page": answer(404, f"<html><title>{HOSTILE}</title>".encode(), "Content-Type: text/html", "Server: a\x9bb"),
    "a redirection": answer(301, b"", "Location: http://\x9b31m\x85/"),
    "no http": HOSTILE.encode(),
}


@pytest.mark.parametrize("reply", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("command", ["trigger", "listen", "doctor", "doctor --json"])
def test_an_answer_is_printed(sh: Shell, command: str, reply: bytes) -> None:
    def once(connection: Any, server: MisbehavingServer) -> None:
        answering(reply, close=True)(connection, server)

    with misbehaving(once) as server:
        address = ("--url", f"http://127.0.0.1:{server.port}")
        given = {"trigger": ("orders", "shipped", *APP), "listen": ("orders", "--key", "k")}.get(command, APP)
        done = sh.run(*command.split(), *given, *address)
    assert done.returncode == 1
    check(done)


def test_what_was_typed_is_printed(sh: Shell) -> None:
    with misbehaving(answering(answer(200))) as server:
        done = sh.run("trigger", "orders", HOSTILE.replace("\0", ""), *APP, "--url", f"http://127.0.0.1:{server.port}")
    assert done.stdout.startswith("Published \\u001b]0;owned\\u0007")
    check(done)
