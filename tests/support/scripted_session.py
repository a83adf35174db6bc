"""A server that plays one session of the Pusher protocol, with or without the fields of resumption."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from nacl.secret import SecretBox
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

GENERATION: Final = "g7Qx"
KEY: Final = bytes(range(32))
"""Key of the encrypted channel."""
SHARED_SECRET: Final = base64.b64encode(KEY).decode()
FIRST: Final = 1795887678285000
MEMBERS: Final = {"ids": ["ann"], "hash": {"ann": {"name": "Ann"}}, "count": 1}


class ScriptedServer:
    """A server for clients that join ``channels``; each of the two connections gets the same events every time.

    The first connection gets events of each kind and is cut without a close frame. The second one is told, channel by
    channel in turn, that all is there (``resumed``) and that something is not kept (``gap``); then come more events,
    and ``over`` at the end. ``fields`` False leaves out what Soundpost adds to the protocol, and nothing else.
    """

    def __init__(self, channels: list[str], *, fields: bool, pages: dict[str, tuple[str, bytes]] | None = None) -> None:
        self._channels = channels
        self._fields = fields
        self._pages = pages or {}
        self._opened = 0
        self._server: Server = serve(self._play, "127.0.0.1", 0, process_request=self._page)
        self.port: int = self._server.socket.getsockname()[1]
        self.received: list[dict[str, Any]] = []
        """Messages of the clients in the order of their coming, but for pings."""
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _page(self, _: ServerConnection, request: Request) -> Response | None:
        """Answer a request for one of the ``pages``: path to content type and body."""
        kind, body = self._pages.get(request.path, ("", b""))
        if not kind:
            return None
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
        return Response(200, "OK", headers, body)

    def _play(self, connection: ServerConnection) -> None:
        self._opened += 1
        with suppress(ConnectionClosed):
            _Session(connection, self._opened, self._channels, fields=self._fields, received=self.received).play()


class _Session:
    """One connection."""

    def __init__(
        self,
        connection: ServerConnection,
        number: int,
        channels: list[str],
        *,
        fields: bool,
        received: list[dict[str, Any]],
    ) -> None:
        self._connection = connection
        self._number = number
        self._channels = channels
        self._fields = fields
        self._received = received
        self._offset = FIRST + number * 1000

    def play(self) -> None:
        hello = json.dumps({"socket_id": f"{self._number}.1", "activity_timeout": 120})
        self._send({"event": "pusher:connection_established", "data": hello})
        joined: set[str] = set()
        while joined != set(self._channels):
            joined |= self._hear()
        if self._number == 1:
            for channel in self._channels:
                self._events_of_each_kind(channel)
            self._connection.socket.shutdown(socket.SHUT_RDWR)
            return
        for channel in self._channels:
            self._event(channel, 4, "position")
            self._event(channel, 5, "id", "position")
        self._event(self._channels[0], 6, "position", event="over")
        while True:
            self._hear()

    def _hear(self) -> set[str]:
        """Answer the next message; return the channel that was joined by it."""
        message = json.loads(self._connection.recv())
        data = message.get("data") or {}
        if message["event"] == "pusher:ping":
            self._send({"event": "pusher:pong", "data": "{}"})
            return set()
        self._received.append(message)
        if message["event"] != "pusher:subscribe":
            return set()
        channel = data["channel"]
        state = json.dumps({"presence": MEMBERS} if channel.startswith("presence-") else {})
        answer = {"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": state}
        if self._number > 1:
            whole = self._channels.index(channel) % 2 == 0
            answer |= self._extra({"resumed": 2} if whole else {"gap": "age"})
        self._send(answer | self._extra({"position": f"{GENERATION}.{self._offset}"}))
        return {channel}

    def _events_of_each_kind(self, channel: str) -> None:
        """Send an event with a position, one without it, one that is repeated later, and what is never kept."""
        self._event(channel, 1, "position")
        self._event(channel, 2, "id")
        self._event(channel, 3, "id", "position")
        if channel.startswith("presence-"):
            bob = json.dumps({"user_id": "bob", "user_info": {"name": "Bob"}})
            self._send({"event": "pusher_internal:member_added", "channel": channel, "data": bob})
            self._send({"event": "client-wave", "channel": channel, "data": '{"n":7}', "user_id": "bob"})
        if not channel.startswith("private-encrypted-"):
            count = json.dumps({"subscription_count": 2})
            self._send({"event": "pusher_internal:subscription_count", "channel": channel, "data": count})

    def _event(self, channel: str, n: int, *extra: str, event: str = "placed") -> None:
        self._offset += 10
        data = json.dumps({"n": n, "text": 'Grüße, "Zoë"'}, ensure_ascii=False)
        if channel.startswith("private-encrypted-"):
            data = _sealed(data, self._offset)
        known = {"id": f"k3-{self._offset}", "position": f"{GENERATION}.{self._offset}"}
        self._send({"event": event, "channel": channel, "data": data} | self._extra({key: known[key] for key in extra}))

    def _extra(self, fields: dict[str, Any]) -> dict[str, Any]:
        return fields if self._fields else {}

    def _send(self, message: dict[str, Any]) -> None:
        self._connection.send(json.dumps(message, ensure_ascii=False, separators=(",", ":")))


def _sealed(data: str, number: int) -> str:
    """Return data as it is on an encrypted channel; the same every time."""
    nonce = number.to_bytes(SecretBox.NONCE_SIZE, "big")
    box = SecretBox(KEY).encrypt(data.encode(), nonce)
    sealed = {"nonce": base64.b64encode(nonce).decode(), "ciphertext": base64.b64encode(box.ciphertext).decode()}
    return json.dumps(sealed)


@contextmanager
def scripted(
    channels: list[str], *, fields: bool, pages: dict[str, tuple[str, bytes]] | None = None
) -> Iterator[ScriptedServer]:
    server = ScriptedServer(channels, fields=fields, pages=pages)
    try:
        yield server
    finally:
        server.close()
