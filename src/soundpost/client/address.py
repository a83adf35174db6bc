"""The WebSocket address of an app."""

from __future__ import annotations

from urllib.parse import quote

from soundpost import __version__
from soundpost.client.arguments import check_text
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted_url
from soundpost.wire.addresses import AddressError, split_url

PROTOCOL = 7
"""The version of the Pusher protocol that the client asks for."""


def socket_url(base_url: str, key: str) -> str:
    """Return the WebSocket address of an app: ``http://host:8080/ws`` becomes ``ws://host:8080/ws/app/KEY?protocol=7&…``.

    ``base_url`` may also begin with ``ws`` or ``wss``. Its query is kept, such as a token for a gateway. Raises
    ConfigurationError.
    """
    check_text(base_url, "the server's address")
    check_text(key, "the app's key")
    if "://" not in base_url:
        shown = redacted_url(f"http://{base_url}")
        raise ConfigurationError(
            f"the server's address has no scheme: write {shown!r}, or the same with https:// if the server has a "
            "certificate"
        )
    try:
        parts = split_url(base_url)
    except AddressError as error:
        raise ConfigurationError(f"the server's address cannot be used: {error}") from None
    if parts.scheme not in ("http", "https", "ws", "wss"):
        raise ConfigurationError(
            f"the server's address begins with {parts.scheme!r}: http, https, ws or wss is expected"
        )
    end = f"/app/{quote(key, safe='')}"
    path = parts.path.rstrip("/")
    if path.endswith(end):
        raise ConfigurationError(f"the server's address ends with {end}, which the client adds: leave it out")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    own = f"{parts.query}&" if parts.query else ""
    query = f"{own}protocol={PROTOCOL}&client=soundpost&version={__version__}"
    return f"{scheme}://{parts.netloc}{path}{end}?{query}"
