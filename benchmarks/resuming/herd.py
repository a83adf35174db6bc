"""Clients that come back at once: ``herd.py PORT CLIENTS CHANNELS BEHIND``.

Prints ``POSITION`` once it knows where its clients go on, waits for a line, and lets all clients connect. Then it
prints ``CONNECTED`` and the seconds, waits for a line, lets all clients resume at once, and prints ``DONE`` and the
seconds until each of them has all events it had missed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

import uvloop

from soundpost.wire.frames import frame_payloads

HANDSHAKE = (
    b"GET /app/bench-key?protocol=7&client=bench&version=1.0 HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
IP_BIND_ADDRESS_NO_PORT = 24
IN_FLIGHT = 1_000
"""Largest number of sockets that are about to connect: more would wait in the kernel for a second."""


def masked(payload: bytes) -> bytes:
    """Return a client's frame, whose mask changes nothing."""
    return bytes((0x81, 0xFE)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def subscription(channel: str, position: str) -> bytes:
    """Return the message that subscribes after a position."""
    data = {"channel": channel, "resume": position}
    return masked(json.dumps({"event": "pusher:subscribe", "data": data}).encode())


class Client(asyncio.Protocol):
    """A client that counts the events that it gets after its subscription."""

    def __init__(self, channel: str, position: str, behind: int) -> None:
        self.channel = channel
        self.position = position
        self.left = behind
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._greeted = self._subscribed = False
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(HANDSHAKE)

    def resume(self) -> None:
        """Subscribe after the client's position."""
        self.transport.write(subscription(self.channel, self.position))

    def data_received(self, data: bytes) -> None:
        if not self._greeted:
            self._answer += data
            if b"connection_established" in self._answer and self._answer.endswith(b"}"):
                self._greeted, self._answer = True, b""
                self.greeted.set_result(None)
            return
        if not self._subscribed:
            self._answer += data
            end = self._answer.find(b"}", self._answer.find(b'"position"'))
            if end < 0:
                return
            self._subscribed = True
            answer = json.loads(next(iter(frame_payloads(self._answer[: end + 1]))))
            assert "gap" not in answer, answer
            self.position = answer["position"]
            data = self._answer[end + 1 :]
        self.left -= data.count(b'"position"')
        if self.left <= 0 and not self.done.done():
            assert self.left == 0, self.left
            self.done.set_result(self.position)


async def open_client(port: int, number: int, client: Client) -> None:
    """Connect from one of 200 loopback addresses: the ports of one are too few."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((f"127.0.1.{1 + number % 200}", 0))
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    await asyncio.get_running_loop().create_connection(lambda: client, sock=sock)


async def position(port: int, channel: int) -> str:
    """Return the position of a channel now."""
    client = Client(f"herd-{channel}", "", 0)
    await open_client(port, channel, client)
    await client.greeted
    client.resume()
    found = await client.done
    client.transport.close()
    return found


async def line() -> None:
    """Wait for a line."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def main() -> None:
    port, number, channels, behind = map(int, sys.argv[1:])
    positions = await asyncio.gather(*(position(port, channel) for channel in range(channels)))
    print("POSITION", flush=True)
    await line()
    clients = [Client(f"herd-{index % channels}", positions[index % channels], behind) for index in range(number)]
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def come_back(index: int, client: Client) -> None:
        async with slots:
            await open_client(port, index, client)
            await client.greeted

    began = time.monotonic()
    await asyncio.gather(*(come_back(index, client) for index, client in enumerate(clients)))
    print("CONNECTED", time.monotonic() - began, flush=True)
    await line()
    began = time.monotonic()
    for client in clients:
        client.resume()
    await asyncio.gather(*(client.done for client in clients))
    print("DONE", time.monotonic() - began, flush=True)


uvloop.run(main())
