"""What hostile clients send, who need the app's key at most: an :class:`attackers.Attack` each, by name."""

from __future__ import annotations

import json
from typing import Final

from soundpost.wire import frames
from soundpost.wire.frames import CONTINUATION, PING, PONG, TEXT
from support.attackers import Attack
from support.raw_socket import client_frame

_HEADERS: Final = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"


def websocket(key: str, *, compressed: bool = False) -> str:
    """The request that opens a WebSocket."""
    extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else ""
    nonce = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    return f"GET /app/{key}?protocol=7 HTTP/1.1\r\n{_HEADERS}{nonce}{extension}\r\n"


def _text(message: object) -> bytes:
    return client_frame(TEXT, message.encode() if isinstance(message, str) else json.dumps(message).encode())


def over_websockets(key: str) -> dict[str, Attack]:
    """Attacks with nothing but the app's key."""
    subscribe = _text({"event": "pusher:subscribe", "data": {"channel": "lobby"}})
    unsubscribe = _text({"event": "pusher:unsubscribe", "data": {"channel": "lobby"}})
    sent = {
        "text frames of one byte": _text("1"),
        "empty pings": client_frame(PING, b""),
        "full pings": client_frame(PING, b"x" * 125),
        "pongs": client_frame(PONG, b""),
        "empty fragments": client_frame(CONTINUATION, b"", fin=False),
        "pusher pings": _text({"event": "pusher:ping", "data": {}}),
        "unknown events": _text({"event": "pusher:nothing"}),
        "subscriptions": subscribe + unsubscribe,
        "refused subscriptions": _text(
            {"event": "pusher:subscribe", "data": {"channel": "private-x", "auth": f"{key}:{'0' * 64}"}}
        ),
        "refused client events": _text({"event": "client-x", "channel": "private-x", "data": {}}),
        "close frames": client_frame(frames.CLOSE, b""),
    }
    openings = {"empty fragments": client_frame(TEXT, b"", fin=False)}
    return {
        name: Attack(
            websocket(key) + openings.get(name, b"").decode("latin-1"),
            payload.decode("latin-1"),
            connections=6 if "pings" in name else 4,
        )
        for name, payload in sent.items()
    }


def over_http() -> dict[str, Attack]:
    """Attacks with nothing at all."""
    return {
        "pipelined requests": Attack("", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", connections=60),
        "pipelined publishes without a signature": Attack(
            "", "POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", connections=60
        ),
        "bodies in chunks of one byte": Attack(
            "POST /apps/1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
            connections=60,
        ),
        "no requests at all": Attack("", "\0", connections=60),
    }


def that_never_read(key: str) -> dict[str, Attack]:
    """Attacks on memory: the answers are not read."""
    return {
        f"{name}, answers not read": Attack(attack.opening, attack.payload, connections=8, reads=False)
        for name, attack in over_websockets(key).items()
        if name in ("full pings", "pusher pings", "subscriptions")
    }


def replays(key: str, position: str) -> Attack:
    """Clients that ask for everything after a position in the history of ``kept``, again and again, and read it.

    Each connection takes some replays and is closed for another one: what is asked for is more than one may have.
    """
    subscribe = _text({"event": "pusher:subscribe", "data": {"channel": "kept", "resume": position}})
    unsubscribe = _text({"event": "pusher:unsubscribe", "data": {"channel": "kept"}})
    payload = (subscribe + unsubscribe).decode("latin-1")
    return Attack(websocket(key), payload, connections=300, bytes_per_second=200_000, renewed_after=4_000_000)


def slow_readers(key: str) -> Attack:
    """Clients that subscribe to ``lobby`` and never read an event."""
    subscribe = _text({"event": "pusher:subscribe", "data": {"channel": "lobby"}})
    return Attack(websocket(key) + subscribe.decode("latin-1"), "", connections=100, reads=False, comes_back=False)
