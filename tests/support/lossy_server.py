"""A Pusher server of a few lines that loses, doubles and swaps events on purpose, in frames cut as a network cuts them.

For tests of those who are to notice. Nothing is checked: no signature, no limit.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from soundpost.wire import messages
from soundpost.wire.frames import CLOSE, PING, PONG, FrameReader, encode_frame, frame_payload
from soundpost.wire.handshake import accept

_AFTER_SUBSCRIPTION: Final = b"subscribed"
"""Payload of the ping that follows the answer to a subscription."""


class LossyServer:
    """``port`` on 127.0.0.1. Of all events, numbered from 0, each connection misses those in ``lose``, gets those in
    ``double`` twice, and those in ``swap`` after the next one. ``refuse`` are answered 503 and delivered to nobody,
    ``deny`` are answered 503 and delivered. Connections after the first ``greets`` are accepted, but never get a hello.
    """

    def __init__(
        self,
        *,
        lose: frozenset[int] = frozenset(),
        double: frozenset[int] = frozenset(),
        swap: frozenset[int] = frozenset(),
        refuse: frozenset[int] = frozenset(),
        deny: frozenset[int] = frozenset(),
        greets: int = 1_000,
    ) -> None:
        self.port = 0
        self.published = 0
        self.opened = 0
        self.subscribed = 0
        """Connections that have read that they are subscribed: they have answered the ping that came with it."""
        self._greets = greets
        self._lose, self._double, self._swap, self._refuse, self._deny = lose, double, swap, refuse, deny
        self._subscribers: dict[str, list[asyncio.StreamWriter]] = {}
        self._held = b""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.split(b"\r\n")
                headers = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
                if head.startswith(b"GET"):
                    key = next(line for line in lines if line.lower().startswith(b"sec-websocket-key"))
                    headers[b"sec-websocket-key"] = key.split(b": ", 1)[1]
                    self.opened += 1
                    if self.opened > self._greets:
                        await reader.read()
                        return
                    # The hello comes with the handshake's answer in one write.
                    writer.write(accept(b"GET", "1.1", headers) + messages.connection_established("1.1", 30))
                    await self._websocket(reader, writer)
                    return
                body = json.loads(await reader.readexactly(int(headers[b"content-length"])))
                status = await self._publish(body)
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n{}" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _websocket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader(100_000)
        while data := await reader.read(65_536):
            for message in frames.feed(data):
                if message.opcode == CLOSE:
                    return
                self.subscribed += message.opcode == PONG and message.payload == _AFTER_SUBSCRIPTION
                content = json.loads(message.payload) if message.payload.startswith(b"{") else {}
                if content.get("event") == "pusher:subscribe":
                    channel = content["data"]["channel"]
                    self._subscribers.setdefault(channel, []).append(writer)
                    writer.write(
                        messages.subscription_succeeded(channel)
                        + messages.PING
                        + encode_frame(PING, _AFTER_SUBSCRIPTION)
                    )

    async def _publish(self, body: dict[str, object]) -> bytes:
        channels = body["channels"]
        assert isinstance(channels, list)
        # What is published before the run, to see whether it works, has no number.
        if str(body["data"]).startswith("soundpost-bench"):
            number = self.published
            self.published += 1
        else:
            number = -1
        if number in self._refuse:
            return b"503 Service Unavailable"
        frame = messages.event(str(body["name"]), channels[0], str(body["data"]))
        if number in self._swap:
            self._held = frame
            return b"200 OK"
        copies = 0 if number in self._lose else 2 if number in self._double else 1
        data, self._held = _in_fragments(frame) * copies + self._held, b""
        for subscriber in self._subscribers.get(channels[0], ()):
            subscriber.write(data[:7])
            await asyncio.sleep(0)
            subscriber.write(data[7:])
        return b"503 Service Unavailable" if number in self._deny else b"200 OK"


def _in_fragments(frame: bytes) -> bytes:
    """The same message in two frames, with a ping between them."""
    payload = frame_payload(frame)
    first = bytearray(encode_frame(1, payload[:20]))
    first[0] &= 0x7F
    return bytes(first) + encode_frame(PING, b"") + encode_frame(0, payload[20:])


@asynccontextmanager
async def serving(lossy: LossyServer) -> AsyncIterator[LossyServer]:
    """Serve with it."""
    server = await asyncio.start_server(lossy.connected, "127.0.0.1", 0)
    lossy.port = server.sockets[0].getsockname()[1]
    try:
        yield lossy
    finally:
        server.close()
