"""The dashboard of a daemon: its listener, its login, and all that its page asks for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from inspect import isawaitable
from socket import gethostname
from typing import Final

from msgspec.structs import replace

from soundpost import __version__
from soundpost.config.settings import DashboardSettings
from soundpost.errors import StartError
from soundpost.log_fields import fields
from soundpost.server.admin_http import (
    AdminError,
    AdminListener,
    AdminRequest,
    Answer,
    Routes,
    check_address,
    json_answer,
)
from soundpost.server.dashboard.access import Access
from soundpost.server.dashboard.channel_page import ChannelPages
from soundpost.server.dashboard.daemon_view import DaemonView, FiguresView
from soundpost.server.dashboard.event_creator import EventCreator
from soundpost.server.dashboard.inspection_pages import InspectionPages
from soundpost.server.dashboard.login import Login
from soundpost.server.dashboard.overview import Overview
from soundpost.server.dashboard.password import PasswordError, check_hash
from soundpost.server.dashboard.static_files import StaticFiles
from soundpost.server.dashboard.tail_stream import TailStreams
from soundpost.server.dashboard.webhook_pages import WebhookPages
from soundpost.server.processes.handover import hand_over, taken_over
from soundpost.wire.printable import one_line

log = logging.getLogger("soundpost.dashboard")

DEFAULT_PORT: Final = 8090
"""Port of the dashboard, if none is configured."""
_HEADERS: Final = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_NAME: Final = "dashboard"
_LOGIN: Final = "/api/login"
_MAX_LOGGED: Final = 200
_NOT_KEPT: Final = (("Cache-Control", "no-store"),)


def inherited_sessions() -> bytes:
    """Return the sessions that this process has inherited, once; empty for most processes."""
    return taken_over(_NAME, loss="operators have to log in again").get("sessions", b"")


def check_dashboard(now: DashboardSettings, then: DashboardSettings) -> None:
    """Raise StartError if a process with the settings ``then`` could not take the place of this one."""
    if then.is_on:
        _check_password_hash(then)
        check_address((now.host, _port(now)) if now.is_on else None, (then.host, _port(then)), name=_NAME)


def kept_dashboard(now: DashboardSettings, then: DashboardSettings) -> DashboardSettings:
    """Return the settings of a dashboard that goes on where it listens: with a new password, but never without one."""
    return replace(now, password_hash=then.password_hash or now.password_hash)


def _check_password_hash(settings: DashboardSettings) -> None:
    if settings.password_hash is not None:
        try:
            check_hash(settings.password_hash)
        except PasswordError as error:
            raise StartError(str(error)) from None


def _port(settings: DashboardSettings) -> int:
    return DEFAULT_PORT if settings.port is None else settings.port


class Dashboard:
    """The dashboard of a daemon. ``clock`` is in seconds."""

    def __init__(self, daemon: DaemonView, figures: FiguresView, clock: Callable[[], float] = time.monotonic) -> None:
        """Bind the address. Raises StartError with the obstacle."""
        self._daemon = daemon
        settings = daemon.settings.dashboard
        _check_password_hash(settings)
        self.listener = AdminListener(settings.host, _port(settings), self._answer, name=_NAME)
        self.access = Access(lambda: daemon.settings, self.listener.port, clock)
        self._static = StaticFiles()
        self.access.sessions.take_over(inherited_sessions())
        login = Login(self.access, clock)
        events = EventCreator(daemon)
        webhooks = WebhookPages(daemon)
        overview = Overview(figures, self._is_alive)
        tails = TailStreams(daemon, self._is_alive)
        pages = InspectionPages(daemon)
        channels = ChannelPages(daemon)
        self._api = Routes(
            {
                f"POST {_LOGIN}": login.log_in,
                "POST /api/logout": login.log_out,
                "GET /api/session": self._session,
                "GET /api/overview": overview.overview,
                "GET /api/live": overview.live,
                "GET /api/tail": tails.tail,
                "GET /api/refusals": pages.list_refusals,
                "GET /api/apps/{app}/channels": pages.list_channels,
                "GET /api/apps/{app}/channels/{name}": channels.get_channel,
                "GET /api/apps/{app}/connections": pages.list_connections,
                "GET /api/apps/{app}/connections/{socket}": pages.get_connection,
                "DELETE /api/apps/{app}/connections/{socket}": pages.close_connection,
                "POST /api/apps/{app}/events": events.publish,
                "GET /api/apps/{app}/webhooks": webhooks.list_endpoints,
                "POST /api/apps/{app}/webhooks/{number}/resend": webhooks.send_again,
                "POST /api/apps/{app}/users/terminate": events.terminate_user,
            }
        )

    async def start(self) -> None:
        """Begin to serve the dashboard."""
        await self.listener.start()
        with_login = "" if self.access.password_hash is None else ", with a login"
        log.info("the dashboard is at %s%s", self.listener.url, with_login)

    def hand_over(self) -> None:
        """Leave listening sockets and sessions to the program that this process executes next."""
        self.listener.hand_over()
        hand_over({"sessions": self.access.sessions.as_bytes}, _NAME, loss="operators have to log in again")

    async def stop(self) -> None:
        """Stop serving the dashboard."""
        await self.listener.stop()

    # Requests

    async def _answer(self, request: AdminRequest) -> Answer:
        try:
            self.access.check_host(request)
            if request.path.startswith("/api/"):
                self._check_access(request)
                answer = self._api(request)
                made = await answer if isawaitable(answer) else answer
                self._log_change(request)
                made = made._replace(headers=made.headers + _NOT_KEPT)
            else:
                made = self._static(request)
        except AdminError as error:
            made = error.response()
        return made._replace(headers=made.headers + _HEADERS)

    def _check_access(self, request: AdminRequest) -> None:
        """Refuse a request to the API without a session; one that may change something without its token, too.

        A page of another site cannot read the answers, but it could take all streams where no password is needed.
        """
        self.access.check_site(request)
        if request.path == _LOGIN:
            return
        if request.method in ("GET", "HEAD"):
            self.access.session_of(request)
        else:
            self.access.changing_session_of(request)

    def _log_change(self, request: AdminRequest) -> None:
        """Log what an operator has done."""
        if request.method not in ("GET", "HEAD"):
            address = self.access.address_of(request)
            did = one_line(f"{request.method} {request.target.removeprefix('/api/')}", _MAX_LOGGED)
            log.info("an operator from %s: %s", address, did, extra=fields(address=address))

    def _is_alive(self, request: AdminRequest) -> bool:
        """Return whether the session of a request goes on; a stream that is open uses it."""
        try:
            self.access.session_of(request)
        except AdminError:
            return False
        return True

    def _session(self, request: AdminRequest) -> Answer:
        session = self.access.session_of(request)
        daemon = self._daemon
        return json_answer(
            {
                "csrf": session.csrf,
                "version": __version__,
                "host": gethostname(),
                "cluster": daemon.backplane is not None,
                "needs_password": self.access.password_hash is not None,
                "apps": [
                    {
                        "id": app.id,
                        "enabled": app.enabled,
                        "history": bool(app.history),
                        "webhooks": len(app.webhooks),
                    }
                    for app in daemon.settings.apps
                ],
            }
        )
