"""Reports of a node: events that no other part of the server knows, as records for the webhooks of its apps.

A report is made only if an endpoint of the app wants it: :attr:`soundpost.core.app.App.reports` has its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from soundpost.core import webhook_records
from soundpost.wire.json_text import read_json

if TYPE_CHECKING:
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection

CONNECTIONS: Final = frozenset({"connection_opened", "connection_closed"})
"""Names of the events about connections."""
_IN_NO_FRAME: Final = (1005, 1006)
"""Codes in libraries for a close frame without a code, and for a missing close frame (RFC 6455, 7.4.1)."""


class Origin(NamedTuple):
    """The place that a connection comes from."""

    address: str
    """Address of the client; empty if the server does not know it."""
    origin: str | None
    """``Origin`` header of the handshake; None if there was none."""


def note_origin(connection: Connection, origin: str | None) -> None:
    """Remember address and ``Origin`` of a connection until it closes, if a webhook endpoint gets events about
    connections."""
    app = connection.app
    if not CONNECTIONS.isdisjoint(app.reports):
        app.origins[connection.socket_id] = Origin(connection.address, origin)


def connection_opened(connection: Connection) -> None:
    """Report that a client got its hello."""
    _report_connection(connection, "connection_opened", connection.app.origins.get(connection.socket_id))


def connection_closed(connection: Connection, user_id: str | None, code: int | None) -> None:
    """Report a closed connection, with its signed-in user and the code of the close frame, if there were any."""
    origin = connection.app.origins.pop(connection.socket_id, None)
    code = None if code in _IN_NO_FRAME else code
    _report_connection(connection, "connection_closed", origin, user_id, code)


def _report_connection(
    connection: Connection, name: str, origin: Origin | None, user_id: str | None = None, code: int | None = None
) -> None:
    app = connection.app
    if name in app.reports:
        known = origin or Origin("", None)
        event = webhook_records.connection_event(name, connection.socket_id, *known, user_id, code)
        app.node.peers.report(app.settings.id, event)


def client_event(connection: Connection, channel: Channel, event: str, data: bytes) -> None:
    """Report a client event; ``data`` is JSON. The report has a JSON string's content, and other data as JSON."""
    app = connection.app
    if "client_event" not in app.reports:
        return
    value = read_json(data) if data.startswith(b'"') else data.decode() or "null"
    user_id = channel.subscribers.get(connection)
    if user_id is None and connection.user is not None:
        user_id = connection.user.id
    record = webhook_records.client_event(channel.name, event, value, connection.socket_id, user_id)
    app.node.peers.report(app.settings.id, record)


def cache_miss(channel: Channel) -> None:
    """Report that a cache channel had no event for a new subscriber."""
    app = channel.app
    if "cache_miss" in app.reports:
        app.node.peers.report(app.settings.id, webhook_records.channel_event("cache_miss", channel.name))
