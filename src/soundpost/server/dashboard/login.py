"""Login and logout of operators."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.server.admin_http import AdminError, AdminRequest, AdminResponse, Answer, read_body
from soundpost.server.dashboard.access import Access
from soundpost.server.dashboard.login_limits import LoginLimits
from soundpost.server.dashboard.password import is_password
from soundpost.wire.json_text import reader

log = logging.getLogger("soundpost.dashboard")


class LoginBody(Struct):
    """Body of ``POST api/login``."""

    password: str


_read: Final = reader(LoginBody)


class Login:
    """Handlers for logins. ``clock`` is in seconds."""

    def __init__(self, access: Access, clock: Callable[[], float]) -> None:
        self._access = access
        self._limits = LoginLimits(clock)
        self._throttle = LogThrottle(log, clock)
        self._one_at_a_time = asyncio.Lock()

    async def log_in(self, request: AdminRequest) -> Answer:
        """Begin a session, if the password is right."""
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise AdminError(415, "The body has to be JSON, with Content-Type: application/json")
        password_hash = self._access.password_hash
        if password_hash is None:
            raise AdminError(404, "This dashboard has no password, so there is no login")
        password = read_body(request, _read).password
        address = self._access.address_of(request)
        self._check_limits(address)
        async with self._one_at_a_time:  # each takes 32 MB for 0.2 s
            is_right = await asyncio.to_thread(is_password, password, password_hash)
        if not is_right or password_hash != self._access.password_hash:
            extra = fields(address=address)
            log.warning("a login to the dashboard with a wrong password, from %s", address, extra=extra)
            raise AdminError(401, "Wrong password")
        self._limits.forget(address)
        return AdminResponse(204, headers=(("Set-Cookie", self._access.begin_session(request)),))

    def _check_limits(self, address: str) -> None:
        """Count an attempt. Raises AdminError if there were too many."""
        wait = self._limits.count(address)
        if wait:
            self._throttle.warn(
                "refused",
                "too many attempts to log in to the dashboard, the last one from %s: refused for a while",
                address,
                interval=MINUTE,
            )
            seconds = math.ceil(wait)
            raise AdminError(
                429, f"Too many attempts to log in: try again in {seconds} s", (("Retry-After", str(seconds)),)
            )

    def log_out(self, request: AdminRequest) -> Answer:
        """End the session of a request."""
        return AdminResponse(204, headers=(("Set-Cookie", self._access.end_session(request)),))
