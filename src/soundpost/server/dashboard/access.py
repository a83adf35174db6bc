"""Rules of access to the dashboard: host names, sessions, tokens against requests of other sites.

Sources: https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html and
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import Final

from soundpost.config.settings import Settings
from soundpost.server.admin_http import AdminError, AdminRequest
from soundpost.server.dashboard.sessions import LoginSession, Sessions
from soundpost.wire.addresses import is_loopback_url, parse_public_url
from soundpost.wire.client_address import HEADERS, TrustedProxies, client_address, is_secure, subnet_of
from soundpost.wire.origins import is_of_host, needs_no_name_server, origin_of

_OF_PROXIES: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_OWN_SITE: Final = ("same-origin", "none")


class Access:
    """The rules for all requests. ``settings`` returns the current ones; ``clock`` is in seconds."""

    def __init__(
        self, settings: Callable[[], Settings], port: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._cookie = f"soundpost_{port}"  # browsers do not tell the ports of a host apart
        self._open = LoginSession(None, 0, 0)
        self.sessions = Sessions(clock)

    @property
    def password_hash(self) -> str | None:
        """Hash of the password; None if there is none, and only this machine is served."""
        return self._settings().dashboard.password_hash

    def check_host(self, request: AdminRequest) -> None:
        """Refuse a request under a name that a page of another site may have pointed here (DNS rebinding)."""
        host = request.headers.get("host", "")
        origin = origin_of(f"http://{host}")
        name = "" if origin is None else origin.host
        if self.password_hash is None:
            if origin is None or not is_loopback_url(f"http://{host}"):
                raise AdminError(
                    403,
                    f"Without a password the dashboard is for this machine only, not for {host[:100]!a}: open it at "
                    "http://127.0.0.1, or make a password with 'soundpost dashboard password'",
                )
            if any(header in request.headers for header in _OF_PROXIES):
                raise AdminError(
                    403,
                    "Without a password the dashboard is for this machine only, and this request came through a "
                    "proxy: make a password with 'soundpost dashboard password'",
                )
        elif not needs_no_name_server(name) and name not in self._names():
            raise AdminError(
                403,
                f"The dashboard is not served as {host[:100]!a}: open it at the server's IP address, or set hostname "
                "below [dashboard] to this name",
            )

    def _names(self) -> set[str]:
        """Return the host names under which the dashboard is served."""
        settings = self._settings()
        if settings.dashboard.hostname is not None:
            return {settings.dashboard.hostname.lower()}
        names = {settings.server.hostname}
        if settings.server.public_url is not None:
            names.add(parse_public_url(settings.server.public_url).host)
        return {name.lower() for name in names if name}

    def check_site(self, request: AdminRequest) -> None:
        """Refuse a request that a page of another site makes."""
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "none")
        host = request.headers.get("host", "")
        if site in _OWN_SITE and (origin is None or is_of_host(origin, host) or self._is_named(origin)):
            return
        asking = "another site" if origin is None else f"{origin[:100]!a}"
        raise AdminError(403, f"A page of {asking} asks, not the dashboard of {host[:100]!a}")

    def _is_named(self, origin: str) -> bool:
        """Return whether an origin has a configured name: a proxy may have put its own into ``Host``."""
        found = origin_of(origin)
        return found is not None and found.host in self._names()

    def session_of(self, request: AdminRequest) -> LoginSession:
        """Return the session of a request. Raises AdminError without one."""
        password_hash = self.password_hash
        if password_hash is None:
            return self._open
        token = request.cookies.get(self._cookie, "")
        session = self.sessions.find(token, password_hash) if token else None
        if session is None:
            raise AdminError(401, "Log in first: there is no session, or it has ended")
        return session

    def changing_session_of(self, request: AdminRequest) -> LoginSession:
        """Return the session of a request that changes something. Raises AdminError without one, or its token."""
        session = self.session_of(request)
        token = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(token.encode(), session.csrf.encode()):
            raise AdminError(403, "The header X-CSRF-Token is not that of the session: load the page again")
        return session

    def begin_session(self, request: AdminRequest) -> str:
        """Begin a session; return the value of ``Set-Cookie``."""
        token, _ = self.sessions.begin(self.password_hash or "")
        return self._cookie_line(request, token)

    def end_session(self, request: AdminRequest) -> str:
        """End the session of a request; return the value of ``Set-Cookie``."""
        self.sessions.end(request.cookies.get(self._cookie, ""))
        return f"{self._cookie_line(request, '')}; Max-Age=0"

    def _cookie_line(self, request: AdminRequest, token: str) -> str:
        secure = is_secure(request.address, _as_bytes(request), self._trusted())
        # Without a path: the browser takes that of the API, below whatever path a proxy has for the dashboard.
        return f"{self._cookie}={token}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"

    def address_of(self, request: AdminRequest) -> str:
        """Return the client's address, or its network for IPv6, as trusted proxies tell it."""
        found = client_address(request.address, _as_bytes(request), self._trusted())
        return subnet_of(found or request.address)

    def _trusted(self) -> TrustedProxies:
        return TrustedProxies(self._settings().server.trusted_proxies)


def _as_bytes(request: AdminRequest) -> dict[bytes, bytes]:
    names = (*(name.decode() for name in HEADERS), "x-forwarded-proto")
    return {
        name.encode(): request.headers[name].encode("latin-1", "replace") for name in names if name in request.headers
    }
