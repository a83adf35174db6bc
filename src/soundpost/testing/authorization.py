"""A tester of channel routes, which needs no HTTP request."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, AuthResponse
from soundpost.broadcasting.authorization.limits import app_limits
from soundpost.broadcasting.channels import ChannelLike, name_of
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings

SOCKET_ID: Final = "1234.5678"
_SETTINGS: Final = BroadcastSettings(
    connections={
        "soundpost": ConnectionSettings(
            app_id="test",
            key="test-key",
            secret="test-secret",
            encryption_master_key=base64.b64encode(bytes(32)).decode(),
        )
    },
    debug=True,  # so that responses have the reason
)


class AuthorizationTester:
    """A tester of an endpoint's channel routes, for any user; None is a guest.

    Channels are named in full: ``private-orders.7``. Callbacks may be synchronous or asynchronous. Asynchronous tests
    use the methods with ``a``, so that callbacks run in the test's event loop. ``request`` is the framework's request
    for callbacks, as ``ctx.request``.
    """

    def __init__(self, endpoint: AuthEndpoint) -> None:
        settings = _settings_like(endpoint)
        routes = copy.copy(endpoint.routes)
        routes.guards = {}  # the user is given
        self._endpoint = replace(
            endpoint, routes=routes, settings=lambda: settings, run_async=endpoint.run_async or _run_anywhere
        )

    def assert_allowed(self, user: Any, channel: ChannelLike, *, request: Any = None) -> None:
        """Fail unless the user may subscribe; the AssertionError has the reason."""
        _allowed(self._ask(user, channel, request), user, channel)

    def assert_denied(self, user: Any, channel: ChannelLike, *, request: Any = None) -> str:
        """Return the reason why the user may not subscribe; fail if the user may, or if the callback raises."""
        return _denied(self._ask(user, channel, request), user, channel)

    def member(self, user: Any, channel: ChannelLike, *, request: Any = None) -> Any:
        """Return the data that other members of a presence channel see of the user; fail if the user may not join."""
        return _member(self._ask(user, channel, request), user, channel).get("user_info", {})

    def member_id(self, user: Any, channel: ChannelLike, *, request: Any = None) -> str:
        """Return the user's id on a presence channel; fail if the user may not join."""
        return str(_member(self._ask(user, channel, request), user, channel)["user_id"])

    async def aassert_allowed(self, user: Any, channel: ChannelLike, *, request: Any = None) -> None:
        """Fail unless the user may subscribe; for asynchronous tests."""
        _allowed(await self._aask(user, channel, request), user, channel)

    async def aassert_denied(self, user: Any, channel: ChannelLike, *, request: Any = None) -> str:
        """Return the reason why the user may not subscribe; for asynchronous tests."""
        return _denied(await self._aask(user, channel, request), user, channel)

    async def amember(self, user: Any, channel: ChannelLike, *, request: Any = None) -> Any:
        """Return the data that other members of a presence channel see of the user; for asynchronous tests."""
        return _member(await self._aask(user, channel, request), user, channel).get("user_info", {})

    def _ask(self, user: Any, channel: ChannelLike, request: Any) -> AuthResponse:
        return self._endpoint.channel(_request(user, channel, request))

    async def _aask(self, user: Any, channel: ChannelLike, request: Any) -> AuthResponse:
        return await self._endpoint.achannel(_request(user, channel, request))


def _settings_like(endpoint: AuthEndpoint) -> BroadcastSettings:
    """Return settings for a test, with the limits that the application knows of its server."""
    connection = _SETTINGS.connection()
    try:
        own = endpoint.settings().connection()
    except Exception:  # none are needed to ask routes, and some tests have none
        return _SETTINGS
    limits = app_limits(own)
    connection = replace(
        connection,
        driver=own.driver if own.is_http else connection.driver,
        max_message_size=limits.max_message_size,
        max_user_info_size=limits.max_user_info_size,
        max_user_id_length=limits.max_user_id_length,
    )
    return replace(_SETTINGS, connections={_SETTINGS.default: connection})


def _request(user: Any, channel: ChannelLike, request: Any) -> AuthRequest:
    body = urlencode({"socket_id": SOCKET_ID, "channel_name": name_of(channel)}).encode()
    return AuthRequest({}, "", body, "testserver", lambda guard: user, request)


def _allowed(answer: AuthResponse, user: Any, channel: ChannelLike) -> None:
    if answer.status != 200:
        raise AssertionError(f"{user!r} may not subscribe to {channel}: {_reason(answer)}")


def _denied(answer: AuthResponse, user: Any, channel: ChannelLike) -> str:
    if answer.status == 200:
        raise AssertionError(f"{user!r} may subscribe to {channel}")
    reason = _reason(answer)
    if reason.startswith("the channel route failed"):
        raise AssertionError(f"{user!r} was not denied {channel}: {reason} (the log has the traceback)")
    return reason


def _member(answer: AuthResponse, user: Any, channel: ChannelLike) -> dict[str, Any]:
    _allowed(answer, user, channel)
    data = json.loads(answer.body).get("channel_data")
    if data is None:
        raise AssertionError(f"{channel} is no presence channel: it has no members")
    member: dict[str, Any] = json.loads(data)
    return member


def _reason(answer: AuthResponse) -> str:
    return str(json.loads(answer.body)["message"])


def _run_anywhere(awaitable: Awaitable[Any]) -> Any:
    """Return a coroutine's result, from a thread of its own, so that an event loop may run here."""

    async def result() -> Any:
        return await awaitable

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, result()).result()
