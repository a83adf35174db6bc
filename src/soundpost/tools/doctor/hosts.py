"""Whether two host names lead to the same machine, and to which kind."""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import ip_address

from soundpost.wire.addresses import is_loopback_host


def same_host(one: str, other: str) -> bool:
    """Return whether two names lead to one machine: they are equal, or both are this machine's.

    ``localhost``, ``127.0.0.1``, ``::1``, ``0.0.0.0``, the machine's own names and addresses are one.
    """
    one, other = _plain(one), _plain(other)
    return one == other or (is_this_machine(one) and is_this_machine(other))


def is_loopback(host: str) -> bool:
    """Return whether a name leads every machine to itself, a browser's too, however it is written."""
    return is_loopback_host(_plain(host))


def is_unspecified(host: str) -> bool:
    """Return whether it is no address, but stands for all of a machine that listens: ``0.0.0.0``, ``::``."""
    try:
        return ip_address(_plain(host)).is_unspecified
    except ValueError:
        return False


def is_this_machine(host: str) -> bool:
    """Return whether a name leads to the machine that this runs on."""
    host = _plain(host)
    return is_loopback(host) or is_unspecified(host) or host == _plain(socket.gethostname()) or _is_own(host)


@lru_cache(maxsize=64)
def _is_own(host: str) -> bool:
    """Return whether all addresses of a name are of this machine's interfaces: sockets can be bound to no others."""
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
