"""Refusals of clients at the handshake, noted for operators with the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from soundpost.core.figures import count
from soundpost.core.refusals import note_refusal
from soundpost.server.connections.wrong_protocol import asks_for_websocket, is_doctors
from soundpost.wire import codes

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.node import Node
    from soundpost.errors import HandshakeError, ProtocolError
    from soundpost.server.api.requests import Request

_WAYS_OUT: Final[Mapping[int, str]] = {
    codes.APP_DOES_NOT_EXIST: "Give the page the key of the app (SOUNDPOST_APP_KEY)",
    codes.APP_DISABLED: "Set enabled = true for the app, and call 'soundpost reload'",
    codes.OVER_QUOTA: "Raise the limit of the app, or find out who holds so many connections",
    codes.PATH_NOT_FOUND: "Give the client the address of this server as it is, or set [server] path",
    codes.INVALID_VERSION: "Correct the version parameter of the client",
    codes.UNSUPPORTED_PROTOCOL: "Use a library that speaks version 5 to 7 of the protocol, such as pusher-js",
    codes.NO_PROTOCOL: "Use a Pusher library, such as pusher-js",
    codes.OVER_CAPACITY: "Raise max_connections of the server and the limit of open files ('soundpost doctor' shows "
    "both), or add hosts",
}


def note_refused_client(node: Node, app: App | None, error: ProtocolError, address: str, origin: str | None) -> None:
    """Note that a client is refused at the handshake; ``app`` is the one that it named, if there is one."""
    way_out = _WAYS_OUT.get(error.code, "")
    if error.code == codes.UNAUTHORIZED:
        way_out = "If the page is yours, add its host to allowed_origins (SOUNDPOST_APP_ALLOWED_ORIGINS)"
        if origin is None:
            way_out += "; clients that are not browsers need allow_missing_origin"
    note_refusal(
        node,
        "connection",
        f"{error.message.rstrip('.')}. {way_out}",
        error.code,
        app_id="" if app is None else app.settings.id,
        address=address,
        origin=origin or "",
    )


def note_lost_upgrade(node: Node, request: Request, error: HandshakeError, address: str) -> None:
    """Count and note that a request for a WebSocket is not a valid upgrade: as a rule a proxy has changed it.

    A person who looks at the address by a browser, and ``soundpost doctor``, ask for none.
    """
    headers = request.headers()
    if not asks_for_websocket(headers) or is_doctors(headers):
        return
    count(node.figures.refusals, "upgrade")
    note_refusal(
        node,
        "connection",
        f"The request for a WebSocket at {request.path[:100]} is not a valid upgrade: {error}. A proxy in front must "
        "hand Upgrade and Connection on ('soundpost deploy nginx' writes how)",
        error.status,
        address=address,
        origin=headers.get(b"origin", b"").decode("latin-1"),
    )
