"""The URL of an endpoint, as its parts in a request."""

from __future__ import annotations

from base64 import b64encode
from typing import Final, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from soundpost.wire.addresses import USUAL_PORTS, AddressError
from soundpost.wire.http_exchange import host_header

_IN_PATHS: Final = "!$%&'()*+,-./:;=@[\\]^_|~"
"""Characters that stay as they are, beside letters and digits; one of them is the percent sign of what is escaped."""
_IN_QUERIES: Final = f"{_IN_PATHS}?`{{}}"


class EndpointUrl(NamedTuple):
    """The parts of a URL."""

    is_tls: bool
    host: str
    """Name or address, an IPv6 address without brackets."""
    port: int
    host_header: str
    target: str
    """Path and query, as in the first line of a request."""
    credentials: str
    """The header ``Authorization`` for user name and password, empty without them."""


def split_endpoint_url(url: str) -> EndpointUrl:
    """Return the parts of a URL. Raises ValueError for one that nobody can send a request to."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in USUAL_PORTS or not host:
        raise AddressError("an address such as 'https://example.com/webhooks' is expected")
    if not host.isascii():
        raise AddressError("its host name has characters that are not ASCII: write the name as xn--…")
    is_tls = parts.scheme == "https"
    port = parts.port or USUAL_PORTS[parts.scheme]
    query = f"?{quote(parts.query, safe=_IN_QUERIES)}" if parts.query else ""
    target = quote(_without_dots(parts.path), safe=_IN_PATHS) or "/"
    address, _, zone = host.replace("%25", "%").partition("%")
    return EndpointUrl(
        is_tls=is_tls,
        host=f"{address}%{zone}" if zone else host,
        port=port,
        host_header=host_header(address, port, is_tls=is_tls),
        target=target + query,
        credentials=_credentials(parts),
    )


def _without_dots(path: str) -> str:
    """Return a path without the segments ``.`` and ``..`` (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _credentials(parts: SplitResult) -> str:
    if "@" not in parts.netloc:
        return ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
