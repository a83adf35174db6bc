"""Raw clients of a server, which may do anything a well-behaved one would not.

Everything blocks, with a timeout; nothing sleeps. A wait that is not over after :data:`TIMEOUT` seconds raises.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import CLOSE, CONTINUATION, TEXT, parse_close, unmask
from soundpost.wire.signatures import signed_query

TIMEOUT: Final = 60.0
"""Seconds until something that should happen counts as missing. It is far more than anything takes, with a machine that
stands still for seconds and with the 15 s that pusher-js waits before another attempt to connect."""
PATIENCE: Final = {"SOUNDPOST_TIMEOUT": f"{TIMEOUT:.0f}"}
"""Environment of an application that is to publish to a server of the tests however long that takes."""
DEFAULT_APP: Final = AppSettings(id="1", key="app-key", secret="app-secret")
MASK: Final = b"\x37\xfa\x21\x3d"
WEBSOCKET_KEY: Final = base64.b64encode(bytes(range(16))).decode()


class HttpResponse(NamedTuple):
    """Status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class RawSocket:
    """A blocking TCP client of the server; after :meth:`handshake` it can also send and read frames.

    ``source``: another address of this machine to come from, such as 127.0.0.2. ``receive_buffer``: bytes that the
    kernel takes for it while it does not read; 0: as many as usual.
    """

    def __init__(self, port: int, timeout: float = TIMEOUT, source: str = "", receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket_id = ""
        self._buffer = b""

    @classmethod
    def open(cls, port: int, key: str = "app-key") -> Self:
        """A client that has shaken hands and read its hello: ``socket_id`` is set."""
        client = cls(port)
        head = client.handshake(f"/app/{key}?protocol=7&client=harness&version=1.0")
        assert head.startswith(b"HTTP/1.1 101 "), head
        client.socket_id = json.loads(client.read_event()["data"])["socket_id"]
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def handshake(self, target: str = "/app/app-key?protocol=7", **headers: str | None) -> bytes:
        """Send an upgrade request, see :func:`upgrade_request`; return the head of the answer."""
        self.send(upgrade_request(target, **headers))
        return self.read_head()

    def read_head(self) -> bytes:
        """Up to and including the empty line."""
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def has_input(self) -> bool:
        """Whether there is something to read."""
        return bool(self._buffer) or bool(select.select([self.socket], [], [], 0)[0])

    def read_exactly(self, size: int) -> bytes:
        """So many bytes. Raises EOFError when the server closes before."""
        while len(self._buffer) < size:
            self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_response(self, method: str = "GET") -> HttpResponse:
        """One HTTP response (interim ones too); without a body for HEAD."""
        status_line, *lines = self.read_head()[:-4].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        return HttpResponse(int(status_line.split(" ")[1]), headers, self.read_exactly(size))

    def read_rest(self) -> bytes:
        """Everything until the server closes."""
        try:
            while True:
                self._receive()
        except EOFError:
            rest, self._buffer = self._buffer, b""
            return rest

    def send_frame(self, opcode: int, payload: bytes = b"", **options: Any) -> None:
        """Send a frame, see :func:`client_frame`."""
        self.send(client_frame(opcode, payload, **options))

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload. Raises EOFError when the server closes; checks what RFC 6455 asks of servers."""
        first, second = self.read_exactly(2)
        assert not first & 0x70, "reserved bits set by the server"
        assert not second & 0x80, "frame masked by the server"
        length = second
        if second >= 126:
            length = int.from_bytes(self.read_exactly(2 if second == 126 else 8), "big")
        return first & 0x0F, self.read_exactly(length)

    def read_until_close(self) -> list[tuple[int, bytes]]:
        """All frames until the server closes the TCP connection."""
        frames: list[tuple[int, bytes]] = []
        try:
            while True:
                frames.append(self.read_frame())
        except EOFError:
            return frames

    def read_close_code(self) -> int:
        """The code of the server's close frame (1005: none in it), which must be the last thing it sends."""
        codes: list[int] = []
        for opcode, payload in self.read_until_close():
            assert not codes, f"a frame after the close frame: {opcode} {payload!r}"
            if opcode == CLOSE:
                codes.append(parse_close(payload)[0])
        assert codes, "the server closed the connection without a close frame"
        return codes[0]

    def send_event(self, event: str, data: Any = None, **fields: Any) -> None:
        """Send a Pusher message."""
        message = {"event": event, **fields} if data is None else {"event": event, "data": data, **fields}
        self.send_frame(TEXT, json.dumps(message).encode())

    def read_event(self) -> dict[str, Any]:
        """The next frame, which must be a Pusher message."""
        opcode, payload = self.read_frame()
        assert opcode == TEXT, (opcode, payload)
        event: dict[str, Any] = json.loads(payload)
        return event

    def subscribe(self, channel: str) -> None:
        """Subscribe to a public channel and read the answer."""
        self.send_event("pusher:subscribe", {"channel": channel})
        answer = self.read_event()
        assert (answer["event"], answer.get("channel")) == ("pusher_internal:subscription_succeeded", channel), answer

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        if not data:
            raise EOFError("the server has closed the connection")
        self._buffer += data


def upgrade_request(target: str = "/app/app-key?protocol=7", **headers: str | None) -> bytes:
    """An opening handshake; ``Sec_WebSocket_Version="8"`` changes a header, None leaves it out."""
    fields: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": WEBSOCKET_KEY,
        "Sec_WebSocket_Version": "13",
        **headers,
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: int | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """A frame as clients send it. ``rsv``: 0 to 7. ``length``: what the header announces, if not the truth.
    ``length_bytes``: 0, 2 or 8, the form of the length, if not the shortest."""
    length = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65536 else 8
    marker = {0: length, 2: 126, 8: 127}[length_bytes]
    head = bytes((fin << 7 | rsv << 4 | opcode, marker | (0 if mask is None else 0x80)))
    head += length.to_bytes(length_bytes, "big") if length_bytes else b""
    return head + payload if mask is None else head + mask + unmask(payload, mask)


def ping_message(size: int = 23) -> bytes:
    """A ``pusher:ping`` of so many bytes, 23 or more: what the server answers is told by nothing but its arrival."""
    return b'{"event":"pusher:ping"' + b" " * (size - 23) + b"}"


def fragments(opcode: int, parts: Sequence[bytes]) -> bytes:
    """One message in as many frames as there are parts."""
    last = len(parts) - 1
    return b"".join(
        client_frame(opcode if i == 0 else CONTINUATION, part, fin=i == last) for i, part in enumerate(parts)
    )


def signed_request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    app: AppSettings = DEFAULT_APP,
    query: dict[str, str] | None = None,
    headers: Sequence[str] = (),
) -> bytes:
    """A signed API request; ``path`` below ``/apps/{id}``. ``headers`` are whole lines."""
    path = f"/apps/{app.id}{path}"
    parameters = signed_query(app.key, app.secret, method, path, int(time.time()), body=body, query=query)
    lines = [f"{method} {path}?{urlencode(parameters)} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def http_request(port: int, request: bytes) -> HttpResponse:
    """Send a request on a connection of its own; return the response."""
    with RawSocket(port) as client:
        client.send(request)
        return client.read_response(request.partition(b" ")[0].decode("latin-1"))
