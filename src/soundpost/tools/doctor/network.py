"""DNS look-up and TCP connections."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
import time
from typing import Final, NamedTuple

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.faults.connection import PORT_OF_A_PROXY
from soundpost.tools.doctor.findings import FaultFound

_NO_ROUTE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_REFUSED: Final = (errno.ECONNREFUSED, errno.ECONNRESET)


class SocketAddress(NamedTuple):
    """Address family and address of a host, as the socket module takes them."""

    family: int
    sockaddr: str | tuple[str, int] | tuple[str, int, int, int]

    def __str__(self) -> str:
        return self.sockaddr if isinstance(self.sockaddr, str) else self.sockaddr[0]


class OpenedConnection(NamedTuple):
    """Open connection, its address, the seconds to open it, and addresses that failed before with reasons."""

    sock: socket.socket
    address: SocketAddress
    seconds: float
    failed: list[tuple[SocketAddress, str]]


def look_up_addresses(base_url: BaseUrl) -> list[SocketAddress]:
    """Return all addresses of a base URL's host. Raises FaultFound."""
    if base_url.unix_socket and sys.platform != "win32":
        return [SocketAddress(socket.AF_UNIX, base_url.unix_socket)]
    try:
        found = socket.getaddrinfo(base_url.host, base_url.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
            raise FaultFound("dns-failed", host=base_url.host, reason=error.strerror) from None
        raise FaultFound("dns-unknown", host=base_url.host) from None
    except (UnicodeError, OSError):
        raise FaultFound("dns-unknown", host=base_url.host) from None
    return [SocketAddress(family, sockaddr) for family, _, _, _, sockaddr in dict.fromkeys(found)]  # type: ignore[arg-type]


def is_private(address: SocketAddress) -> bool:
    """Return whether only this machine or its own network can reach an address."""
    return ipaddress.ip_address(str(address).partition("%")[0]).is_private


def connect(base_url: BaseUrl, addresses: list[SocketAddress], timeout: float | None = None) -> OpenedConnection:
    """Connect to the first address that answers. Raises FaultFound for the first address if none answers."""
    timeout = timeouts.CONNECT if timeout is None else timeout
    failed: list[tuple[SocketAddress, OSError]] = []
    for address in addresses:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        began = time.monotonic()
        try:
            sock.connect(address.sockaddr)
        except OSError as error:
            sock.close()
            failed.append((address, error))
            continue
        if not base_url.unix_socket:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return OpenedConnection(
            sock, address, time.monotonic() - began, [(each, _why(error)) for each, error in failed]
        )
    raise _unreached(base_url, *failed[0], timeout)


def _unreached(base_url: BaseUrl, address: SocketAddress, error: OSError, timeout: float) -> FaultFound:
    where = base_url.host if base_url.host == str(address) else f"{base_url.host} ({address})"
    if error.errno in _REFUSED or (base_url.unix_socket and error.errno == errno.ENOENT):
        situation = PORT_OF_A_PROXY if base_url.port in (80, 443) else ""
        return FaultFound("tcp-refused", situation, where=where, port=base_url.port)
    if isinstance(error, TimeoutError) and error.errno not in _NO_ROUTE:
        return FaultFound("tcp-timeout", where=where, port=base_url.port, seconds=f"{timeout:g}", address=address)
    return FaultFound("tcp-unreachable", where=where, reason=_why(error))


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer"
    return os.strerror(error.errno) if error.errno else str(error)
