"""Client addresses behind proxies, from forwarding headers of trusted proxies. No I/O.

Sources: https://www.rfc-editor.org/rfc/rfc7239 (``Forwarded``),
https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

HEADERS: Final = (b"x-forwarded-for", b"x-real-ip", b"forwarded")
"""Headers in which proxies name the client's address."""

_MAX_HOPS: Final = 32  # each costs some microseconds, and a client may send as many as a head has room for
_MAX_LENGTH: Final = 64  # characters of an address
_SUBNET: Final = 64  # bits of the network in an IPv6 address: its owner chooses the rest
_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # IPv4 addresses as a socket for both versions has them
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")  # IPv4 addresses behind a NAT64 (RFC 6052)


class TrustedProxies:
    """Proxies that are believed: addresses, networks (``10.0.0.0/8``), ``*`` for all. Unix sockets always are."""

    def __init__(self, proxies: Iterable[str]) -> None:
        """Raise ValueError for an entry that is not an address, network or ``*``."""
        proxies = list(proxies)
        self._all = "*" in proxies
        self._networks = [_unmapped_network(proxy) for proxy in proxies if proxy != "*"]

    def trusts(self, address: str) -> bool:
        """Return whether the peer at an address is believed; the address of a Unix socket is empty."""
        if self._all or not address:
            return True
        try:
            found = unmapped(ip_address(address))
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def normal_address(text: str) -> str | None:
    """Return an address in its normal form; None for a text that is not an address.

    The text may have a port, brackets, quotes, a zone, or IPv4 in IPv6.
    """
    text = text.strip().strip('"')
    if len(text) > _MAX_LENGTH:
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
        return str(unmapped(ip_address(text.partition("%")[0])))
    except ValueError:
        return None


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address such as ``::ffff:203.0.113.7`` stands for; any other as it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _unmapped_network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


def client_address(
    peer: str, headers: Mapping[bytes, bytes], trusted: TrustedProxies, counted: Sequence[bytes] = HEADERS
) -> str | None:
    """Return the client's address of a request that came from ``peer``; None if its headers contradict one another.

    Header names are in lower case; ``peer`` is empty for a Unix socket. A trusted peer is believed in the ``counted``
    headers, and so on from proxy to proxy: the client is the nearest address that is not a trusted proxy, as addresses
    beyond may be invented. A proxy sets one of the headers, and most proxies hand on the others as the client sent
    them: so several headers count only if they agree.
    """
    names = [name for name in counted if name in headers]
    if not names or not trusted.trusts(peer):
        return peer
    paths = [_path(peer, _hops(name, headers[name]), trusted) for name in names]
    longest = max(paths, key=len)
    # A proxy behind a proxy may write its own peer into one header and the whole path into another.
    if any(path[-1] not in longest[1:] for path in paths) and len(paths) > 1:
        return None
    return longest[-1]


def _path(peer: str, hops: Iterable[str], trusted: TrustedProxies) -> list[str]:
    """Return the peer and the hops that a header names, nearest first, as far as they are believed."""
    path = [peer]
    for hop in hops:
        address = normal_address(hop) if trusted.trusts(path[-1]) else None
        if address is None:
            break
        path.append(address)
    return path


def is_secure(peer: str, headers: Mapping[bytes, bytes], trusted: TrustedProxies) -> bool | None:
    """Return whether the client uses https or wss, from ``X-Forwarded-Proto``; None if no trusted proxy says it."""
    if not trusted.trusts(peer):
        return None
    scheme = headers.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip().lower()
    return {b"https": True, b"wss": True, b"http": False, b"ws": False}.get(scheme)


def subnet_of(address: str) -> str:
    """Return the address under which connections are counted: for IPv6 the /64 network, usually one client's.

    An IPv6 address that stands for an IPv4 address is counted as that one.
    """
    if ":" not in address:
        return address
    found = IPv6Address(address)
    if found in _MAPPED or found in _TRANSLATED:
        return str(IPv4Address(int(found) & 0xFFFFFFFF))
    return str(IPv6Network((address, _SUBNET), strict=False))


def _hops(name: bytes, value: bytes) -> Iterator[str]:
    """Yield the addresses of a header, from the nearest hop to the farthest."""
    if name == b"x-real-ip":
        yield value.decode("latin-1")
    elif name == b"x-forwarded-for":
        yield from _from_the_right(value)
    else:
        for element in _from_the_right(value):
            pairs = (pair.partition("=") for pair in element.split(";"))
            yield next((value for name, _, value in pairs if name.strip().lower() == "for"), "")


def _from_the_right(value: bytes) -> list[str]:
    return value.decode("latin-1").rsplit(",", _MAX_HOPS)[: -_MAX_HOPS - 1 : -1]


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isdigit() and text.isascii()
