"""Clients that a stopping server sends away, in groups: none misses what was accepted before its close."""

from __future__ import annotations

import asyncio
import json
import re

import uvloop

from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.connection import Connection
from soundpost.server.server import Server
from support.harness import DEFAULT_APP
from support.raw_socket import client_frame, signed_request, upgrade_request

CLIENTS = 450
"""More than two groups that are sent away in a loop turn."""


async def subscribed(port: int) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the socket id of a new subscriber, and its streams."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(upgrade_request("/app/app-key?protocol=7"))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(client_frame(1, b'{"event":"pusher:subscribe","data":{"channel":"room"}}'))
    came = b""
    while b"subscription_succeeded" not in came:
        came += await reader.read(65_536)
    found = re.search(rb'socket_id[\\":]+([\d.]+)', came)
    assert found is not None
    return found[1].decode(), reader, writer


async def publish_without_pause(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while True:
        number += 1
        body = json.dumps({"name": "tick", "channels": ["room"], "data": f"#{number}#"}).encode()
        writer.write(signed_request("POST", "/events", body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))


async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[int]:
    """Return the numbers of the events that come before the server's close."""
    came = b""
    while b"going down" not in came and (part := await reader.read(65_536)):
        came += part
    writer.close()
    return [int(number) for number in re.findall(rb"#(\d+)#", came)]


def test_no_client_misses_an_event_that_was_accepted_before_its_close() -> None:
    accepted = 0
    accepted_before_close: dict[str, int] = {}

    class CountingServer(Server):
        def close_for_reconnect(self, connection: Connection) -> None:
            if connection.is_open:
                accepted_before_close[connection.socket_id] = accepted
            super().close_for_reconnect(connection)

    async def check() -> None:
        under_way = asyncio.Event()
        own = ServerSettings(host="127.0.0.1", port=0, shutdown_timeout=60)
        server = CountingServer(Settings(server=own, apps=(DEFAULT_APP,)))
        await server.start()
        app = server.node.by_key[DEFAULT_APP.key]
        deliver = app.deliver

        def counted(*args: object, **more: object) -> None:
            nonlocal accepted
            accepted += 1
            if accepted == 3:
                under_way.set()
            deliver(*args, **more)  # type: ignore[arg-type]

        app.deliver = counted  # type: ignore[method-assign]
        clients = [await subscribed(server.port) for _ in range(CLIENTS)]
        publisher = asyncio.create_task(publish_without_pause(server.port))
        await under_way.wait()
        listening = [asyncio.create_task(heard(reader, writer)) for _, reader, writer in clients]
        await server.stop()
        publisher.cancel()
        for (socket_id, _, _), numbers in zip(clients, await asyncio.gather(*listening), strict=True):
            assert numbers == list(range(1, accepted_before_close[socket_id] + 1))

    uvloop.run(check())
