"""The Quart extension: what the one for Flask does, without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlencode

from markupsafe import Markup
from quart import Blueprint, Quart, Response, current_app, request, url_for
from werkzeug.exceptions import RequestTimeout

from soundpost.broadcasting.authorization import HEADERS, Answer, AuthRequest
from soundpost.broadcasting.authorization.body import FORM, MAX_BODY, TOO_MUCH, announces_too_much
from soundpost.broadcasting.socket_id import SocketIdMiddleware
from soundpost.flask.shared import AppState, Extension


class Soundpost(Extension):
    """The extension; as :class:`soundpost.flask.Soundpost`, with users by ``user_loader`` only, and no commands."""

    def init_app(self, app: Quart) -> None:
        """Serve an application. Raises ConfigurationError for wrong settings."""
        endpoint = self._endpoint(self._set_up(app))
        app.register_blueprint(self._routes(endpoint.achannel, endpoint.auser), url_prefix=self._prefix(app))
        app.asgi_app = SocketIdMiddleware(app.asgi_app)  # type: ignore[assignment,method-assign,arg-type]
        app.add_template_global(echo_script, "soundpost")
        app.after_serving(self.broadcast.aclose)

    def _routes(
        self, channel: Callable[[AuthRequest], Awaitable[Answer]], user: Callable[[AuthRequest], Awaitable[Answer]]
    ) -> Blueprint:
        routes = Blueprint("soundpost", __name__)

        @routes.route("/auth", methods=["GET", "POST"])
        async def auth() -> Response:
            return _response(await channel(await self._auth_request()))

        @routes.route("/user-auth", methods=["GET", "POST"])
        async def user_auth() -> Response:
            return _response(await user(await self._auth_request()))

        return routes

    async def _auth_request(self) -> AuthRequest:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await _body(headers.get("content-length"))
        if not body:
            form = await request.form
            if form:  # something of the application has read it: it is written anew
                headers["content-type"] = FORM
                body = urlencode(list(form.items(multi=True))).encode()
        return AuthRequest(
            headers=headers,
            query=request.query_string.decode("latin-1"),
            body=body,
            host=request.host,
            user=self._user,
            request=cast(Any, request)._get_current_object(),
        )


async def _body(content_length: str | None) -> bytes:
    """The body, no more than is looked at."""
    if announces_too_much(content_length):
        return TOO_MUCH
    if content_length is not None:
        return cast(bytes, await request.get_data())
    body = b""
    try:
        async with asyncio.timeout(request.body_timeout):
            async for part in request.body:  # nobody says how much will come
                body += part
                if len(body) > MAX_BODY:
                    break
    except TimeoutError:
        raise RequestTimeout from None
    request.body = request.body_class(None, None)  # for whoever asks after us: what is read from the first one is gone
    request.body.set_result(body)
    return body


def echo_script(nonce: str = "") -> Markup:
    """For templates, ``{{ soundpost() }}``: where the browser connects, and the script that sends ``X-Socket-ID``."""
    state = cast(AppState, current_app.extensions["soundpost"])
    host = request.host if request else None
    return state.echo_script(host, nonce, url_for("soundpost.auth"), url_for("soundpost.user_auth"), None)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, HEADERS)
