"""The WebSocket opening handshake (RFC 6455, 4.2), server side. No I/O."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from soundpost.errors import HandshakeError

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHA1: Final = hashlib.sha1(usedforsecurity=False)  # of nothing: a copy takes two thirds of the time of a new one
_ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)
_to_base64: Final = binascii.b2a_base64
_KEY: Final = re.compile(rb"[0-9A-Za-z+/]{22}==")
_VERSION_HEADER: Final = (("Sec-WebSocket-Version", "13"),)


def wants_websocket(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request (header names in lower case) asks for an upgrade to a WebSocket."""
    upgrade = headers.get(b"upgrade", b"")
    return upgrade == b"websocket" or b"websocket" in _tokens(upgrade)


def accept(method: bytes, http_version: str, headers: Mapping[bytes, bytes], extension: bytes = b"") -> bytes:
    """Return the whole 101 response to a request; ``extension`` is the negotiated ``Sec-WebSocket-Extensions``.

    Header names are in lower case. Raise HandshakeError with the HTTP status to answer: 405 for a method other than
    GET, 426 for a missing upgrade or another version than 13, 400 for every other fault.
    """
    _check(method, http_version, headers)
    key = headers.get(b"sec-websocket-key", b"").strip()
    if not is_key(key):
        raise HandshakeError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    return response(key, extension)


def response(key: bytes, extension: bytes = b"") -> bytes:
    """Return the whole 101 response to a valid request with this ``Sec-WebSocket-Key``."""
    sha1 = _SHA1.copy()
    sha1.update(key + _GUID)
    head = _ACCEPTED + _to_base64(sha1.digest())[:-1]  # without its line feed: an argument for that takes longer
    if extension:
        head += b"\r\nSec-WebSocket-Extensions: " + extension
    return head + b"\r\n\r\n"


def _check(method: bytes, http_version: str, headers: Mapping[bytes, bytes]) -> None:
    """Raise HandshakeError for the first fault of a request, but for its key."""
    if method != b"GET":
        raise HandshakeError(405, f"WebSocket upgrade with {method.decode('latin-1')}: use GET", (("Allow", "GET"),))
    if http_version not in ("1.1", "2.0"):
        raise HandshakeError(
            400,
            f"WebSocket upgrade over HTTP/{http_version}: use HTTP/1.1; if you did, the proxy in front speaks the "
            "older version (Nginx: 'proxy_http_version 1.1;')",
        )
    if not wants_websocket(headers):
        raise HandshakeError(
            426,
            "this is a WebSocket address: send 'Upgrade: websocket'; if you did, the proxy in front removed it",
            (("Upgrade", "websocket"), ("Connection", "Upgrade"), *_VERSION_HEADER),
        )
    connection = headers.get(b"connection", b"").lower()
    if connection != b"upgrade" and b"upgrade" not in _tokens(connection):
        raise HandshakeError(400, "'Connection: Upgrade' is missing: the proxy in front must forward it")
    version = headers.get(b"sec-websocket-version", b"").strip()
    if version != b"13":
        shown = version.decode("latin-1") or "none"
        raise HandshakeError(426, f"Sec-WebSocket-Version is {shown}: this server speaks 13", _VERSION_HEADER)
    if b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0 "):
        raise HandshakeError(400, "WebSocket upgrade with a body: it would be taken for frames")


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip() for token in value.lower().split(b",")]


def is_key(key: bytes) -> bool:
    """Return whether a ``Sec-WebSocket-Key`` is 16 bytes in base64."""
    return _KEY.fullmatch(key) is not None
