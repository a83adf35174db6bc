"""A tester of channel routes, which needs no HTTP request."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import urlencode

from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, AuthResponse, channels
from soundpost.broadcasting.authorization.known_endpoints import known_endpoints
from soundpost.broadcasting.authorization.limits import app_limits
from soundpost.broadcasting.channels import ChannelLike, name_of
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings
from soundpost.defaults import TEST_APP
from soundpost.documentation import page
from soundpost.errors import RouteError

SOCKET_ID: Final = "1234.5678"
_SETTINGS: Final = BroadcastSettings(
    connections={
        "soundpost": ConnectionSettings(
            app_id=TEST_APP["app_id"],
            key=TEST_APP["key"],
            secret=TEST_APP["secret"],
            encryption_master_key=base64.b64encode(bytes(32)).decode(),
        )
    },
    debug=True,  # so that responses have the reason
)


class AuthorizationTester:
    """A tester of channel routes, for any user; None is a guest.

    The routes are those of ``endpoint``. Without one they are those of the newest application in this process that has
    a route for the channel, or of :data:`soundpost.channels`. Channels are named in full: ``private-orders.7``.
    Callbacks may be synchronous or asynchronous. Asynchronous tests use the methods with ``a``, so that callbacks run
    in the test's event loop. ``request`` is the framework's request for callbacks, as ``ctx.request``.
    """

    def __init__(self, endpoint: AuthEndpoint | None = None) -> None:
        self._endpoint = endpoint

    def assert_allowed(self, user: Any, channel: ChannelLike, *, request: Any = None) -> None:
        """Fail unless the user may subscribe; the AssertionError has the reason."""
        _allowed(self._ask(user, channel, request), user, channel)

    def assert_denied(self, user: Any, channel: ChannelLike, *, request: Any = None) -> str:
        """Return the reason why the user may not subscribe; fail if the user may, or for a mistake or failure."""
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
        with self._question(user, channel, request) as (endpoint, question):
            return endpoint.channel(question)

    async def _aask(self, user: Any, channel: ChannelLike, request: Any) -> AuthResponse:
        with self._question(user, channel, request) as (endpoint, question):
            return await endpoint.achannel(question)

    @contextmanager
    def _question(self, user: Any, channel: ChannelLike, request: Any) -> Iterator[tuple[AuthEndpoint, AuthRequest]]:
        endpoint = _for_tests(self._endpoint or _endpoint_for(name_of(channel)))
        if hasattr(endpoint, "dispatcher"):  # of FastAPI
            from soundpost.testing.dependencies import acting_as

            with acting_as(user, cast(Any, endpoint)) as made:
                yield endpoint, _request(user, channel, request or made)
        else:
            endpoint.routes = copy.copy(endpoint.routes)
            endpoint.routes.guards = {}  # the user is given
            yield endpoint, _request(user, channel, request)


def _endpoint_for(channel: str) -> AuthEndpoint:
    """Return the endpoint whose routes a channel belongs to. Raises RouteError if no routes are known."""
    known = [*known_endpoints(), AuthEndpoint(channels, lambda: _SETTINGS)]
    found = next((each for each in known if each.routes.find(channel) is not None), None)
    if found is None and not any(len(each.routes) for each in known):
        raise RouteError(
            f"{channel}: no channel routes are known. Import the module with them in the test, as it is imported when "
            "your application starts; or return their AuthEndpoint from a fixture soundpost_auth_endpoint. See "
            f"{page('testing', 'check-channel-routes-soundpost_auth')}"
        )
    return found or max(known, key=lambda each: len(each.routes))


def _for_tests(endpoint: AuthEndpoint) -> AuthEndpoint:
    settings = _settings_like(endpoint)
    return replace(endpoint, settings=lambda: settings, run_async=endpoint.run_async or run_anywhere)


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
    if answer.status >= 500:
        raise AssertionError(f"{user!r} was not denied {channel}, the response has the status 500: {reason}")
    return reason


def _member(answer: AuthResponse, user: Any, channel: ChannelLike) -> dict[str, Any]:
    _allowed(answer, user, channel)
    data = json.loads(answer.body).get("channel_data")
    if data is None:
        raise AssertionError(f"{channel} is not a presence channel: it has no members")
    member: dict[str, Any] = json.loads(data)
    return member


def _reason(answer: AuthResponse) -> str:
    return str(json.loads(answer.body)["message"])


def run_anywhere(awaitable: Awaitable[Any]) -> Any:
    """Return a coroutine's result, from a thread of its own, so that an event loop may run here."""

    async def result() -> Any:
        return await awaitable

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, result()).result()
