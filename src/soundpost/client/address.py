"""The addresses of a server: where its API is, and where its sockets are."""

from __future__ import annotations

from urllib.parse import quote

from soundpost import __version__
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import AddressError, split_url

PROTOCOL = 7
"""The version of the Pusher protocol that is asked for."""


def socket_url(base_url: str, key: str) -> str:
    """The WebSocket address of an app: ``http://host:8080/ws`` becomes ``ws://host:8080/ws/app/KEY?protocol=7&…``.

    ``ws`` and ``wss`` addresses are taken as well. Raises ConfigurationError.
    """
    try:
        parts = split_url(base_url)
    except AddressError as error:
        raise ConfigurationError(f"the server's address cannot be used: {error}") from None
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    query = f"protocol={PROTOCOL}&client=soundpost&version={__version__}"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/app/{quote(key, safe='')}?{query}"
