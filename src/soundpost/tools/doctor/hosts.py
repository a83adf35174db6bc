"""Comparison of host names by the machine that they lead to."""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import ip_address

from soundpost.wire.addresses import is_loopback_host


def same_host(one: str, other: str) -> bool:
    """Return whether two names lead to one machine: the names are equal, or both are this machine's.

    ``localhost``, ``127.0.0.1``, ``::1``, ``0.0.0.0``, the machine's own names and addresses are one.
    """
    one, other = _plain(one), _plain(other)
    return one == other or (is_this_machine(one) and is_this_machine(other))


def is_loopback(host: str) -> bool:
    """Return whether a name leads every machine to itself, in any spelling."""
    return is_loopback_host(_plain(host))


def is_unspecified(host: str) -> bool:
    """Return whether a name stands for all addresses of a listening machine: ``0.0.0.0`` or ``::``."""
    try:
        return ip_address(_plain(host)).is_unspecified
    except ValueError:
        return False


def is_this_machine(host: str) -> bool:
    """Return whether a name leads to this machine."""
    host = _plain(host)
    return is_loopback(host) or is_unspecified(host) or host == _plain(socket.gethostname()) or _is_own(host)


@lru_cache(maxsize=64)
def _is_own(host: str) -> bool:
    """Return whether all addresses of a name belong to this machine: sockets bind to no others."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: int, address: object) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(address)  # type: ignore[arg-type]
    except OSError:
        return False
    return True


def _plain(host: str) -> str:
    return host.strip().strip("[]").rstrip(".").lower()
