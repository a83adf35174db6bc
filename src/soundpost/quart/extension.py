"""The extension for Quart: that for Flask, without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from markupsafe import Markup
from quart import Blueprint, Quart, Response, current_app, request, url_for
from werkzeug.exceptions import RequestTimeout

from soundpost.broadcasting.authorization import HEADERS, AuthRequest, AuthResponse
from soundpost.broadcasting.authorization.body import (
    MAX_BODY,
    OVERLONG_BODY,
    announces_overlong_body,
    encoded_again,
    read_limited,
)
from soundpost.broadcasting.browser import LIBRARIES, LIBRARY_HEADERS, Positions, library_text
from soundpost.broadcasting.socket_id import SocketIdMiddleware
from soundpost.flask.base_extension import BaseExtension, ExtensionState
from soundpost.webhooks import MAX_BODY as MAX_WEBHOOK
from soundpost.webhooks.endpoint import OVERLONG_BODY as OVERLONG_WEBHOOK
from soundpost.webhooks.endpoint import WebhookEndpoint, is_overlong


class Soundpost(BaseExtension):
    """Broadcasting for Quart, like :class:`soundpost.flask.Soundpost`: with the same arguments, and without commands.

    The user is found by the ``user_loader`` only.
    """

    def init_app(self, app: Quart) -> None:
        """Add auth routes, middleware and template function to an application. Raises ConfigurationError."""
        state = self._set_up(app)
        endpoint = self._endpoint(state)
        routes = self._routes(endpoint.achannel, endpoint.auser, self._webhook_endpoint(state))
        app.register_blueprint(routes, url_prefix=self._url_prefix_for(app))
        app.asgi_app = SocketIdMiddleware(app.asgi_app)  # type: ignore[assignment,method-assign,arg-type]
        app.add_template_global(echo_script, "soundpost")
        app.after_serving(self.broadcast.aclose)

    def _routes(
        self,
        channel: Callable[[AuthRequest], Awaitable[AuthResponse]],
        user: Callable[[AuthRequest], Awaitable[AuthResponse]],
        webhook_endpoint: WebhookEndpoint,
    ) -> Blueprint:
        routes = Blueprint("soundpost", __name__)

        @routes.route("/auth", methods=["GET", "POST"])
        async def auth() -> Response:
            return _response(await channel(await self._auth_request()))

        @routes.route("/user-auth", methods=["GET", "POST"])
        async def user_auth() -> Response:
            return _response(await user(await self._auth_request()))

        @routes.route("/webhooks", methods=["POST"])
        async def webhooks() -> Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            answer = await webhook_endpoint.arespond(await _webhook_body(headers), headers)
            return Response(answer.body, answer.status, HEADERS)

        for library in LIBRARIES:
            routes.add_url_rule(f"/{library.file}", "library", _library, defaults={"file": library.file})
        return routes

    async def _auth_request(self) -> AuthRequest:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await _body(headers.get("content-length"))
        if not body:
            form = await request.form
            if form:  # the application has read the body already
                body = encoded_again(form.items(multi=True), headers)
        return AuthRequest(
            headers=headers,
            query=request.query_string.decode("latin-1"),
            body=body,
            host=request.host,
            user=self._user,
            request=cast(Any, request)._get_current_object(),
            debug=current_app.debug,
        )


async def _body(content_length: str | None) -> bytes:
    """Return the body. No more is read than the 10 kB that an auth request may have, and a little beyond."""
    if announces_overlong_body(content_length):
        return OVERLONG_BODY
    if content_length is not None:
        return cast(bytes, await request.get_data())
    return await _limited_body(MAX_BODY)


async def _limited_body(limit: int) -> bytes:
    try:
        async with asyncio.timeout(request.body_timeout):
            body = await read_limited(request.body, limit)
    except TimeoutError:
        raise RequestTimeout from None
    request.body = request.body_class(None, None)  # for later readers: the first one is used up
    request.body.set_result(body)
    return body


async def _webhook_body(headers: Mapping[str, str]) -> bytes:
    """Return the body of a webhook, read no further than the 1 MiB that it may have."""
    if is_overlong(headers):
        return OVERLONG_WEBHOOK
    return await _limited_body(MAX_WEBHOOK)


def echo_script(nonce: str = "", libraries: bool = False, positions: Positions | None = None) -> Markup:
    """Return HTML for a template, ``{{ soundpost() }}``: Echo's options, and a script that sends ``X-Socket-ID``.

    The page then has ``window.Soundpost.options`` for ``new Echo({...Soundpost.options, Pusher})``. ``nonce`` is the
    nonce of a Content-Security-Policy. With ``libraries`` the page loads pusher-js, laravel-echo and soundpost-resume
    too, and ``Soundpost.connect()`` returns an Echo. ``positions`` are those of the data that the page shows, by
    channel.
    """
    state = cast(ExtensionState, current_app.extensions["soundpost"])
    host = request.host if request else None
    urls = (url_for("soundpost.auth"), url_for("soundpost.user_auth"))
    scope = request.scope if request else None
    return state.echo_script(host, nonce, *urls, None, libraries, positions, scope)


async def _library(file: str) -> Response:
    return Response(library_text(file), headers=LIBRARY_HEADERS)


def _response(answer: AuthResponse) -> Response:
    return Response(answer.body, answer.status, HEADERS)
