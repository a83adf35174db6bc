"""Many clients in one process: connect, subscribe, then only count bytes. Driven by lines on stdin.

``swarm.py PORT PROTOCOL`` with PROTOCOL ``pusher``, ``deflate`` (the same, offering compression) or ``floor``.
Commands, each answered with one line of JSON: ``connect N CHANNEL [USERS]`` (``{i}`` in CHANNEL is the client's
number; on presence channels that number, modulo USERS, is the user), ``subscribe N CHANNEL [EACH]`` (N more
subscriptions, spread evenly over the clients; ``{i}`` is the subscription's number divided by EACH, so that a channel
has EACH of them), ``received BYTES`` (waits for that many in all
since the last command), ``publish P EVENTS REQUEST`` (P publishers, each sends the request, in hex, so many times, one
after the other; ``{key}`` in it is another key each time), ``whisper N CHANNEL`` (the first client sends N client
events, each once the others have the one before), ``whisper_at_once N CHANNEL`` (for one other client),
``disconnect N``, ``sign_in N WATCHED`` (each client as its user, who watches the next so many users).
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import uuid

import uvloop

from soundpost.wire import frames, signatures

KEY, SECRET = "bench-key", "bench-secret"
IN_FLIGHT = 64
SUCCEEDED = b"subscription_succeeded"
IP_BIND_ADDRESS_NO_PORT = 24
HANDSHAKE = (
    f"GET /app/{KEY}?protocol=7&client=bench&version=1.0 HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
).encode()
GREETINGS = {
    "pusher": HANDSHAKE + b"\r\n",
    "deflate": HANDSHAKE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "floor": b"S",
}


class Swarm:
    def __init__(self, port: int, protocol: str) -> None:
        self.port = port
        self.protocol = protocol
        self.clients: list[Client] = []
        self.received = 0
        self.started = 0

    async def connect(self, count: int, channel: str, users: int) -> None:
        slots = asyncio.Semaphore(IN_FLIGHT)
        loop = asyncio.get_running_loop()

        async def one() -> None:
            async with slots:
                number = self.started
                self.started += 1
                client = Client(self, channel.replace("{i}", str(number)), number % users)
                await loop.create_connection(lambda: client, sock=await self.socket(number))
                await client.subscribed
                self.clients.append(client)

        await asyncio.gather(*(one() for _ in range(count)))

    async def subscribe(self, count: int, channel: str, each: int) -> None:
        """All subscriptions of a client at once, as pusher-js sends them when it connects."""
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(number: int, client: Client) -> None:
            names = (channel.replace("{i}", str(i // each)) for i in range(number, count, len(self.clients)))
            async with slots:
                await client.subscribe([*names])

        await asyncio.gather(*(one(number, client) for number, client in enumerate(self.clients[:count])))

    async def sign_in(self, count: int, watched: int) -> None:
        """All clients at once, as those that come back."""
        for client in self.clients[:count]:
            client.sign_in(watched)
        for client in self.clients[:count]:
            await client.subscribed

    async def socket(self, number: int) -> socket.socket:
        """A connected socket from one of 200 loopback addresses: the ports of one are too few."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.1.{1 + number % 200}", 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return sock

    async def wait_for(self, size: int) -> None:
        while self.received < size:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    async def publish(self, publishers: int, events: int, request: bytes) -> None:
        async def one() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            for _ in range(events):
                writer.write(request.replace(b"{key}", uuid.uuid4().hex.encode()))
                answer = await reader.readuntil(b"{}")
                assert answer.startswith(b"HTTP/1.1 200"), answer
            writer.close()

        await asyncio.gather(*(one() for _ in range(publishers)))

    async def whisper(self, count: int, channel: str) -> None:
        frame = masked({"event": "client-typing", "channel": channel, "data": {"user": 1}})
        for _ in range(count):
            before = self.received
            self.clients[0].transport.write(frame)
            while self.received == before:  # noqa: ASYNC110 - all that this process does
                await asyncio.sleep(0)

    async def whisper_at_once(self, count: int, channel: str) -> None:
        before = self.received
        await self.whisper(1, channel)
        size = self.received - before
        frame = masked({"event": "client-typing", "channel": channel, "data": {"user": 1}})
        self.clients[0].transport.write(frame * (count - 1))
        await self.wait_for(before + count * size)

    def disconnect(self, count: int) -> None:
        for _ in range(count):
            self.clients.pop().transport.abort()


class Client(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, swarm: Swarm, channel: str, user: int) -> None:
        self.swarm = swarm
        self.channel = channel
        self.user = user
        self.socket_id = ""
        self.signs_in = False
        self.greeted = False
        self.ready = False
        self.awaited = 0
        self.buffer = b""
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(GREETINGS[self.swarm.protocol])

    def data_received(self, data: bytes) -> None:
        if self.ready:
            self.swarm.received += len(data)
            return
        self.buffer += data
        if self.signs_in:
            if b"signin_success" in self.buffer:
                self.signs_in, self.ready, self.buffer = False, True, b""
                self.subscribed.set_result(None)
            return
        if self.awaited:
            self.count_answers()
            return
        if not self.greeted and b"connection_established" in self.buffer and self.buffer.endswith(b'"}'):
            self.greeted = True
            self.socket_id = self.buffer.split(b'socket_id\\":\\"', 1)[1].split(b"\\", 1)[0].decode()
            self.transport.write(self.subscription(self.channel))
        if SUCCEEDED in self.buffer or self.buffer == b"OK":
            self.ready = True
            self.buffer = b""
            self.subscribed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionError(f"closed before it was subscribed: {self.buffer!r}"))

    async def subscribe(self, channels: list[str]) -> None:
        """Subscribe to these channels too."""
        self.ready = False
        self.awaited = len(channels)
        self.subscribed = asyncio.get_running_loop().create_future()
        self.transport.write(b"".join(map(self.subscription, channels)))
        await self.subscribed

    def sign_in(self, watched: int) -> None:
        """Sign in as the client's user, who watches the next ones."""
        self.ready, self.signs_in, self.buffer = False, True, b""
        self.subscribed = asyncio.get_running_loop().create_future()
        watchlist = [str(self.user + number) for number in range(1, watched + 1)]
        user_data = json.dumps({"id": str(self.user), "watchlist": watchlist})
        auth = f"{KEY}:{signatures.sign(SECRET, signatures.user_text(self.socket_id, user_data))}"
        self.transport.write(masked({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}}))

    def count_answers(self) -> None:
        """Take out of the buffer the answers that are whole enough to be seen."""
        seen = self.buffer.count(SUCCEEDED)
        if seen:
            self.awaited -= seen
            self.buffer = self.buffer[self.buffer.rindex(SUCCEEDED) + len(SUCCEEDED) :]
        if self.awaited <= 0:
            self.ready = True
            self.buffer = b""
            self.subscribed.set_result(None)

    def subscription(self, channel: str) -> bytes:
        data: dict[str, str] = {"channel": channel}
        if channel.startswith("presence-"):
            member = {"user_id": str(self.user), "user_info": {"name": f"Member {self.user}"}}
            data["channel_data"] = json.dumps(member)
        if channel.startswith(("presence-", "private-")):
            text = signatures.channel_text(self.socket_id, channel, data.get("channel_data"))
            data["auth"] = f"{KEY}:{signatures.sign(SECRET, text)}"
        return masked({"event": "pusher:subscribe", "data": data})


def masked(message: object) -> bytes:
    """A client's frame."""
    payload = json.dumps(message).encode()
    frame = frames.text_frame(payload)
    start = len(frame) - len(payload)
    return bytes((frame[0], frame[1] | 0x80)) + frame[2:start] + bytes(4) + payload


async def main() -> None:
    swarm = Swarm(int(sys.argv[1]), sys.argv[2])
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().split():
        if line[0] == "connect":
            await swarm.connect(int(line[1]), line[2], int(line[3]) if line[3:] else sys.maxsize)
        elif line[0] == "subscribe":
            await swarm.subscribe(int(line[1]), line[2], int(line[3]) if line[3:] else 1)
        elif line[0] == "received":
            await swarm.wait_for(int(line[1]))
        elif line[0] == "publish":
            await swarm.publish(int(line[1]), int(line[2]), bytes.fromhex(line[3]))
        elif line[0] == "whisper":
            await swarm.whisper(int(line[1]), line[2])
        elif line[0] == "whisper_at_once":
            await swarm.whisper_at_once(int(line[1]), line[2])
        elif line[0] == "sign_in":
            await swarm.sign_in(int(line[1]), int(line[2]))
        elif line[0] == "disconnect":
            swarm.disconnect(int(line[1]))
        answer = {"received": swarm.received, "clients": len(swarm.clients)}
        if line[0] != "publish":
            swarm.received = 0
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
