"""The first part of the way: from a name to an open TCP connection."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import time
from typing import Final, NamedTuple

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.base_url import Place
from soundpost.tools.doctor.findings import Found

_NO_ROUTE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_REFUSED: Final = (errno.ECONNREFUSED, errno.ECONNRESET)


class Address(NamedTuple):
    """One address of a name, as the socket module takes it."""

    family: int
    sockaddr: str | tuple[str, int] | tuple[str, int, int, int]

    def __str__(self) -> str:
        return self.sockaddr if isinstance(self.sockaddr, str) else self.sockaddr[0]


class Reached(NamedTuple):
    """An open connection, where it leads, how long it took, and which addresses did not work."""

    sock: socket.socket
    address: Address
    seconds: float
    dead: list[tuple[Address, str]]


def look_up(place: Place) -> list[Address]:
    """All addresses of a name. Raises Found."""
    if place.unix_socket:
        return [Address(socket.AF_UNIX, place.unix_socket)]
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
            raise Found("dns-failed", host=place.host, reason=error.strerror) from None
        raise Found("dns-unknown", host=place.host) from None
    except (UnicodeError, OSError):
        raise Found("dns-unknown", host=place.host) from None
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in dict.fromkeys(found)]  # type: ignore[arg-type]


def is_private(address: Address) -> bool:
    """Whether only this machine or its own network can reach an address."""
    return ipaddress.ip_address(str(address).partition("%")[0]).is_private


def connect(place: Place, addresses: list[Address], timeout: float | None = None) -> Reached:
    """Connect to the first address that answers. Raises Found for the fault of the first one when none does."""
    timeout = timeouts.CONNECT if timeout is None else timeout
    dead: list[tuple[Address, OSError]] = []
    for address in addresses:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        began = time.monotonic()
        try:
            sock.connect(address.sockaddr)
        except OSError as error:
            sock.close()
            dead.append((address, error))
            continue
        if address.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Reached(sock, address, time.monotonic() - began, [(each, _why(error)) for each, error in dead])
    raise _unreached(place, *dead[0], timeout)


def _unreached(place: Place, address: Address, error: OSError, timeout: float) -> Found:
    if error.errno in _REFUSED or (place.unix_socket and error.errno == errno.ENOENT):
        return Found("tcp-refused", host=place.host, port=place.port, address=address)
    if isinstance(error, TimeoutError) and error.errno not in _NO_ROUTE:
        return Found("tcp-timeout", host=place.host, port=place.port, address=address, seconds=f"{timeout:g}")
    return Found("tcp-unreachable", host=place.host, address=address, reason=_why(error))


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer"
    return os.strerror(error.errno) if error.errno else str(error)
