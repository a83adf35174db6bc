"""One client of a soak: connects, subscribes, whispers, goes in several ways, and notes all that it hears."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from soaking.ledger import Hearing, Ledger, is_client
from soundpost.client.authorization import ChannelAuth, with_secret
from soundpost.client.incoming import Frame, decode_frame
from soundpost.client.pusher_socket import NO_CLOSE_FRAME
from soundpost.errors import FrameError
from soundpost.tools.bench.client import upgrade_request
from soundpost.tools.bench.error_counts import ErrorCounts, code_in_words
from soundpost.tools.bench.messages import Endpoint
from soundpost.tools.bench.server_frames import ServerFrames, masked_frame, masked_text
from soundpost.wire.frames import CLOSE, NORMAL_CLOSURE, PING, PONG, Message, close_frame, frame_payload, parse_close
from soundpost.wire.json_text import encode

EVENT, WHISPER = "soak", "client-soak"
PRESENCE = "wrong presence"
ANSWER_TIMEOUT = 30.0
IP_BIND_ADDRESS_NO_PORT = 24


def user_of(name: str) -> str:
    """Two clients that follow each other are one user."""
    return f"user-{int(name.removeprefix('client-')) // 2}"


def said(author: str, numbers: dict[str, int]) -> str:
    """The data of an event: whose it is, its number on each of its channels, and padding, now and then a lot."""
    padding = "x" * (4_000 if min(numbers.values()) % 50 == 49 else 60)
    return f"{author} {','.join(f'{channel}={number}' for channel, number in numbers.items())} {padding}"


class Client(asyncio.Protocol):
    """Client ``number``. Whoever waits for an answer gets a ConnectionError if the connection ends before; that, like
    everything unexpected, is a fault too."""

    def __init__(self, endpoint: Endpoint, ledger: Ledger, faults: ErrorCounts, number: int) -> None:
        self.number = number
        self.name = f"client-{number}"
        self.socket_id = ""
        self.hearings: dict[str, Hearing] = {}
        self.past: list[Hearing] = []
        """Subscriptions that it has ended."""
        self.members: set[str] = set()
        """Users on its presence channel, as it was told."""
        self.frames = 0
        """How many it got."""
        self._endpoint = endpoint
        self._ledger = ledger
        self._faults = faults
        self._transport: asyncio.Transport | None = None
        self._head: bytes | None = b""
        self._reader = ServerFrames()
        self._code = NO_CLOSE_FRAME
        self._reason = ""
        self._leaving = False
        self._awaited: set[str] = set()
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._handlers: dict[str, Callable[[Frame], None]] = {
            EVENT: self._hear,
            WHISPER: self._hear,
            "pusher:connection_established": self._greeted,
            "pusher:ping": lambda frame: self._send_text("pusher:pong", {}),
            "pusher:pong": lambda frame: self._came("pong"),
            "pusher:cache_miss": lambda frame: None,
            "pusher_internal:subscription_succeeded": self._subscribed,
            "pusher_internal:member_added": self._member_added,
            "pusher_internal:member_removed": self._member_removed,
        }

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and not self._leaving

    @property
    def rooms(self) -> list[str]:
        """The presence channels that it is on: one or none."""
        return [channel for channel in self.hearings if channel.startswith("presence-")]

    # What it does

    async def connect(self) -> None:
        """Connect from one of 200 loopback addresses and be greeted. Raises OSError."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.1.{1 + self.number % 200}", 0))
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(sock, (self._endpoint.address, self._endpoint.port))
        except BaseException:
            sock.close()
            raise
        answer = self._expect("hello")
        await loop.create_connection(lambda: self, sock=sock)
        await self._in_time(answer)

    async def subscribe(self, channels: list[str]) -> None:
        """Subscribe to all of them at once. Raises OSError."""
        answer = self._expect(*channels)
        authorize = with_secret(self._endpoint.key, self._endpoint.secret, user_id=user_of(self.name))
        for channel in channels:
            self.hearings[channel] = Hearing(self._ledger, self.name, channel)
            data = {"channel": channel}
            auth = authorize(self.socket_id, channel)
            if isinstance(auth, ChannelAuth):
                data["auth"] = auth.auth
                if auth.channel_data is not None:
                    data["channel_data"] = auth.channel_data
            self._send_text("pusher:subscribe", data)
        await self._in_time(answer)

    async def unsubscribe(self, channels: list[str]) -> None:
        """Unsubscribe; once the pong to a ping behind that is here, nothing more may come. Raises OSError."""
        answer = self._expect("pong")
        for channel in channels:
            self._send_text("pusher:unsubscribe", {"channel": channel})
        self._send_text("pusher:ping", {})
        await self._in_time(answer)
        self.past += [self.hearings.pop(channel) for channel in channels]

    def whisper(self, channel: str) -> None:
        number = self._ledger.streams[channel][self.name].next()
        text = encode({"event": WHISPER, "channel": channel, "data": said(self.name, {channel: number})}).decode()
        self._send(masked_text(text))

    async def leave(self) -> None:
        """Say goodbye and wait for the server to close. Raises OSError."""
        answer = self._expect("end")
        self._leaving = True
        self._send(masked_frame(CLOSE, frame_payload(close_frame(NORMAL_CLOSURE))))
        await self._in_time(answer)

    def abort(self) -> None:
        """Be gone without a word."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    # What it hears

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        self._transport.write(upgrade_request(self._endpoint))

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                return
            if not self._head.startswith(b"HTTP/1.1 101 "):
                self._fail("error: handshake", repr(self._head))
                self.abort()
                return
            self._head = None
        try:
            for message in self._reader.feed(data):
                self._take(message)
        except FrameError as error:
            self._fail("error: frame", str(error))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._leaving:
            self._leaving = True
            self._fail(f"error: closed by the server: {code_in_words(self._code)}", self._reason or str(exc or ""))
        self._came("end")
        if self._awaited and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"{self.name} was closed"))

    def _take(self, message: Message) -> None:
        self.frames += 1
        if message.opcode == PING:
            self._send(masked_frame(PONG, message.payload))
        elif message.opcode == CLOSE:
            self._code, self._reason = parse_close(message.payload)
            if not self._leaving:
                self._send(masked_frame(CLOSE, message.payload[:2]))
        else:
            frame = decode_frame(message.payload)
            handler = None if frame is None else self._handlers.get(frame.event)
            if frame is None or handler is None:
                self._fail("error: message", message.payload.decode(errors="replace"))
            elif frame.channel is not None and frame.channel not in self.hearings:
                self._fail(f"error: {frame.event} on a channel not subscribed to", frame.channel)
            else:
                handler(frame)

    def _hear(self, frame: Frame) -> None:
        channel = str(frame.channel)
        author, numbers, _ = str(frame.data).split(" ")
        number = dict(each.split("=") for each in numbers.split(",")).get(channel)
        is_whisper = frame.event == WHISPER
        if number is None or is_whisper != is_client(author):
            self._fail("error: wrong channel or author", f"{frame.event} on {channel}: {str(frame.data)[:60]}")
        elif is_whisper and frame.user_id != (user_of(author) if channel.startswith("presence-") else None):
            self._fail("error: wrong user_id of a whisper", f"{frame.user_id} for {author} on {channel}")
        else:
            self.hearings[channel].hear(author, int(number))

    def _greeted(self, frame: Frame) -> None:
        self.socket_id = str(frame.content()["socket_id"])
        self._came("hello")

    def _subscribed(self, frame: Frame) -> None:
        channel = str(frame.channel)
        self.hearings[channel].begin()
        if channel.startswith("presence-"):
            self.members = set(frame.content()["presence"]["ids"])
        self._came(channel)

    def _member_added(self, frame: Frame) -> None:
        user = frame.content()["user_id"]
        if user in self.members:
            self._fail(PRESENCE, f"{user}, a member already, was added on {frame.channel}")
        self.members.add(user)

    def _member_removed(self, frame: Frame) -> None:
        user = frame.content()["user_id"]
        if user not in self.members:
            self._fail(PRESENCE, f"{user}, no member, was removed on {frame.channel}")
        self.members.discard(user)

    # Waiting, sending

    def _expect(self, *what: str) -> asyncio.Future[None]:
        """A future that is done when all of this has come."""
        if self._leaving:
            raise ConnectionError(f"{self.name} was closed")
        self._awaited = set(what)
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def _came(self, what: str) -> None:
        if what in self._awaited:
            self._awaited.remove(what)
            if not self._awaited and not self._answer.done():
                self._answer.set_result(None)

    async def _in_time(self, answer: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await answer
        except TimeoutError:
            self._fail(f"error: no answer in {ANSWER_TIMEOUT:.0f} s", f"waiting for {sorted(self._awaited)}")
            raise

    def _fail(self, kind: str, example: str) -> None:
        self._faults.add(kind, f"{self.name}: {example}")

    def _send_text(self, event: str, data: dict[str, str]) -> None:
        self._send(masked_text(encode({"event": event, "data": data}).decode()))

    def _send(self, frame: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)
