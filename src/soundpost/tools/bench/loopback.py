"""Addresses of the server under test; other machines are loaded only with their owner's word."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from soundpost.http_failures import no_answer
from soundpost.wire.addresses import is_loopback_host


def addresses_of(base_url: str) -> list[str]:
    """Return the IP addresses of a server's host in the resolver's order. Raises RequestError for an unknown name."""
    try:
        found = socket.getaddrinfo(_host(base_url), port_of(base_url), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise no_answer(base_url, error) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def port_of(base_url: str) -> int:
    """Return the port of a server."""
    parts = urlsplit(base_url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def remote_server_refusal(base_url: str, addresses: list[str]) -> str | None:
    """Return the reason to refuse a load test without the owner's word; None for a server on this machine."""
    foreign = [address for address in addresses if not is_loopback_host(address)]
    if not foreign:
        return None
    host = _host(base_url)
    where = host if foreign == [host] else f"{host} ({', '.join(foreign)})"
    return (
        f"{where} is not this machine: thousands of connections are an attack on a server that is not yours; "
        "if it is, say so with --i-own-this-server"
    )


def reachable(base_url: str, addresses: list[str], timeout: float = 10.0) -> str:
    """Return the first address that accepts a connection within ``timeout`` seconds. Raises RequestError if none."""
    failure: OSError | None = None
    for address in addresses:
        try:
            with socket.create_connection((address, port_of(base_url)), timeout):
                return address
        except OSError as error:
            failure = error
    raise no_answer(base_url, failure or OSError("no address"))


def _host(base_url: str) -> str:
    return urlsplit(base_url).hostname or ""
