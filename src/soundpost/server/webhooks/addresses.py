"""The addresses of endpoints: looked up once for each request, and refused if they are not those of the internet."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from soundpost.errors import SoundpostError

_REMEMBERED: Final = 10.0
"""Seconds for which the addresses of a host are remembered."""
_TRANSLATED: Final = ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway translates to an IPv4 address (RFC 6052)."""


class AddressRefused(SoundpostError):  # noqa: N818 - reads as the event it names
    """An endpoint has only addresses that ``private_webhooks = false`` refuses."""


class Resolver:
    """Looks up the addresses of hosts in threads; a host has one lookup at a time.

    With ``allow_private`` false, addresses that are not public are left out: those of the server's own machine and
    network, where other services may trust whoever reaches them. ``look_up`` returns the addresses of a host and port.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        look_up: Callable[[str, int], list[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow_private = allow_private
        self._look_up = look_up or _look_up
        self._clock = clock
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._lookups: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def addresses_of(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, best first: at least one. Raises OSError, and AddressRefused."""
        found = await self._addresses(host, port)
        if self._allow_private:
            return found
        allowed = [address for address in found if is_public(address)]
        if not allowed:
            raise AddressRefused(
                f"{host} has the address {found[0]}, which is not public, and [server] private_webhooks is false"
            )
        return allowed

    async def _addresses(self, host: str, port: int) -> list[str]:
        if is_address(host):
            return [host]
        key = (host, port)
        until, known = self._known.get(key, (0.0, []))
        if self._clock() < until:
            return known
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = asyncio.get_running_loop().create_future()
            # A daemon: a lookup that hangs must not keep the process from its end.
            thread = threading.Thread(target=self._in_thread, args=(key, lookup), daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # there are too many; the next request tries again
                raise OSError(f"{host} cannot be looked up: {error}") from None
            self._lookups[key] = lookup
        return await asyncio.shield(lookup)

    def _in_thread(self, key: tuple[str, int], lookup: asyncio.Future[list[str]]) -> None:
        result: list[str] | OSError
        try:
            result = self._look_up(*key)
        except (OSError, UnicodeError) as error:
            result = error if isinstance(error, OSError) else OSError(str(error))
        with suppress(RuntimeError):  # the loop has ended
            lookup.get_loop().call_soon_threadsafe(partial(self._end, key, lookup, result))

    def _end(self, key: tuple[str, int], lookup: asyncio.Future[list[str]], result: list[str] | OSError) -> None:
        del self._lookups[key]
        if isinstance(result, OSError):
            lookup.set_exception(result)
            lookup.exception()  # the caller may have given up
        else:
            self._known[key] = self._clock() + _REMEMBERED, result
            lookup.set_result(result)


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_address(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet.

    Private, loopback, link-local, multicast, reserved and unspecified addresses are not, in whatever form of IPv6.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.is_site_local:  # deprecated, and in use
            return False
        inner = _inner(ip)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for; None if it stands for none."""
    if ip in _TRANSLATED:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if not int(ip) >> 32 and int(ip) > 1:  # ::a.b.c.d, deprecated
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return None
