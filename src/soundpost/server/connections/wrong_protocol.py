"""Clients that speak another protocol than their port expects, and upgrades or paths that a proxy has changed.

Such faults are the most common ones of an installation behind a proxy. The client gets an answer that it can read, the
log a warning with the way out, but not for every connection. Probes of ``soundpost doctor`` get no warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from soundpost.log_throttle import MINUTE
from soundpost.server.api.requests import ApiError
from soundpost.server.connections.peer import UNKNOWN_ADDRESS, peer_address, shown
from soundpost.wire import codes
from soundpost.wire.client_address import HEADERS
from soundpost.wire.doctor_mark import is_from_doctor
from soundpost.wire.proxy_protocol import BEGINNINGS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from soundpost.errors import HandshakeError, ProxyHeaderError
    from soundpost.log_throttle import LogThrottle
    from soundpost.server.api.requests import Request
    from soundpost.server.connections.socket_transport import SocketTransport

_TLS_HANDSHAKE: Final = 0x16


class WrongProtocol:
    """Answers and warnings for connections that speak another protocol than their listener expects."""

    def __init__(self, log_throttle: LogThrottle, place: str, *, has_tls: bool) -> None:
        """``place``: the listener as log lines name it, such as ``port 8080``."""
        self._log_throttle = log_throttle
        self._place = place
        self._has_tls = has_tls

    def explain_bytes(self, transport: asyncio.BaseTransport | SocketTransport, data: bytes) -> ApiError | None:
        """Return the answer to bytes that are not an HTTP request; None if their protocol is not recognised."""
        if data[:1] and data[0] == _TLS_HANDSHAKE and not self._has_tls:
            if not is_from_doctor(data):
                self._log_throttle.warn(
                    "TLS to a plain port",
                    "a client speaks TLS to the plain %s (from %s): it was told to use https, wss or forceTLS here. "
                    "Give it the port on which a proxy terminates TLS (443 as a rule), or serve TLS here "
                    "(server.tls.certificate). An application on this machine publishes to http://, without TLS. "
                    "pusher-js also tries wss once where ws was not answered within 2 s: that is harmless",
                    self._place,
                    shown(peer_address(transport)),
                )
            return ApiError(400, "TLS on a plain HTTP port: use http:// (ws://) here, or the port that has TLS")
        if data.startswith(tuple(beginning[:6] for beginning in BEGINNINGS)):
            self._log_throttle.warn(
                "PROXY header",
                "the proxy at %s begins connections to %s with a PROXY header, which is not expected here: set "
                "server.proxy_protocol (SOUNDPOST_SERVER_PROXY_PROTOCOL=true), or switch it off in the proxy",
                shown(peer_address(transport)),
                self._place,
            )
            return ApiError(400, "A PROXY header is not expected on this port (server.proxy_protocol)")
        return None

    def explain_missing_tls(self, fault: ProxyHeaderError | None, data: bytes) -> ApiError:
        """Return the answer, sent without TLS, to plain HTTP on a port with TLS; ``data`` are its first bytes.

        ``fault``: the reason if the connection lacks a PROXY header that is expected first.
        """
        if fault is not None:
            return self.explain_missing_header(UNKNOWN_ADDRESS, fault)
        if not is_from_doctor(data):
            self._log_throttle.warn(
                "HTTP to a TLS port",
                "a client speaks plain HTTP to %s, which has TLS (server.tls.certificate): a proxy in front needs "
                "'proxy_pass https://…', a client https, wss or forceTLS. If the proxy is to terminate TLS, remove "
                "server.tls.certificate (SOUNDPOST_SERVER_TLS_CERTIFICATE)",
                self._place,
            )
        return ApiError(400, "Plain HTTP on a TLS port: use https:// (wss://) here")

    def explain_missing_header(self, peer: str, error: ProxyHeaderError) -> ApiError:
        """Return the answer to a connection from ``peer`` that lacks the PROXY header expected of all."""
        self._log_throttle.warn(
            "no PROXY header",
            "refused a connection to %s from %s: %s. The proxy must send one ('proxy_protocol on;' in Nginx's stream "
            "server, 'send-proxy' or 'send-proxy-v2' in HAProxy), or set server.proxy_protocol = false here",
            self._place,
            shown(peer),
            error,
        )
        return ApiError(400, "Connections to this port must begin with a PROXY header (server.proxy_protocol)")

    def explain_untrusted_proxy(self, peer: str) -> ApiError:
        """Return the answer to a peer that is not trusted to send a PROXY header, where one is expected."""
        self._log_throttle.warn(
            "untrusted PROXY header",
            "refused a connection to %s from %s: with server.proxy_protocol only trusted proxies may connect. If that "
            "is one, add its address to server.trusted_proxies (SOUNDPOST_SERVER_TRUSTED_PROXIES)",
            self._place,
            shown(peer),
        )
        return ApiError(400, "Only trusted proxies may connect to this port (server.trusted_proxies)")

    def warn_of_contradiction(self, peer: str, headers: Mapping[bytes, bytes]) -> None:
        """Log that a trusted proxy sent headers that name different clients: one is its own, another the client's."""
        found = "; ".join(
            f"{name.decode().title()}: {headers[name][:100].decode('latin-1')!a}" for name in HEADERS if name in headers
        )
        self._log_throttle.warn(
            "contradictory headers",
            "a request by way of %s says in different headers that it comes from different clients (%s): none is "
            "believed. Say which one your proxy sets: server.client_ip_header (SOUNDPOST_SERVER_CLIENT_IP_HEADER), "
            "such as X-Forwarded-For; and have the proxy clear the others",
            shown(peer),
            found,
        )


def upgrade_is_lost(log_throttle: LogThrottle, request: Request, error: HandshakeError) -> ApiError:
    """Return the answer to a request for a WebSocket without a valid upgrade; log it if a proxy took that out."""
    headers = request.headers()
    if asks_for_websocket(headers) and not is_doctors(headers):
        log_throttle.warn(
            "upgrade",
            "a client asked for a WebSocket at %.100a (Host: %.100a) and cannot get one: %s. Browsers try for ever. "
            "If a proxy is in front: Nginx needs 'proxy_http_version 1.1;', 'proxy_set_header Upgrade $http_upgrade;' "
            "and 'proxy_set_header Connection \"upgrade\";' where it forwards /app/ ('soundpost deploy nginx' writes "
            "it)",
            request.path,
            headers.get(b"host", b"none").decode("latin-1"),
            error,
            interval=MINUTE,
        )
    return ApiError(error.status, str(error), error.headers)


def asks_for_websocket(headers: Mapping[bytes, bytes]) -> bool:
    """Return True if a request asks for a WebSocket, even if a proxy has removed a part of the upgrade."""
    return any(name.startswith(b"sec-websocket-") or name == b"upgrade" for name in headers)


def is_doctors(headers: Mapping[bytes, bytes]) -> bool:
    """Return True for a request of ``soundpost doctor``, whose own output replaces the warning in the log."""
    return is_from_doctor(headers.get(b"user-agent", b""))


def path_hint(path: str) -> str:
    """Return a hint for a path that was not found; empty if none is known."""
    if "//" in path:
        return (
            "; a proxy made two slashes of one: its own path and that of proxy_pass both end with one ('location /ws/' "
            "with 'proxy_pass http://…/;'), or neither does"
        )
    for known in ("/apps/", "/app/", "/up"):
        at = path.find(known)
        if at > 0:
            return f"; if a path prefix is wanted, start with --path {path[:at]!a}"
    return ""


def path_is_wrong(log_throttle: LogThrottle, request: Request, prefix: str) -> str:
    """Return the reason why no WebSocket opens at a path; log it if a proxy may have changed the path."""
    reason = f"WebSocket connections go to {prefix}/app/KEY, not {request.path[:60]}{path_hint(request.path)}"
    if "/app/" in request.path and not is_doctors(request.headers()):
        log_throttle.warn(
            "path",
            "refused a WebSocket with %d: %s (Host: %.100a)",
            codes.PATH_NOT_FOUND,
            reason.encode("ascii", "backslashreplace").decode(),
            request.headers().get(b"host", b"none").decode("latin-1"),
            interval=MINUTE,
        )
    return reason
