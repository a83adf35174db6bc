"""``/broadcasting/auth`` and ``/broadcasting/user-auth`` as a blueprint."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, request

from soundpost.broadcasting.authorization import HEADERS, Answer, AuthEndpoint, AuthRequest
from soundpost.broadcasting.authorization.body import FORM, MAX_BODY


def auth_routes(endpoint: AuthEndpoint, user: Callable[[str | None], Any]) -> Blueprint:
    """The routes ``soundpost.auth`` and ``soundpost.user_auth``; ``user`` finds who asks."""
    routes = Blueprint("soundpost", __name__)

    @routes.route("/auth", methods=["GET", "POST"])
    def auth() -> Response:
        return _response(endpoint.channel(_auth_request(user)))

    @routes.route("/user-auth", methods=["GET", "POST"])
    def user_auth() -> Response:
        return _response(endpoint.user(_auth_request(user)))

    return routes


def run_async(awaitable: Awaitable[Any]) -> Any:
    """Wait for a coroutine of the application as Flask does for its async views, or without asgiref by itself."""

    async def wait() -> Any:
        return await awaitable

    try:
        from asgiref.sync import async_to_sync
    except ImportError:
        return asyncio.run(wait())
    return async_to_sync(wait)()


def _auth_request(user: Callable[[str | None], Any]) -> AuthRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = request.stream.read(MAX_BODY + 1) or request.get_data()
    if not body and request.form:  # something of the application has read it: it is written anew
        headers["content-type"] = FORM
        body = urlencode(list(request.form.items(multi=True))).encode()
    return AuthRequest(
        headers=headers,
        query=request.query_string.decode("latin-1"),
        body=body,
        host=request.host,
        user=user,
        request=request._get_current_object(),  # type: ignore[attr-defined]
    )


def _response(answer: Answer) -> Response:
    return current_app.response_class(answer.body, answer.status, HEADERS)
