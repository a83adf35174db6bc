"""The ``websockets`` library with ``broadcast()``: ``python -m others.websockets_broadcast PORT API_PORT``.

https://websockets.readthedocs.io/en/stable/topics/broadcast.html. The library's server takes no POST, so events come
in over a second listener, which is as little HTTP as the publisher needs.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from others import pusher

channels: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def subscriber(connection: ServerConnection) -> None:
    await connection.send(pusher.HELLO)
    joined = set()
    try:
        async for message in connection:
            channel = pusher.subscribed_channel(message)
            channels[channel].add(connection)
            joined.add(channel)
            await connection.send(pusher.succeeded(channel))
    finally:
        for channel in joined:
            channels[channel].discard(connection)


async def publisher(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert length is not None
            channel, text = pusher.published(json.loads(await reader.readexactly(int(length[1]))))
            broadcast(channels[channel], text)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    except asyncio.IncompleteReadError:
        writer.close()


async def main() -> None:
    port, api_port = int(sys.argv[1]), int(sys.argv[2])
    async with (
        serve(subscriber, "127.0.0.1", port, compression=None, ping_interval=None),
        await asyncio.start_server(publisher, "127.0.0.1", api_port),
    ):
        print("READY", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main())
