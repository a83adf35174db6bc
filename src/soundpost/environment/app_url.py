"""The URL of an app, as an application is given it: ``http://KEY:SECRET@HOST:PORT/PREFIX/apps/APP_ID``.

The official Pusher libraries take URLs of this form (``PUSHER_URL``).
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted_fields
from soundpost.wire.addresses import USUAL_PORTS, AddressError, split_url


class AppUrl(NamedTuple):
    """The parts of an app's URL, percent-decoded; ``path`` is the prefix before ``/apps``."""

    scheme: str
    host: str
    port: int
    path: str
    app_id: str
    key: str
    secret: str
    has_query: bool
    """True for a URL with a query or a fragment."""

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")


def parse_app_url(url: str) -> AppUrl | None:
    """Return the parts of ``url``; None if it has another form. Raises AddressError for a wrong host or port."""
    parts = split_url(url)
    path, found, app_id = parts.path.rstrip("/").rpartition("/apps/")
    if parts.scheme not in ("http", "https") or not (found and app_id):
        return None
    if not (parts.hostname and parts.username and parts.password):
        return None
    return AppUrl(
        parts.scheme,
        parts.hostname,
        parts.port or USUAL_PORTS[parts.scheme],
        path,
        unquote(app_id),
        unquote(parts.username),
        unquote(parts.password),
        bool(parts.query or parts.fragment),
    )


def app_url_setting(url: str, place: str) -> AppUrl:
    """Return the parts of a URL that a setting has. Raises ConfigurationError, which begins with ``place``."""
    form = f"{place}: expected http://KEY:SECRET@HOST:PORT/apps/APP_ID (https in the open)"
    try:
        parts = parse_app_url(url)
    except AddressError as error:
        raise ConfigurationError(f"{form}: {error}; / ? # @ in a secret are written %2F %3F %23 %40") from None
    if parts is None or parts.has_query:
        raise ConfigurationError(form)
    return parts
