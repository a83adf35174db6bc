"""Where a client is when there are proxies on its way: what their headers say, and whom to believe. No I/O.

Sources: https://www.rfc-editor.org/rfc/rfc7239 (``Forwarded``),
https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

HEADERS: Final = (b"x-forwarded-for", b"x-real-ip", b"forwarded")
"""In which proxies say where a client is."""

_MOST_HOPS: Final = 32  # looked at; each costs some microseconds, and a client may send as many as a head has room for
_LONGEST: Final = 64  # characters of an address: more are not worth a look
_SUBNET: Final = 64  # bits of an IPv6 address that are its owner's network: the rest is for him to choose


class TrustedProxies:
    """The peers that are believed: addresses, networks (``10.0.0.0/8``), ``*`` for all. A Unix socket's always is."""

    def __init__(self, proxies: Iterable[str]) -> None:
        """Raises ValueError for what is none of these."""
        proxies = list(proxies)
        self._all = "*" in proxies
        self._networks = [ip_network(proxy, strict=False) for proxy in proxies if proxy != "*"]

    def trusts(self, address: str) -> bool:
        """Whether to believe the peer at an address; empty: that of a Unix socket."""
        if self._all or not address:
            return True
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def normal_address(text: str) -> str | None:
    """The address in one of the forms in which it is written: with a port, brackets, quotes, a zone, as IPv4 in IPv6.

    None for what is no address.
    """
    text = text.strip().strip('"')
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):
        text, _, rest = text[1:].partition("]")
        if rest and not _is_port(rest):
            return None
    elif text.count(":") == 1:
        text, colon, port = text.partition(":")
        if not _is_port(colon + port):
            return None
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def client_address(
    peer: str, headers: Mapping[bytes, bytes], trusted: TrustedProxies, counted: Sequence[bytes] = HEADERS
) -> str | None:
    """Where a client is whose request (header names in lower case) came by way of ``peer``; empty: a Unix socket.

    What a trusted peer says in one of the ``counted`` headers is believed, and so on from proxy to proxy: it is the
    nearest address that is no trusted proxy, for what is said beyond that may be invented. A proxy sets one of the
    headers, and most hand on the others as the client sent them: so several of them count only if they agree. None for
    a request whose headers contradict one another.
    """
    names = [name for name in counted if name in headers]
    if not names or not trusted.trusts(peer):
        return peer
    ways = [_way(peer, _hops(name, headers[name]), trusted) for name in names]
    longest = max(ways, key=len)
    # A proxy behind a proxy may write its own peer into one header and the whole way into another.
    if any(way[-1] not in longest[1:] for way in ways) and len(ways) > 1:
        return None
    return longest[-1]


def _way(peer: str, hops: Iterable[str], trusted: TrustedProxies) -> list[str]:
    """The peer, and whom a header names before it, as far as they are believed."""
    way = [peer]
    for hop in hops:
        address = normal_address(hop) if trusted.trusts(way[-1]) else None
        if address is None:
            break
        way.append(address)
    return way


def is_secure(peer: str, headers: Mapping[bytes, bytes], trusted: TrustedProxies) -> bool | None:
    """Whether a client uses https or wss, as a trusted proxy says; None if none says it."""
    if not trusted.trusts(peer):
        return None
    said = headers.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip().lower()
    return {b"https": True, b"wss": True, b"http": False, b"ws": False}.get(said)


def subnet_of(address: str) -> str:
    """Under which address connections are counted: of IPv6, a network of 64 bits, which is one client's as a rule."""
    return str(IPv6Network((address, _SUBNET), strict=False)) if ":" in address else address


def _hops(name: bytes, value: bytes) -> Iterator[str]:
    """From the nearest to the farthest."""
    if name == b"x-real-ip":
        yield value.decode("latin-1")
    elif name == b"x-forwarded-for":
        yield from _from_the_right(value)
    else:
        for element in _from_the_right(value):
            pairs = (pair.partition("=") for pair in element.split(";"))
            yield next((value for name, _, value in pairs if name.strip().lower() == "for"), "")


def _from_the_right(value: bytes) -> list[str]:
    return value.decode("latin-1").rsplit(",", _MOST_HOPS)[: -_MOST_HOPS - 1 : -1]


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isdigit() and text.isascii()
