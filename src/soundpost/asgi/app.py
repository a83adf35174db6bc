"""The ASGI application of the embedded server, alone or wrapped around another application."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Final

import msgspec

from soundpost.asgi import api
from soundpost.asgi.connection import Receive, Send
from soundpost.asgi.handlers import endpoint_of
from soundpost.asgi.runtime import EmbeddedRuntime
from soundpost.asgi.uvicorn_fairness import make_uvicorn_fair
from soundpost.broadcasting import broadcast, embedded_servers
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings
from soundpost.config.history_section import history_from
from soundpost.config.load import Loaded, load
from soundpost.config.settings import ServerSettings
from soundpost.config.webhooks_section import webhooks_from
from soundpost.core.app_settings import AppSettings
from soundpost.errors import ConfigurationError
from soundpost.webhooks import Webhooks
from soundpost.webhooks.endpoint import WebhookEndpoint
from soundpost.wire.addresses import identifier_fault

log = logging.getLogger("soundpost.server")

_KINDS: Final = ("http", "websocket")
_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_OWN_PATHS: Final = ("/app/", "/apps/")
_DJANGO_MODULE: Final = "soundpost.django.settings"
"""A module that is imported where Django is set up with this package among its apps."""


class App:
    """An embedded server, as an ASGI application.

    A mounted one (``app.mount("/", App())``) answers all requests below its path. One around another ``app``
    (``App(app)``, or a middleware) answers ``/app/…`` and ``/apps/…`` and leaves the rest to that application. ``apps``
    and ``server`` are ``[[apps]]`` and ``[server]`` of ``soundpost.toml``. Without ``apps`` the server has the apps of
    the application's connections with the driver ``embedded``, as in ``settings.SOUNDPOST`` of Django; if there are
    none, it has the apps that ``soundpost start`` would have. Limits come from ``soundpost.toml`` and the environment.
    ``webhooks`` are the handlers of webhooks that the server calls, by default those of :mod:`soundpost.webhooks`.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        app: Any = None,
        *,
        apps: Iterable[AppSettings | Mapping[str, Any]] | None = None,
        server: ServerSettings | Mapping[str, Any] | None = None,
        webhooks: Webhooks | WebhookEndpoint | None = None,
    ) -> None:
        if app is not None:
            _check_application(app)
        if apps is None:
            loaded = load(environ=os.environ, directory=_project_folder())
            own = _apps_of_application(loaded)
            if not own and loaded.generated:
                raise ConfigurationError(
                    "soundpost.asgi has no app: set SOUNDPOST_APP_ID, SOUNDPOST_APP_KEY and SOUNDPOST_APP_SECRET, "
                    "write a soundpost.toml (soundpost init), or give apps=[…]"
                )
            self.apps = own or loaded.settings.apps
            self.settings = loaded.settings.server if server is None else _converted(server, ServerSettings, "server")
            if loaded.settings.scaling.redis is not None:
                log.warning("an embedded server serves alone: scaling.redis is for 'soundpost start'")
        else:
            self.apps = tuple(_checked(_converted(each, AppSettings, "apps")) for each in apps)
            self.settings = _converted(server or {}, ServerSettings, "server")
        self._app = app
        self._webhooks = webhooks
        self._runtime: EmbeddedRuntime | None = None
        embedded_servers.add_server(self)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope: lifespan, HTTP request or WebSocket."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        prefix = (scope.get("root_path") or "").rstrip("/")
        if self._app is not None and not (kind in _KINDS and _is_own_path(scope, prefix)):
            if prefix and kind in _KINDS:
                scope = {**scope, embedded_servers.SERVER_ROOT_PATH: prefix}
            await self._app(scope, receive, send)
            return
        if kind not in _KINDS:
            raise ValueError(f"soundpost.asgi serves HTTP and WebSocket, not connections of the type {kind!r}")
        scope = {
            **scope,
            "headers": list(scope.get("headers") or ()),
        }  # may be an iterator
        runtime = self.start()
        if kind == "websocket":
            make_uvicorn_fair(receive)  # below a framework no lifespan comes before
            request = api.request_of(scope)
            origin = request.headers().get(b"origin")  # several are joined, and match no origin
            text = None if origin is None else origin.decode("latin-1")
            await runtime.websocket(request, prefix, text, api.client_address_of(scope), receive, send)
        else:
            await api.answer(runtime, scope, prefix, self.settings.max_request_size, receive, send)

    def start(self) -> EmbeddedRuntime:
        """Serve in the running event loop; return the runtime. Raises RuntimeError if it serves in another loop."""
        loop = asyncio.get_running_loop()
        if self._runtime is not None and self._runtime.loop is not loop:
            if self._runtime.loop.is_running():
                raise RuntimeError(
                    "this embedded server runs in another event loop already: make an App for each event loop"
                )
            self._runtime = None
        if self._runtime is None or self._runtime.stopping:
            self._runtime = EmbeddedRuntime(self.settings, self.apps, endpoint_of(self._webhooks))
        return self._runtime

    @property
    def state(self) -> EmbeddedRuntime | None:
        """The runtime in the event loop that is served; None before the start and after the end."""
        runtime = self._runtime
        return None if runtime is None or runtime.stopping or runtime.loop.is_closed() else runtime

    async def stop(self) -> None:
        """Close every connection with 4200: pusher-js reconnects at once."""
        if self._runtime is not None and self._runtime.loop is asyncio.get_running_loop():
            await self._runtime.stop()
            self._runtime = None

    async def _lifespan(self, scope: Any, receive: Receive, send: Send) -> None:
        self.start()
        make_uvicorn_fair(receive)
        try:
            if self._app is None or not await _has_lifespan(self._app, scope, receive, send):
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
        finally:
            await self.stop()


def server_of(app_id: str) -> App | None:
    """Return the embedded server of this process that has an app; None if there is none."""
    server = embedded_servers.server_of(app_id)
    return server if isinstance(server, App) else None


def _check_application(app: Any) -> None:
    """Raise ConfigurationError for what is not an ASGI application, such as one of WSGI."""
    kind = type(app).__name__
    if not callable(app):
        raise ConfigurationError(f"App({kind}): an ASGI application is expected, or none, and apps by apps=[…]")
    try:
        needed = [each for each in signature(app).parameters.values() if each.default is Parameter.empty]
    except (TypeError, ValueError):  # of no known signature
        return
    if len(needed) == 2 and all(each.kind in _POSITIONAL for each in needed):  # environ and start_response
        raise ConfigurationError(
            f"App({kind}): this is a WSGI application: wrap it, as in App(asgiref.wsgi.WsgiToAsgi(app)), or run "
            "'soundpost start' beside it"
        )


def apps_of(settings: BroadcastSettings, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the apps of the connections with the driver ``embedded``, with ``options`` added.

    Raises ConfigurationError.
    """
    connections = [each for each in settings.connections.values() if each.driver == "embedded"]
    if not connections:
        raise ConfigurationError(
            "no connection has the driver 'embedded': set it (driver='embedded', SOUNDPOST_BROADCAST_DRIVER=embedded), "
            "or leave the embedded server out"
        )
    return [{**_app_of(each), **options} for each in connections]


def _app_of(connection: ConnectionSettings) -> dict[str, Any]:
    if connection.missing():
        raise ConfigurationError(f"the embedded server has no {', no '.join(connection.missing())}")
    return {"id": connection.app_id, "key": connection.key, "secret": connection.secret}


async def _has_lifespan(app: Any, scope: Any, receive: Receive, send: Send) -> bool:
    """Run an application's lifespan; return False for an application that has none, as Django's.

    Such an application raises an exception before it has received or sent anything.
    """
    began = False

    async def noted_receive() -> Any:
        nonlocal began
        began = True
        return await receive()

    async def noted_send(message: Any) -> None:
        nonlocal began
        began = True
        await send(message)

    try:
        await app(scope, noted_receive, noted_send)
    except Exception:
        if began:
            raise
        return False
    return True


def _project_folder() -> Path:
    """Return the folder with ``soundpost.toml`` and ``.env``: in Django ``BASE_DIR``, else the working directory."""
    django: Any = sys.modules.get(_DJANGO_MODULE)
    return (django.project_folder() if django is not None else None) or Path.cwd()


def _apps_of_application(loaded: Loaded) -> tuple[AppSettings, ...]:
    """Return the apps of the application's own connections with the driver ``embedded``, with the loaded limits.

    Django's settings are the application's own also with another driver, which is a mistake most of the time. Raises
    ConfigurationError for wrong or incomplete settings.
    """
    settings = broadcast.settings
    if any(each.driver == "embedded" for each in settings.connections.values()):
        found = apps_of(settings, {})
    elif _DJANGO_MODULE in sys.modules and settings.connections and settings.connection().is_http:
        connection = settings.connection()
        found = [_app_of(connection)]
        log.warning(
            "the site has an embedded server, but its events go to %s: set SOUNDPOST['DRIVER'] = 'embedded'",
            connection.base_url,
        )
    else:
        return ()
    limits = {each.id: each for each in loaded.settings.apps}
    others = loaded.settings.apps[0] if loaded.generated else None  # limits that the environment sets for no named app
    apps = []
    for app in found:
        like = limits.get(app["id"], others)
        apps.append(_checked(AppSettings(**app) if like is None else msgspec.structs.replace(like, **app)))
    return tuple(apps)


def _is_own_path(scope: Any, prefix: str) -> bool:
    path = scope.get("path") or "/"
    path = path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path
    if path.startswith(_OWN_PATHS):
        return True
    # The official Python SDK leaves /apps/{id} out of this one address.
    return (
        path.startswith("/users/") and path.endswith("/terminate_connections") and b"auth_key=" in api.query_of(scope)
    )


def _checked(app: AppSettings) -> AppSettings:
    for name, text in (("id", app.id), ("key", app.key)):
        fault = identifier_fault(text)
        if fault is not None:
            raise ConfigurationError(f"soundpost.asgi: apps: {name} {text!r}: {fault}")
    return app


def _converted(given: Any, kind: type[Any], what: str) -> Any:
    if isinstance(given, kind):
        return given
    try:
        values = dict(given)
        if kind is AppSettings and "history" in values:
            values["history"] = history_from(values["history"], f"soundpost.asgi: {what}: history")
        if kind is AppSettings and "webhooks" in values:
            values["webhooks"] = webhooks_from(values["webhooks"], f"soundpost.asgi: {what}: webhooks")
        return msgspec.convert(values, kind)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise ConfigurationError(f"soundpost.asgi: {what}: {error}") from None
