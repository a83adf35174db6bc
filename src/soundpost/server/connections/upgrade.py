"""The upgrade of an HTTP request to a WebSocket, and its refusal.

A refused client gets a WebSocket, an error and a close frame with the reason's code: browsers hide the status of
a failed handshake, and pusher-js would try for ever.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from urllib.parse import unquote

from soundpost.core import reports
from soundpost.core.app import App
from soundpost.core.client_info import ClientInfo, client_info
from soundpost.core.figures import count
from soundpost.core.node import Node
from soundpost.core.peers import Admission
from soundpost.errors import HandshakeError, ProtocolError
from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.server.api.requests import Request, query_parameters
from soundpost.server.connections.peer import shown
from soundpost.server.connections.refused_clients import note_lost_upgrade, note_refused_client
from soundpost.server.connections.websocket_connection import WebSocketConnection
from soundpost.server.connections.wrong_protocol import is_doctors, path_is_wrong, upgrade_is_lost
from soundpost.wire import codes, compression, frames, handshake, messages
from soundpost.wire.client_address import is_secure, subnet_of
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    import asyncio

    from soundpost.server.connections.http_connection import HttpConnection
    from soundpost.server.server import Server

log = logging.getLogger("soundpost.server")

PROTOCOLS: Final = ("5", "6", "7")
_REASONS: Final = {
    codes.APP_DOES_NOT_EXIST: "app",
    codes.APP_DISABLED: "app_disabled",
    codes.PATH_NOT_FOUND: "path",
    codes.INVALID_VERSION: "version",
    codes.UNSUPPORTED_PROTOCOL: "version",
    codes.NO_PROTOCOL: "version",
    codes.UNAUTHORIZED: "origin",
    codes.OVER_CAPACITY: "server_full",
}
"""Reasons to refuse a client before all nodes were asked, in the figures, by code of the error."""
_VERSION: Final = re.compile(r"[\w.+-]{1,64}")
_MAX_CACHED: Final = 300  # characters of a query and an origin that are remembered


class Upgrade:
    """A WebSocket about to open, once all nodes have counted it against ``max_connections``."""

    __slots__ = (
        "_app",
        "_client",
        "_compressed",
        "_counted",
        "_forwarded_address",
        "_http",
        "_is_admitted",
        "_origin",
        "_response",
        "_server",
        "early",
    )

    def __init__(
        self,
        server: Server,
        http: HttpConnection,
        app: App,
        response: bytes,
        compressed: bool,
        forwarded_address: str | None,
        origin: str | None,
        client: ClientInfo,
        early: bytes,
    ) -> None:
        self._server = server
        self._http = http
        self._app = app
        self._response = response
        self._compressed = compressed
        self._forwarded_address = forwarded_address
        self._origin = origin
        self._client = client
        self._counted: str | None = None
        self._is_admitted = False
        self.early = early
        """Bytes for the WebSocket that came together with the request."""

    def ask(self) -> None:
        """Ask the backplane to admit the connection; :meth:`admitted` gets the answer."""
        app = self._app
        if app.max_connections_per_ip is not None:
            self._counted = subnet_of(self._address) or None
        app.node.peers.admit(app.id, self.admitted, self._counted)
        if self._http.upgrade is self:  # the answer is still to come
            self._server.sockets.asked(self._http)

    def admitted(self, admission: Admission) -> None:
        """Open the WebSocket behind the answers to earlier requests, or refuse the client."""
        http, app = self._http, self._app
        if admission == "admitted":
            self._is_admitted = True
            self.open_if_answered()
            return
        http.upgrade = None
        if not http.is_open:
            return
        count(app.figures.refusals, admission)
        error = no_room_error(admission, self._address)
        self._server.log_throttle.warn(
            f"{admission} {app.settings.id}",
            "app %s: refused a client from %s with %d: %s",
            app.settings.id,
            shown(self._address),
            error.code,
            error,
            interval=MINUTE,
            extra=fields(app=app.settings.id, address=self._address, code=error.code),
        )
        note_refused_client(app.node, app, error, self._address, self._client.origin)
        _refuse(http, self._response, error)

    def open_if_answered(self) -> None:
        """Open the WebSocket, if it is admitted and all earlier requests are answered.

        If the client is gone, stop counting it.
        """
        http, app = self._http, self._app
        is_open = http.is_open
        if not self._is_admitted or (is_open and http.owes_answers):
            return
        http.upgrade = None
        if not is_open:
            app.node.peers.release(app.settings.id, self._counted)
            return
        connection = WebSocketConnection(app, self._server, http.transport, self._forwarded_address)
        if self._counted is not None:
            app.counted_addresses[connection.socket_id] = self._counted
        connection.takes_compressed = self._compressed
        connection.client = self._client
        if app.reports:
            reports.note_origin(connection, self._origin)
        http.hand_over(cast("asyncio.Protocol", connection))
        connection.open(self._response)
        if self.early:
            connection.data_received(self.early)

    @property
    def _address(self) -> str:
        return self._http.peer if self._forwarded_address is None else self._forwarded_address


def begin_upgrade(server: Server, http: HttpConnection, request: Request, early: bytes) -> None:
    """Answer an upgrade request; ``early`` are bytes that came with it."""
    if request.handshake is not None:
        key, sent_origin, offers, _names_client = request.handshake
        compressed = _compresses(server, offers)
        response = handshake.response(key, compression.RESPONSE if compressed else b"")
    else:
        headers = request.headers()
        sent_origin = headers.get(b"origin")
        compressed = _compresses(server, headers.get(b"sec-websocket-extensions", b""))
        extension = compression.RESPONSE if compressed else b""
        try:
            response = handshake.accept(request.method, request.http_version, headers, extension)
        except HandshakeError as error:
            note_lost_upgrade(server.node, request, error, http.client_ip(request))
            http.finish(upgrade_is_lost(server.log_throttle, request, error).response())
            return
    origin = None if sent_origin is None else sent_origin.decode("latin-1")
    if server.logs_debug:
        log.debug("asked for a WebSocket %s", _circumstances(server, http, request))
    try:
        if http.over_capacity or server.full_for_websockets:
            server.limits.warn_of_capacity(http.client_ip(request))
            raise no_room_error("server_full")
        app, client = app_for(server.node, server.prefix, request, origin, server.log_throttle)
    except ProtocolError as error:
        refused = app_named(server.node, server.prefix, request)
        count((server.node if refused is None else refused).figures.refusals, _REASONS[error.code])
        address = http.client_ip(request)
        log.debug("refused a client from %s with %d: %a", shown(address), error.code, str(error))
        if not is_doctors(request.headers()):
            note_refused_client(server.node, refused, error, address, origin)
        _refuse(http, response, error)
        return
    forwarded = http.forwarded_address(request)
    http.upgrade = Upgrade(server, http, app, response, compressed, forwarded, origin, client, early)
    http.upgrade.ask()


def _compresses(server: Server, offers: bytes) -> bool:
    """Return True if frames to a client with these offers of extensions are compressed."""
    return bool(offers) and server.settings.compression and compression.accepts(offers)


def _refuse(http: HttpConnection, response: bytes, error: ProtocolError) -> None:
    http.finish_with(
        response + messages.error(error.code, error.message) + frames.close_frame(error.code, error.message)
    )


def _circumstances(server: Server, http: HttpConnection, request: Request) -> str:
    """Return the address, proxy, scheme, host and origin of a request for the log."""
    headers, peer, client = request.headers(), http.peer, http.client_ip(request)
    way = "" if client == peer else f" by way of {shown(peer)}"
    scheme = {True: ", https", False: ", http", None: ""}[is_secure(peer, headers, server.trusted_proxies)]
    host, origin = (headers.get(name, b"none").decode("latin-1")[:100] for name in (b"host", b"origin"))
    return f"from {shown(client)}{way}{scheme}; Host: {host!a}, Origin: {origin!a}, {request.path[:100]!a}"


def no_room_error(admission: Admission, address: str = "") -> ProtocolError:
    """Return the error for a client that was not admitted."""
    if admission == "app_full":
        return ProtocolError(codes.OVER_QUOTA, "Application is over connection quota (max_connections)")
    if admission == "address_full":
        return ProtocolError(
            codes.OVER_QUOTA, f"Application is over connection quota of your address {address} (max_connections_per_ip)"
        )
    return ProtocolError(codes.OVER_CAPACITY, "Over capacity: the server has as many connections as it may open")


def app_for(
    node: Node, prefix: str, request: Request, origin: str | None, log_throttle: LogThrottle
) -> tuple[App, ClientInfo]:
    """Return the app that a client may connect to, with the client's library and origin.

    Raises ProtocolError with the close code if it may not connect.
    A refused origin is logged: as a rule it is a page of the operator's own.
    """
    app = app_named(node, prefix, request)
    if app is None:
        if not request.path.startswith(f"{prefix}/app/"):
            raise ProtocolError(codes.PATH_NOT_FOUND, f"Path not found: {path_is_wrong(log_throttle, request, prefix)}")
        key = unquote(request.path[len(prefix) + 5 :])
        shown = printable(key[:50])
        raise ProtocolError(codes.APP_DOES_NOT_EXIST, f"Application does not exist: no app has the key '{shown}'")
    settings = app.settings
    if not app.enabled:
        raise ProtocolError(codes.APP_DISABLED, "Application is disabled")
    query = read_query(request.query, origin)
    if query.fault is not None:
        raise ProtocolError(*query.fault)
    if not app.allows_all_origins and not settings.allows_origin(origin):
        if not is_doctors(request.headers()):
            log_throttle.warn(
                f"origin {settings.id}",
                "app %s: refused a page with %d: %s. allowed_origins has %.500s. If the page is yours, add its host "
                "(SOUNDPOST_APP_ALLOWED_ORIGINS)%s",
                settings.id,
                codes.UNAUTHORIZED,
                "it sent no Origin" if origin is None else f"its Origin is {origin[:100]!a}",
                ", ".join(settings.allowed_origins) or "none",
                "" if origin is not None else "; clients that are not browsers need allow_missing_origin",
                interval=MINUTE,
                extra=fields(app=settings.id, code=codes.UNAUTHORIZED, origin=(origin or "")[:100]),
            )
        raise ProtocolError(
            codes.UNAUTHORIZED, f"Origin not allowed: {'none was sent' if origin is None else origin[:60]}"
        )
    return app, query.client


def app_named(node: Node, prefix: str, request: Request) -> App | None:
    """Return the app whose key is in the path of a request for a WebSocket."""
    path, beginning = request.path, f"{prefix}/app/"
    if not path.startswith(beginning):
        return None
    key = path[len(beginning) :]
    return node.by_key.get(unquote(key) if "%" in key else key)


class Query(NamedTuple):
    """Content of the query with which a client asks for a WebSocket."""

    fault: tuple[int, str] | None
    """Code and message of the error with which the client is refused; None for a query without a fault."""
    client: ClientInfo
    """Library and origin of the client."""


def read_query(query: str, origin: str | None) -> Query:
    """Return the content of a query, still percent-encoded. Clients of one page all send the same."""
    size = len(query) + (0 if origin is None else len(origin))
    return _known_query(query, origin) if size <= _MAX_CACHED else _read_query(query, origin)


def _read_query(query: str, origin: str | None) -> Query:
    parameters = dict(query_parameters(query))
    return Query(_fault_of(parameters), client_info(parameters, origin))


_known_query: Final = lru_cache(maxsize=1_024)(_read_query)


def _fault_of(parameters: dict[str, str]) -> tuple[int, str] | None:
    protocol = parameters.get("protocol")
    if protocol is None:
        return codes.NO_PROTOCOL, "No protocol version supplied: add ?protocol=7"
    if protocol not in PROTOCOLS:
        return codes.UNSUPPORTED_PROTOCOL, f"Unsupported protocol version '{printable(protocol[:20])}': use 7"
    version = parameters.get("version")
    if version is not None and not _VERSION.fullmatch(version):
        return codes.INVALID_VERSION, f"Invalid version string format: {version[:40]!a}"
    return None
