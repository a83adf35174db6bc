"""Clients that speak TLS 1.3 or 1.2, or none, one after the other, over blocking sockets."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from processes import NotMeasuredError
from swarm import GREETINGS, IP_BIND_ADDRESS_NO_PORT, SUCCEEDED, masked

_SECONDS = 20.0
_READ = 65_536
_SUBSCRIBE = masked({"event": "pusher:subscribe", "data": {"channel": "bench"}})


def trusting(certificate: Path) -> ssl.SSLContext:
    """A context that trusts one certificate, for 127.0.0.1."""
    return ssl.create_default_context(cafile=certificate)


class Client:
    """A connection, subscribed to the channel ``bench``."""

    def __init__(self, port: int, number: int, context: ssl.SSLContext | None, session: ssl.SSLSession | None) -> None:
        plain = socket.socket()
        plain.settimeout(_SECONDS)
        plain.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        plain.bind((f"127.0.1.{1 + number % 200}", 0))
        plain.connect(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket | ssl.SSLSocket = plain
        if context is not None:
            self._socket = context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)
        self._socket.sendall(GREETINGS["pusher"])
        self._until(b"connection_established")
        self._socket.sendall(_SUBSCRIBE)
        self._until(SUCCEEDED)

    def _until(self, word: bytes) -> None:
        found = b""
        while word not in found or not found.endswith(b"}"):
            part = self._socket.recv(_READ)
            if not part:
                raise NotMeasuredError(f"a client was cut off: {found[:200]!r}")
            found += part

    @property
    def session(self) -> ssl.SSLSession | None:
        """The ticket with which the next connection resumes."""
        return self._socket.session if isinstance(self._socket, ssl.SSLSocket) else None

    @property
    def has_resumed(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and bool(self._socket.session_reused)

    @property
    def cipher(self) -> str:
        found = self._socket.cipher() if isinstance(self._socket, ssl.SSLSocket) else None
        return "none" if found is None else f"{found[1]}, {found[0]}"

    def receive(self, size: int) -> None:
        """Wait for so many bytes of frames."""
        while size > 0:
            part = self._socket.recv(size)
            if not part:
                raise NotMeasuredError("a client was cut off")
            size -= len(part)

    def close(self) -> None:
        self._socket.close()
