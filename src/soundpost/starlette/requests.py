"""Auth requests and responses of Starlette, and the handlers of the auth routes and of the browser libraries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from soundpost.broadcasting.authorization import HEADERS, AuthEndpoint, AuthRequest, AuthResponse
from soundpost.broadcasting.authorization.body import encoded_again, read_limited
from soundpost.broadcasting.browser import LIBRARY_HEADERS, library_text

Handler = Callable[[Request], Awaitable[Response]]


def auth_handlers(endpoint: AuthEndpoint, find_user: Callable[[Request, str | None], Any]) -> tuple[Handler, Handler]:
    """Return the handlers of the auth routes, for subscriptions and for sign-ins.

    ``find_user`` returns the user of a request, by the name of a guard or None.
    """

    async def auth(request: Request) -> Response:
        return _response(await endpoint.achannel(await _auth_request(request, find_user)))

    async def user_auth(request: Request) -> Response:
        return _response(await endpoint.auser(await _auth_request(request, find_user)))

    return auth, user_auth


def library_handler(file: str) -> Handler:
    """Return the handler that answers with a JavaScript library of the package."""

    async def library(request: Request) -> Response:
        return Response(library_text(file), headers=LIBRARY_HEADERS)

    return library


async def _auth_request(request: Request, find_user: Callable[[Request, str | None], Any]) -> AuthRequest:
    headers = dict(request.headers)
    try:
        body = await read_limited(request.stream())
    except RuntimeError:  # the application has read the body already, as a form
        fields = (await request.form()).multi_items()
        body = encoded_again([(name, value) for name, value in fields if isinstance(value, str)], headers)
    return AuthRequest(
        headers=headers,
        query=request.url.query,
        body=body,
        host=request.headers.get("host", ""),
        user=partial(find_user, request),
        request=request,
        debug=bool(getattr(request.app, "debug", False)),
    )


def _response(answer: AuthResponse) -> Response:
    return Response(answer.body, answer.status, headers=HEADERS)
