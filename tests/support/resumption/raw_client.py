"""A WebSocket client that resumes as the wire format asks of clients, and notes what its handlers would be given.

It comes back as often as its connection ends. Its memory (positions, ids, earlier socket ids) is that of one page.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

from soundpost.errors import FrameError
from soundpost.tools.bench.server_frames import ServerFrames, masked_frame, masked_text
from soundpost.wire.frames import CLOSE, PING, PONG, Message, parse_close
from soundpost.wire.signatures import channel_text, sign
from support.resumption.stories import Began, Gap, Handed, Left, Rendered, Resumed, Story

EVENT: Final = "tick"
KNOWN_IDS: Final = 200
EARLIER_SOCKETS: Final = 4
_PONG: Final = masked_text('{"event":"pusher:pong","data":{}}')
_PING: Final = masked_text('{"event":"pusher:ping","data":{}}')


class Plan(msgspec.Struct, kw_only=True):
    """Who a client is. ``ports``: where it connects to, the next one after each failure."""

    name: str
    ports: list[int]
    channels: list[str]
    resumes: bool = True
    receive_buffer: int = 0
    """Bytes that the kernel takes for it; 0: as many as usual."""
    key: str = "app-key"
    secret: str = "app-secret"


class _Envelope(msgspec.Struct):
    event: str
    channel: str = ""
    data: Any = None
    position: str | None = None
    id: str | None = None
    resumed: int | None = None
    gap: str | None = None


_decode: Final = msgspec.json.Decoder(_Envelope).decode


class RawClient:
    """A client, over all its connections. ``faults``, in words, are part of its stories."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.pages: list[list[str]] = [[]]
        """The socket ids that each page had."""
        self.stories = {
            channel: Story(plan.name, channel, "resuming" if plan.resumes else "stock") for channel in plan.channels
        }
        self.dropped = 0
        """Events that came though their position was known already."""
        self.away: list[float] = []
        """Seconds from each end of a connection to the last subscription on the next."""
        self.ends: dict[str, int] = {}
        """How connections ended."""
        self.members: dict[str, set[str]] = {}
        """Users on its presence channels, as it was told."""
        self._at: dict[str, tuple[str, int]] = {}
        self._ids = {channel: deque[str](maxlen=KNOWN_IDS) for channel in plan.channels}
        self._earlier: deque[str] = deque(maxlen=EARLIER_SOCKETS)
        self._wanted = list(plan.channels)
        self._subscribed: set[str] = set()
        self._connection: _Connection | None = None
        self._port = random.randrange(len(plan.ports))
        self._ended_at: float | None = None
        self._over = False
        self._reading = asyncio.Event()
        self._reading.set()
        self._changed = asyncio.Event()

    # What it does

    async def run(self) -> None:
        """Be connected until :meth:`stop`."""
        loop = asyncio.get_running_loop()
        pause = 0.05
        while not self._over:
            connection = _Connection(self)
            try:
                sock = await _connected(self.plan.ports[self._port % len(self.plan.ports)], self.plan.receive_buffer)
                await loop.create_connection(lambda: connection, sock=sock)  # noqa: B023
                await connection.ended.wait()
            except OSError as error:
                self._count_end(type(error).__name__)
            if not connection.was_subscribed:
                self._port += 1
                pause = min(pause * 2, 1.0)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            else:
                pause = 0.05
                await asyncio.sleep(0 if connection.code == 4200 else random.uniform(0, 0.2))

    def stop(self) -> None:
        """Be gone for good."""
        self._over = True
        self.cut()

    def cut(self) -> None:
        """End the connection without a word."""
        if self._connection is not None:
            self._connection.abort()

    def reload(self, positions: dict[str, str]) -> None:
        """Become a new page that was rendered from these positions."""
        now = time.monotonic()
        self._earlier.clear()
        self.pages.append([])
        for channel, position in positions.items():
            if channel in self.stories:
                self.stories[channel].entries.append(Rendered(now, position))
                self._ids[channel].clear()
                self._at[channel] = _parsed(position)
        self.cut()

    def stall(self, stalled: bool) -> None:
        """Stop reading, on every connection, or go on."""
        if stalled:
            self._reading.clear()
        else:
            self._reading.set()
        if self._connection is not None:
            self._connection.read(not stalled)

    def leave(self, channel: str) -> None:
        """Unsubscribe."""
        if channel in self._wanted:
            self._wanted.remove(channel)
            self._at.pop(channel, None)
            self._ids[channel].clear()
            self._subscribed.discard(channel)
            self.stories[channel].entries.append(Left(time.monotonic()))
            if self._connection is not None:
                self._connection.left.add(channel)
                self._connection.send_event("pusher:unsubscribe", {"channel": channel})

    def join(self, channel: str) -> None:
        """Subscribe again."""
        if channel not in self._wanted:
            self._wanted.append(channel)
            if self._connection is not None and self._connection.socket_id:
                self._subscribe(self._connection, channel)

    def look_after(self, activity_timeout: float) -> None:
        """Ping a silent server, and give up one that stays silent."""
        if self._connection is not None:
            self._connection.look_after(activity_timeout)

    @property
    def is_subscribed(self) -> bool:
        """Whether it is, on all its channels."""
        return len(self._subscribed) == len(self._wanted)

    # What it hears

    def opened(self, connection: _Connection) -> None:
        """A connection is there."""
        self._connection = connection
        connection.read(self._reading.is_set())

    def greeted(self, connection: _Connection, socket_id: str) -> None:
        """The server has said hello."""
        self.pages[-1].append(socket_id)
        for channel in self._wanted:
            self._subscribe(connection, channel)
        self._earlier.append(socket_id)

    def ended(self, connection: _Connection, how: str) -> None:
        """A connection is over."""
        self._connection = None
        self._count_end(how)
        now = time.monotonic()
        if connection.was_subscribed or self._ended_at is None:
            self._ended_at = now
        if not self.plan.resumes:
            for channel in self._subscribed:
                self.stories[channel].entries.append(Left(now))
        self._subscribed.clear()

    def take(self, connection: _Connection, payload: bytes) -> None:
        """A text message has come."""
        message = _decode(payload)
        name, channel = message.event, message.channel
        if name == EVENT:
            if channel in self._subscribed:
                self._event(message)
            elif channel in self._wanted and channel not in connection.left:
                self._fault(channel, f"{message.data[:20]} came before the subscription was confirmed")
        elif name == "pusher_internal:subscription_succeeded":
            if channel in self._wanted:
                self._confirmed(message)
                connection.was_subscribed = True
        elif name == "soundpost:gap":
            self._told_of_a_gap(message)
        elif name == "pusher:connection_established":
            connection.socket_id = json.loads(message.data)["socket_id"]
            self.greeted(connection, connection.socket_id)
        elif name == "pusher:ping":
            connection.send(_PONG)
        elif name.startswith("pusher_internal:member_"):
            self._member(name.endswith("added"), channel, json.loads(message.data)["user_id"])
        elif name in ("pusher:error", "pusher:subscription_error", "pusher_internal:subscription_error"):
            self._count_end(f"{name} {message.data}")

    def _subscribe(self, connection: _Connection, channel: str) -> None:
        data: dict[str, Any] = {"channel": channel}
        plan = self.plan
        if channel.startswith(("private-", "presence-")):
            user = {"user_id": plan.name} if channel.startswith("presence-") else None
            channel_data = None if user is None else json.dumps(user)
            signature = sign(plan.secret, channel_text(connection.socket_id, channel, channel_data))
            data["auth"] = f"{plan.key}:{signature}"
            if channel_data is not None:
                data["channel_data"] = channel_data
        if plan.resumes:
            at = self._at.get(channel)
            data["resume"] = "" if at is None else f"{at[0]}.{at[1]}"
            if self._earlier:
                data["was"] = list(self._earlier)
        connection.send_event("pusher:subscribe", data)

    def _confirmed(self, message: _Envelope) -> None:
        channel, now, position = message.channel, time.monotonic(), message.position
        entries = self.stories[channel].entries
        self._subscribed.add(channel)
        if channel.startswith("presence-"):
            self.members[channel] = {str(each) for each in json.loads(message.data)["presence"]["ids"]}
        if not self.plan.resumes:
            entries.append(Began(now))
            if position is not None or message.gap is not None or message.resumed is not None:
                self._fault(channel, "told of a position, though it did not ask to resume")
        elif position is None:
            self._fault(channel, "subscribed without a position")
        elif message.gap is not None:
            entries.append(Gap(now, position, message.gap))
        elif message.resumed is not None:
            entries.append(Resumed(now, position, message.resumed))
            if _parsed(position) != self._at.get(channel):
                self._fault(channel, f"asked to resume from {self._at.get(channel)}, resumed from {position}")
        elif channel in self._at:
            self._fault(channel, f"asked to resume from {self._at[channel]}, and told neither resumed nor gap")
        else:
            entries.append(Began(now, position))
        if position is not None and self.plan.resumes:
            self._at[channel] = _parsed(position)
        if self.is_subscribed and self._ended_at is not None:
            self.away.append(now - self._ended_at)
            self._ended_at = None

    def _event(self, message: _Envelope) -> None:
        channel, position = message.channel, message.position
        if self.plan.resumes:
            if position is not None:
                generation, offset = _parsed(position)
                at = self._at.get(channel)
                if at is not None and generation == at[0] and offset <= at[1]:
                    self.dropped += 1
                    return
                self._at[channel] = generation, offset
            if message.id is not None:
                known = self._ids[channel]
                if message.id in known:
                    self.dropped += 1
                    return
                known.append(message.id)
        event = message.data.partition(" ")[0]
        self.stories[channel].entries.append(Handed(time.monotonic(), event, position))

    def _told_of_a_gap(self, message: _Envelope) -> None:
        channel, position = message.channel, message.position
        if channel not in self._subscribed or not self.plan.resumes or position is None:
            self._fault(channel, f"told of a gap at {position} that it cannot use")
            return
        reason = json.loads(message.data)["reason"]
        self.stories[channel].entries.append(Gap(time.monotonic(), position, reason))
        self._at[channel] = _parsed(position)

    def _member(self, added: bool, channel: str, user: str) -> None:
        members = self.members.get(channel, set())
        if (user in members) is added:
            self._fault(channel, f"{user} was {'added' if added else 'removed'}, but is {'' if added else 'not '}there")
        (members.add if added else members.discard)(user)

    def _fault(self, channel: str, sentence: str) -> None:
        if (story := self.stories.get(channel)) is not None:
            story.faults.append(sentence)

    def _count_end(self, how: str) -> None:
        self.ends[how] = self.ends.get(how, 0) + 1


class _Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, client: RawClient) -> None:
        self.ended = asyncio.Event()
        self.code = 0
        self.socket_id = ""
        self.was_subscribed = False
        self.left: set[str] = set()
        """Channels that were unsubscribed from: their events may still be on the way."""
        self._client = client
        self._head: bytes | None = b""
        self._reader = ServerFrames()
        self._transport: asyncio.Transport | None = None
        self._heard_at = time.monotonic()
        self._pinged = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(
            f"GET /app/{self._client.plan.key}?protocol=7&client=raw&version=1.0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._client.opened(self)

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        self._pinged = False
        if self._head is not None:
            self._head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                return
            if not self._head.startswith(b"HTTP/1.1 101 "):
                self.abort()
                return
            self._head = None
        try:
            for message in self._reader.feed(data):
                self._take(message)
        except FrameError:
            self.abort()

    def _take(self, message: Message) -> None:
        if message.opcode == PING:
            self.send(masked_frame(PONG, message.payload))
        elif message.opcode == CLOSE:
            self.code = parse_close(message.payload)[0]
            self.send(masked_frame(CLOSE, message.payload[:2]))
            if self._transport is not None:
                self._transport.close()
        elif not self.code:
            self._client.take(self, message.payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._client.ended(self, f"closed with {self.code}" if self.code else "cut off")
        self.ended.set()

    def look_after(self, activity_timeout: float) -> None:
        silence = time.monotonic() - self._heard_at
        if self._transport is not None and self._transport.is_reading() and silence > activity_timeout:
            if self._pinged and silence > 2 * activity_timeout:
                self.abort()
            elif not self._pinged:
                self._pinged = True
                self.send(_PING)

    def read(self, reading: bool) -> None:
        if self._transport is not None and self._transport.is_reading() is not reading:
            (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def send_event(self, event: str, data: dict[str, Any]) -> None:
        self.send(masked_text(json.dumps({"event": event, "data": data})))

    def send(self, frame: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)


async def _connected(port: int, receive_buffer: int) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock


def _parsed(position: str) -> tuple[str, int]:
    generation, _, offset = position.rpartition(".")
    return generation, int(offset)


def plans(name: str, count: int, ports: Sequence[int], channels: Sequence[Sequence[str]], **options: Any) -> list[Plan]:
    """So many clients with these channels in turn."""
    return [
        Plan(name=f"{name}-{i}", ports=list(ports), channels=list(channels[i % len(channels)]), **options)
        for i in range(count)
    ]
