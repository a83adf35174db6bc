"""What operators ask of a running server: real clients, one process and workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.inspection import (
    CloseConnection,
    ListChannels,
    ListConnections,
    ListRefusals,
    RefusalLine,
    StartTail,
    TailLine,
    TailLines,
)
from soundpost.server.inspection.inspector import Inspector
from soundpost.server.processes.daemon import Daemon
from soundpost.server.processes.single_process import SingleProcess
from soundpost.server.processes.workers import Workers
from support.harness import TIMEOUT, RawSocket, http_request, signed_request, upgrade_request

APP = AppSettings(id="1", key="app-key", secret="app-secret", allowed_origins=("good.example",))
SETTINGS = Settings(server=ServerSettings(host="127.0.0.1", port=0, shutdown_timeout=1), apps=(APP,))
PAGE = {"Origin": "https://good.example"}


@pytest.fixture(params=["single", "workers"])
async def daemon(request: pytest.FixtureRequest) -> AsyncIterator[Daemon]:
    started: Daemon = (
        SingleProcess(SETTINGS, playground=False, debug=False)
        if request.param == "single"
        else Workers(SETTINGS, 2, playground=False, debug=False)
    )
    await started.start()
    yield started
    await started.stop()


def connect(port: int, stack: ExitStack) -> RawSocket:
    """Return a client as pusher-js in a page of the app."""
    client = stack.enter_context(RawSocket(port))
    client.handshake("/app/app-key?protocol=7&client=js&version=8.4.0", **PAGE)
    client.read_event()
    return client


def refused(port: int, target: str, **headers: str) -> int:
    """Return the code with which a client is refused."""
    with RawSocket(port) as client:
        client.handshake(target, **headers)
        return client.read_close_code()


async def refusals(inspector: Inspector) -> dict[tuple[str, int], RefusalLine]:
    """Return the last refusal of each kind and code."""
    lines = (await inspector.ask(ListRefusals())).reply.refusals
    return {(line.kind, line.code): line for line in reversed(lines)}


async def test_operators_see_who_is_connected_what_happens_and_who_is_refused(daemon: Daemon) -> None:
    inspector, port = daemon.inspector, daemon.port
    with ExitStack() as stack:
        clients = [await asyncio.to_thread(connect, port, stack) for _ in range(4)]
        for client in clients:
            await asyncio.to_thread(client.subscribe, "room")

        lines = (await inspector.ask(ListConnections(app_id="1"))).reply.connections
        assert {(line.client, line.origin, line.address) for line in lines} == {
            ("js 8.4.0", "https://good.example", "127.0.0.1")
        }
        assert all(abs(line.since - time.time()) < TIMEOUT for line in lines)
        names = (
            {inspector.name}
            if isinstance(daemon, SingleProcess)
            else {f"{inspector.name} worker {number}" for number in (1, 2)}
        )
        assert {line.worker for line in lines} <= names
        for search, count in (("127.0.0", 4), ("8.4.0", 4), ("GOOD.example", 4), ("127.0.0.9", 0)):
            assert (await inspector.ask(ListConnections(app_id="1", search=search))).reply.total == count
        (channel,) = (await inspector.ask(ListChannels(app_id="1"))).reply.channels
        assert (channel.name, channel.subscribers) == ("room", 4)

        shown: asyncio.Queue[TailLine] = asyncio.Queue()

        def show(lines: TailLines) -> None:
            for line in lines.lines:
                shown.put_nowait(line)

        end = inspector.tail(StartTail(app_id="1", channel="room"), show)
        body = b'{"name":"e","channels":["room"],"data":"hello"}'
        answer = await asyncio.to_thread(http_request, port, signed_request("POST", "/events", body, app=APP))
        assert answer.status == 200
        told = 0
        async with asyncio.timeout(TIMEOUT):
            while told < 4:
                line = await shown.get()
                assert line.worker in names
                assert (line.channel, line.event, line.data) == ("room", "e", "hello")
                told += line.recipients or 0
        end()

        order = CloseConnection(app_id="1", socket_id=lines[0].socket_id)
        assert (await inspector.ask(order)).reply.found
        assert not (await inspector.ask(CloseConnection(app_id="1", socket_id="1.2"))).reply.found

    wrong = AppSettings(id="1", key="app-key", secret="another-secret")
    attempts = [
        (refused, port, "/app/app-key?protocol=7"),
        (refused, port, "/app/wrong-key?protocol=7"),
        (refused, port, "/app/app-key"),
        (http_request, port, signed_request("GET", "/channels", app=wrong)),
        (http_request, port, signed_request("GET", "/channels", app=AppSettings(id="9", key="k", secret="s"))),
        (http_request, port, b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"),
    ]
    for function, *arguments in attempts:
        await asyncio.to_thread(function, *arguments)  # type: ignore[arg-type]
    await asyncio.to_thread(refused, port, "/app/app-key?protocol=7", Origin="https://evil.example")

    for target in ("/app/app-secret?protocol=7", "/apps/app-secret/channels"):
        await asyncio.to_thread(http_request, port, upgrade_request(target, **PAGE))

    lost = b"GET /app/app-key HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Version: 13\r\n\r\n"  # as a proxy leaves it
    await asyncio.to_thread(http_request, port, lost)

    found = await refusals(inspector)
    assert "A proxy in front must hand Upgrade and Connection on" in found["connection", 426].reason
    every = (await inspector.ask(ListRefusals())).reply.refusals
    assert "evil.example" in found["connection", 4009].origin
    assert "add its host to allowed_origins" in found["connection", 4009].reason
    assert "no app has the key 'wrong-key'. Give the page the key of the app" in every[-2].reason
    assert found["connection", 4008].app_id == "1"
    assert {line.address for line in found.values()} == {"127.0.0.1"}
    assert "Either the secret is not that of app 1" in found["api", 401].reason
    assert "No matching application for ID [9]" in found["api", 404].reason
    assert any("***" in line.reason for line in every)
    assert not [line for line in every if "app-secret" in repr(line) or "another-secret" in repr(line)]
