"""The extension for Flask: auth routes, the socket id of requests, the template function, the commands."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, cast

from flask import Flask, current_app, request, url_for
from markupsafe import Markup

from soundpost.broadcasting.browser import Positions
from soundpost.broadcasting.socket_id import HEADER, socket_id
from soundpost.flask import commands
from soundpost.flask.auth_routes import auth_routes, run_async
from soundpost.flask.base_extension import BaseExtension, ExtensionState
from soundpost.flask.csrf import csrf_token, exempt
from soundpost.flask.login import logged_in_user

_ENTERED: Final = "soundpost.socket_id"


class Soundpost(BaseExtension):
    """Broadcasting for Flask: ``Soundpost(app)``, or ``sp.init_app(app)`` for each application of a factory.

    - ``broadcaster``: the broadcaster to configure, by default :func:`soundpost.broadcast`.
    - ``channels``: the channel routes, by default :data:`soundpost.channels`.
    - ``webhooks``: the handlers of webhooks, by default those of :mod:`soundpost.webhooks`.
    - ``url_prefix``: the path before the auth routes, by default ``SOUNDPOST_URL_PREFIX`` of ``app.config`` or
      ``/broadcasting``.

    Settings come from ``app.config`` and from the environment. The user is Flask-Login's ``current_user`` unless there
    is a ``user_loader``. Applications with different servers in one process need an extension each, with a
    ``broadcaster`` and ``channels`` of its own.
    """

    def init_app(self, app: Flask) -> None:
        """Add auth routes, template function and commands to an application. Raises ConfigurationError."""
        state = self._set_up(app)
        endpoint = self._endpoint(state, run_async=run_async)
        routes = auth_routes(endpoint, self._user, self._webhook_endpoint(state, run_async=run_async))
        app.register_blueprint(routes, url_prefix=self._url_prefix_for(app))
        exempt(app, routes)
        app.before_request(_enter_socket_id)
        app.teardown_request(_leave_socket_id)
        app.add_template_global(echo_script, "soundpost")
        app.cli.add_command(commands.group())

    def _default_user(self) -> Any:
        return logged_in_user()


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
    return state.echo_script(host, nonce, *urls, csrf_token(), libraries, positions)


def _enter_socket_id() -> None:
    entered = socket_id(request.headers.get(HEADER))
    entered.__enter__()
    request.environ.setdefault(_ENTERED, []).append(entered)


def _leave_socket_id(error: BaseException | None) -> None:
    for entered in request.environ.pop(_ENTERED, ()):
        with suppress(ValueError):  # a streamed answer may end in another context, which has nothing to take back
            entered.__exit__(None, None, None)
