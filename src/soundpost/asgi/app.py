"""The ASGI application of the embedded server, alone or wrapped around another application."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from soundpost.asgi import api
from soundpost.asgi.connection import Receive, Send
from soundpost.asgi.runtime import EmbeddedRuntime
from soundpost.asgi.uvicorn_fairness import make_uvicorn_fair
from soundpost.broadcasting import embedded_servers
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.config.load import load
from soundpost.config.settings import ServerSettings
from soundpost.core.app_settings import AppSettings
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import identifier_fault

log = logging.getLogger("soundpost.server")

_KINDS: Final = ("http", "websocket")
_MINE: Final = ("/app/", "/apps/")


class App:
    """An embedded server, as an ASGI application.

    A mounted one (``app.mount("/", App())``) answers all requests below its path. One around another ``app``
    (``App(app)``, or a middleware) answers ``/app/…`` and ``/apps/…`` and leaves the rest to that application. ``apps``
    and ``server`` are ``[[apps]]`` and ``[server]`` of ``soundpost.toml``. Without ``apps`` the configuration is that
    of ``soundpost start``: the file, ``.env`` and the environment. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: Any = None,
        *,
        apps: Iterable[AppSettings | Mapping[str, Any]] | None = None,
        server: ServerSettings | Mapping[str, Any] | None = None,
    ) -> None:
        if apps is None:
            loaded = load(environ=os.environ, directory=Path.cwd())
            if loaded.generated:
                raise ConfigurationError(
                    "soundpost.asgi has no app: set SOUNDPOST_APP_ID, SOUNDPOST_APP_KEY and SOUNDPOST_APP_SECRET, "
                    "write a soundpost.toml (soundpost init), or give apps=[…]"
                )
            self.apps = loaded.settings.apps
            self.settings = loaded.settings.server if server is None else _converted(server, ServerSettings, "server")
            if loaded.settings.scaling.redis is not None:
                log.warning("an embedded server serves alone: scaling.redis is for 'soundpost start'")
        else:
            self.apps = tuple(_usable(_converted(each, AppSettings, "apps")) for each in apps)
            self.settings = _converted(server or {}, ServerSettings, "server")
        self._app = app
        self._runtime: EmbeddedRuntime | None = None
        embedded_servers.add_server(self)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope: lifespan, HTTP request or WebSocket."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        prefix = (scope.get("root_path") or "").rstrip("/")
        if self._app is not None and not (kind in _KINDS and _is_mine(scope, prefix)):
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
                raise RuntimeError("an embedded server serves in one event loop: another one has it already")
            self._runtime = None
        if self._runtime is None or self._runtime.stopping:
            self._runtime = EmbeddedRuntime(self.settings, self.apps)
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
        if self._app is not None:
            try:
                await self._app(scope, receive, send)
            finally:
                await self.stop()
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def server_of(app_id: str) -> App | None:
    """Return the embedded server of this process that has an app; None if there is none."""
    server = embedded_servers.server_of(app_id)
    return server if isinstance(server, App) else None


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
    for each in connections:
        if each.missing():
            raise ConfigurationError(f"the embedded server has no {', no '.join(each.missing())}")
    return [{"id": each.app_id, "key": each.key, "secret": each.secret, **options} for each in connections]


def _is_mine(scope: Any, prefix: str) -> bool:
    path = scope.get("path") or "/"
    path = path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path
    if path.startswith(_MINE):
        return True
    # The official Python SDK leaves /apps/{id} out of this one address.
    return (
        path.startswith("/users/") and path.endswith("/terminate_connections") and b"auth_key=" in api.query_of(scope)
    )


def _usable(app: AppSettings) -> AppSettings:
    for name, text in (("id", app.id), ("key", app.key)):
        fault = identifier_fault(text)
        if fault is not None:
            raise ConfigurationError(f"soundpost.asgi: apps: {name} {text!r}: {fault}")
    return app


def _converted(given: Any, kind: type[Any], what: str) -> Any:
    if isinstance(given, kind):
        return given
    try:
        return msgspec.convert(dict(given), kind)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise ConfigurationError(f"soundpost.asgi: {what}: {error}") from None
