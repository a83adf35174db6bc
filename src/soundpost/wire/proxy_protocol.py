"""The PROXY protocol, versions 1 and 2: a proxy's header in front of a connection, with the client's address. No I/O.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from soundpost.errors import ProxyHeaderError
from soundpost.wire.client_address import unmapped

BEGINNINGS: Final = (b"PROXY ", b"\r\n\r\n\x00\r\nQUIT\n")
"""First bytes of a header of version 1, a line of text, and of version 2, binary."""

_MAX_LINE: Final = 107
_MAX_LENGTH: Final = (
    4096  # bytes of version 2: 16, addresses, and notes of the proxy, which may be a certificate's name
)
_LINE: Final = re.compile(rb"PROXY (?:UNKNOWN(?: .*)?|(TCP[46]) ([0-9.a-fA-F:]+) ([0-9.a-fA-F:]+) (\d{1,5}) (\d{1,5}))")
_LOCAL, _PROXIED = 0x20, 0x21
_INET, _INET6, _UNIX = 1, 2, 3
_ADDRESSES: Final = {0: 0, _INET: 12, _INET6: 36, _UNIX: 216}
"""Bytes of the addresses by address family; 0 for an unspecified family."""


class ProxyHeader(NamedTuple):
    """A decoded header of the PROXY protocol."""

    source: str | None
    """The client's address; None if the proxy speaks for itself (a health check), or its client has none."""
    size: int
    """Bytes of the header; the client's bytes follow."""


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """Return the header at the beginning of ``data``; None if the header is not whole yet. Raise ProxyHeaderError."""
    line, binary = BEGINNINGS
    if data.startswith(binary):
        return _read_binary(data)
    if data.startswith(line):
        return _read_line(data)
    if line.startswith(data) or binary.startswith(data):
        return None
    raise ProxyHeaderError(f"there is no PROXY header: the connection begins with {data[:16]!r}")


def _read_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _MAX_LINE)
    if end < 0:
        if len(data) < _MAX_LINE:
            return None
        raise ProxyHeaderError(f"the line of the PROXY header does not end within {_MAX_LINE} bytes")
    match = _LINE.fullmatch(data, 0, end)
    if match is None:
        raise ProxyHeaderError(f"the PROXY header cannot be understood: {data[:end]!r}")
    if match[1] is None:
        return ProxyHeader(None, end + 2)
    kind = IPv4Address if match[1] == b"TCP4" else IPv6Address
    try:
        return ProxyHeader(str(unmapped(kind(match[2].decode()))), end + 2)
    except ValueError as error:
        raise ProxyHeaderError(f"the PROXY header has a wrong address: {error}") from None


def _read_binary(data: bytes) -> ProxyHeader | None:
    if len(data) < 16:
        return None
    command, family = data[12], data[13] >> 4
    size = 16 + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXIED):
        raise ProxyHeaderError(f"the PROXY header is of a version or command that is unknown: {command:#04x}")
    if size > _MAX_LENGTH:
        raise ProxyHeaderError(f"the PROXY header is longer than {_MAX_LENGTH} bytes: {size}")
    if command == _PROXIED and size < 16 + _ADDRESSES.get(family, size):
        raise ProxyHeaderError(f"the PROXY header has no room for its addresses, or of an unknown family ({family})")
    if len(data) < size:
        return None
    if command == _PROXIED and family == _INET:
        return ProxyHeader(str(IPv4Address(data[16:20])), size)
    if command == _PROXIED and family == _INET6:
        return ProxyHeader(str(unmapped(IPv6Address(data[16:32]))), size)
    return ProxyHeader(None, size)
