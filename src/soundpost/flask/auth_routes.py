"""The blueprint of Flask below ``/broadcasting``: ``auth``, ``user-auth``, ``webhooks`` and the browser libraries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from flask import Blueprint, Response, current_app, request

from soundpost.broadcasting.authorization import HEADERS, AuthEndpoint, AuthRequest, AuthResponse
from soundpost.broadcasting.authorization.body import MAX_BODY, encoded_again
from soundpost.broadcasting.browser import LIBRARIES, LIBRARY_HEADERS, library_text
from soundpost.webhooks import MAX_BODY as MAX_WEBHOOK
from soundpost.webhooks.endpoint import OVERLONG_BODY, WebhookEndpoint, is_overlong


def auth_routes(
    endpoint: AuthEndpoint, user: Callable[[str | None], Any], webhook_endpoint: WebhookEndpoint
) -> Blueprint:
    """Return the routes ``soundpost.auth``, ``soundpost.user_auth``, ``soundpost.webhooks``, and those of libraries.

    ``user`` returns the current request's user, by the name of a guard or None.
    """
    routes = Blueprint("soundpost", __name__)

    @routes.route("/auth", methods=["GET", "POST"])
    def auth() -> Response:
        return _response(endpoint.channel(_auth_request(user)))

    @routes.route("/user-auth", methods=["GET", "POST"])
    def user_auth() -> Response:
        return _response(endpoint.user(_auth_request(user)))

    @routes.route("/webhooks", methods=["POST"])
    def webhooks() -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = webhook_endpoint.respond(_webhook_body(headers), headers)
        return current_app.response_class(answer.body, answer.status, HEADERS)

    for library in LIBRARIES:
        routes.add_url_rule(f"/{library.file}", "library", _library, defaults={"file": library.file})
    return routes


def run_async(awaitable: Awaitable[Any]) -> Any:
    """Return the result of a coroutine, run as Flask runs async views; without asgiref, by ``asyncio.run``."""

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
    if not body and request.form:  # the application has read it already
        body = encoded_again(request.form.items(multi=True), headers)
    return AuthRequest(
        headers=headers,
        query=request.query_string.decode("latin-1"),
        body=body,
        host=request.host,
        user=user,
        request=request._get_current_object(),  # type: ignore[attr-defined]
        debug=current_app.debug,
    )


def _webhook_body(headers: Mapping[str, str]) -> bytes:
    if is_overlong(headers):
        return OVERLONG_BODY
    return request.stream.read(MAX_WEBHOOK + 1) or request.get_data()


def _library(file: str) -> Response:
    return current_app.response_class(library_text(file), 200, LIBRARY_HEADERS)


def _response(answer: AuthResponse) -> Response:
    return current_app.response_class(answer.body, answer.status, HEADERS)
