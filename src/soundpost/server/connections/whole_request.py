"""Reading of a request that arrives whole, in one read, and has a form that all parsers read in the same way.

Nearly all requests of applications and browsers have this form. llhttp reads all others (in parts, pipelined, in
chunks, with ``Expect``, of HTTP/1.0, with repeated or unusual fields, too large, broken); see :mod:`.request_reader`.

Measured per publish with three headers: llhttp with its callbacks 4.3 µs and 1.5 for a new reader, the function here in
Python 4.7, the one in C of ``_wholerequest.c`` 0.7. The latter is used where the package could be compiled.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Final

from soundpost.wire.client_address import HEADERS
from soundpost.wire.handshake import is_key

Handshake = tuple[bytes, bytes | None, bytes, bool]
"""Key, ``Origin``, ``Sec-WebSocket-Extensions``, and whether a header names a client's address."""
WholeRequest = tuple[bytes, str, str, bytes, bytes, bool, bool, bytes | None, Handshake | None]
"""Method, path and query as sent, lines of the header fields, body, whether the connection stays open, whether the
request asks for a WebSocket, value of ``Idempotency-Key``, and the handshake if it is one that opens a WebSocket."""
ReadWhole = Callable[[bytes, int, int], WholeRequest | None]
ReadFields = Callable[[bytes], dict[bytes, bytes]]

_MAX_FIELDS: Final = 64
_HEAD: Final = re.compile(
    rb"(GET|POST|DELETE) (/[-._~!$&'()*+,;=:@%/0-9a-zA-Z]*+)(\?[-._~!$&'()*+,;=:@%/?0-9a-zA-Z]*+)? HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9a-zA-Z]++: ?[!-~][ -~]*+(?<! )\r\n)*+)\r\n"
)
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,8}")
_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade"})
_FOR_LLHTTP: Final = frozenset({b"expect", b"proxy-connection", b"transfer-encoding"})
"""Names of fields that change how a message is read."""


def read_whole_in_python(data: bytes, max_head_size: int, max_request_size: int) -> WholeRequest | None:
    """Read bytes that are exactly one whole request of a known form; return None for any others.

    ``max_head_size`` and ``max_request_size`` are in bytes, of the head and of the body.
    """
    head = _HEAD.match(data)
    if head is None:
        return None
    method, path, query, lines = head.groups(b"")
    headers, count = read_fields_in_python(lines), lines.count(b"\n")
    if len(headers) != count or count > _MAX_FIELDS or b"host" not in headers:
        return None
    if head.end() > max_head_size or len(path) + len(query) + _size_of(headers) > max_head_size:
        return None
    connection = headers.get(b"connection", b"keep-alive").lower()
    length = headers.get(b"content-length", b"0")
    body = data[head.end() :]
    if connection not in _CONNECTION or not _FOR_LLHTTP.isdisjoint(headers) or not _LENGTH.fullmatch(length):
        return None
    if len(body) != int(length) or len(body) > max_request_size:
        return None
    upgrades = headers.get(b"upgrade", b"").lower() == b"websocket"
    if (b"upgrade" in headers) != upgrades or connection.endswith(b"upgrade") != upgrades:
        return None
    if upgrades and (method != b"GET" or b"content-length" in headers):
        return None
    target, question = path.decode(), query[1:].decode()
    key = headers.get(b"idempotency-key")
    keep_alive = connection != b"close"
    return method, target, question, lines, body, keep_alive, upgrades, key, _handshake(headers) if upgrades else None


def _handshake(headers: dict[bytes, bytes]) -> Handshake | None:
    """Return the fields of a request for a WebSocket; None if its version or its key is wrong."""
    key = headers.get(b"sec-websocket-key", b"")
    if headers.get(b"sec-websocket-version") != b"13" or not is_key(key):
        return None
    names_client = any(name in headers for name in HEADERS)
    return key, headers.get(b"origin"), headers.get(b"sec-websocket-extensions", b""), names_client


def read_fields_in_python(head: bytes) -> dict[bytes, bytes]:
    """Return header values by lower-case name, from the lines of a request that was read whole."""
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.removeprefix(b" ")
    return fields


def _size_of(headers: dict[bytes, bytes]) -> int:
    """Return the size of header lines in bytes, as :mod:`.request_reader` counts it."""
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


read_whole: ReadWhole = read_whole_in_python
read_fields: ReadFields = read_fields_in_python
with contextlib.suppress(ImportError):
    from soundpost.server.connections import _wholerequest

    read_whole, read_fields = _wholerequest.read_whole, _wholerequest.read_fields
