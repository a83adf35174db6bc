"""The Quart extension: what the one for Flask does, without blocking the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from markupsafe import Markup
from quart import Blueprint, Quart, Response, current_app, request, url_for

from soundpost.authorization import HEADERS, Answer, AuthRequest
from soundpost.broadcasting.socket_id import SocketIdMiddleware
from soundpost.flask.shared import AppState, Extension


class Soundpost(Extension):
    """The extension; as :class:`soundpost.flask.Soundpost`, with users by ``user_loader`` only, and no commands."""

    def init_app(self, app: Quart) -> None:
        """Serve an application. Raises ConfigurationError for wrong settings."""
        endpoint = self._endpoint(self._set_up(app))
        app.register_blueprint(self._routes(endpoint.achannel, endpoint.auser), url_prefix=self._prefix(app))
        app.asgi_app = SocketIdMiddleware(app.asgi_app)  # type: ignore[assignment,method-assign,arg-type]
        app.add_template_global(echo_configuration, "soundpost")
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
        return AuthRequest(
            headers={name.lower(): value for name, value in request.headers.items()},
            query=request.query_string.decode("latin-1"),
            body=cast(bytes, await request.get_data()),
            host=request.host,
            user=self._user,
            request=cast(Any, request)._get_current_object(),
        )


def echo_configuration(nonce: str = "") -> Markup:
    """For templates, ``{{ soundpost() }}``: where the browser connects, and the script that sends ``X-Socket-ID``."""
    state = cast(AppState, current_app.extensions["soundpost"])
    host = request.host if request else None
    return state.page_configuration(host, nonce, url_for("soundpost.auth"), url_for("soundpost.user_auth"), None)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, HEADERS)
