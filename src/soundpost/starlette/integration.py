"""The extension for Starlette: settings, channel routes, auth routes, lifespan, options for pages."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, NoMatchFound, Route

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting import broadcast as default_broadcaster
from soundpost.broadcasting.authorization import AuthEndpoint, ChannelRoutes
from soundpost.broadcasting.authorization import channels as default_channels
from soundpost.broadcasting.authorization.known_endpoints import remember_endpoint
from soundpost.broadcasting.authorization.users import check_finder, check_guard
from soundpost.broadcasting.browser import LIBRARIES, Html, Positions, echo_options, echo_script, versioned
from soundpost.broadcasting.settings import BroadcastSettings, settings_from_environment
from soundpost.errors import SoundpostError
from soundpost.starlette.request_broadcaster import RequestBroadcaster
from soundpost.starlette.requests import auth_handlers, library_handler
from soundpost.starlette.webhooks import WebhookRequest, webhook_handler, webhook_request
from soundpost.values.proxies import unproxied
from soundpost.webhooks import Webhooks
from soundpost.webhooks import default as default_webhooks
from soundpost.webhooks.endpoint import WebhookEndpoint

if TYPE_CHECKING:
    from soundpost.asgi import App

log = logging.getLogger("soundpost.broadcast")

AUTH: Final = "soundpost_auth"
"""Name of the route that authorizes subscriptions, for ``url_for``."""
USER_AUTH: Final = "soundpost_user_auth"
"""Name of the route that authorizes sign-ins, for ``url_for``."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
FindUser = Callable[[Request], Any]


class Soundpost:
    """Broadcasting for one application.

    - ``settings``: a mapping, or keywords, with the settings of :func:`soundpost.configure`. Without settings, the
      broadcaster stays as it is.
    - ``broadcaster``: the broadcaster that the settings configure, by default :func:`soundpost.broadcast`.
    - ``channels``: the channel routes, by default :data:`soundpost.channels`.
    - ``webhooks``: the handlers of webhooks, by default those of :mod:`soundpost.webhooks`.

    Raises ConfigurationError for wrong settings.
    """

    def __init__(
        self,
        settings: BroadcastSettings | Mapping[str, Any] | None = None,
        /,
        *,
        broadcaster: Broadcaster | None = None,
        channels: ChannelRoutes | None = None,
        webhooks: Webhooks | None = None,
        **more: Any,
    ) -> None:
        self.broadcast = default_broadcaster if broadcaster is None else broadcaster
        """The application's broadcaster: ``sp.broadcast(event)``, ``await sp.broadcast.abroadcast(event)``."""
        self.channels = self._default_channels() if channels is None else channels
        """The channel routes: ``@sp.channels.private("orders.{order_id:int}")``."""
        self.webhooks = default_webhooks if webhooks is None else webhooks
        """The handlers of webhooks: ``@sp.webhooks.on("member_added", "presence-room.{room:int}")``."""
        self._webhook_endpoint = WebhookEndpoint(self.webhooks, lambda: self.broadcast.settings)
        self._servers: list[App] = []
        if settings is not None or more:
            self.broadcast.configure(settings, **more)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """Return an extension with the settings of the environment: ``SOUNDPOST_…``, or Laravel's ``REVERB_…``.

        ``environ`` is read in place of ``os.environ``; ``options`` are those of the class. Raises ConfigurationError.
        """
        return cls(settings_from_environment(environ), **options)

    @staticmethod
    def _default_channels() -> ChannelRoutes:
        return default_channels

    @property
    def settings(self) -> BroadcastSettings:
        """The settings of the broadcaster. Raises ConfigurationError."""
        return self.broadcast.settings

    def broadcaster(self, request: Request) -> RequestBroadcaster:
        """Return the broadcaster of a request, whose browser ``to_others`` leaves out; in FastAPI a dependency."""
        return RequestBroadcaster(self.broadcast, request)

    # Auth routes

    def routes(self, *, user: FindUser, url_prefix: str = "/broadcasting") -> list[Route]:
        """Return the routes ``auth``, ``user-auth`` and ``config`` for laravel-echo, libraries, and ``webhooks``.

        ``user`` returns the user of a request, or None for nobody; it may be a coroutine function. An HTTPException
        with 401 or 403 means nobody, too. ``url_prefix`` is the path before the routes. ``config`` answers with
        :meth:`echo_options`, ``pusher.min.js``, ``echo.iife.js`` and ``soundpost-resume.min.js`` with the libraries.
        ``webhooks`` is for the server. Raises RouteError for a ``user`` that is not a function.
        """
        check_finder(user)
        endpoint = remember_endpoint(
            AuthEndpoint(self.channels, lambda: self.broadcast.settings, denials=(HTTPException,))
        )
        auth, user_auth = auth_handlers(endpoint, partial(_find_user, user))
        url_prefix = url_prefix.rstrip("/")
        return [
            Route(f"{url_prefix}/auth", auth, methods=["GET", "POST"], name=AUTH),
            Route(f"{url_prefix}/user-auth", user_auth, methods=["GET", "POST"], name=USER_AUTH),
            Route(f"{url_prefix}/config", self.config, methods=["GET"]),
            Route(f"{url_prefix}/webhooks", webhook_handler(self._webhook_endpoint), methods=["POST"]),
            *(Route(f"{url_prefix}/{each.file}", library_handler(each.file), methods=["GET"]) for each in LIBRARIES),
        ]

    # Webhooks

    async def webhook(self, request: Request) -> WebhookRequest:
        """Return the verified webhook in a request, for a route of your own; in FastAPI a dependency.

        Raises HTTPException: 400 and 413 for a wrong body, 401 for a wrong key or signature.
        """
        return await webhook_request(self._webhook_endpoint, request)

    # The page

    def echo_options(self, request: Request) -> dict[str, Any]:
        """Return the options of ``new Echo(…)`` for a request's page, as JSON values. Raises ConfigurationError."""
        return echo_options(
            self.broadcast.settings,
            request_host=request.headers.get("host"),
            auth_endpoint=_path_of(request, AUTH, "/broadcasting/auth"),
            user_auth_endpoint=_path_of(request, USER_AUTH, "/broadcasting/user-auth"),
            scope=request.scope,
        )

    def echo_script(
        self, request: Request, *, nonce: str = "", libraries: bool = False, positions: Positions | None = None
    ) -> Html:
        """Return HTML for a template: the options, and a script that sends ``X-Socket-ID`` with the page's requests.

        ``nonce`` is the nonce of a Content-Security-Policy. With ``libraries`` the page loads pusher-js, laravel-echo
        and soundpost-resume too, and ``Soundpost.connect()`` returns an Echo. ``positions`` are those of the data that
        the page shows, by channel. Raises ConfigurationError.
        """
        options = self.echo_options(request)
        urls = versioned(options["authEndpoint"].removesuffix("auth")) if libraries else []
        return Html(echo_script(options, nonce=nonce, libraries=urls, positions=positions))

    async def config(self, request: Request) -> Response:
        """Answer a request with the options as JSON, for pages that are served as files."""
        return JSONResponse(self.echo_options(request), headers={"Cache-Control": "no-store"})

    # Start and end

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Run with the application: log what is not configured at the start; send waiting events and close at the end.

        ``Starlette(lifespan=sp.lifespan)``
        """
        self._check()
        for server in self._servers:
            server.start()
        try:
            yield
        finally:
            for server in self._servers:
                await server.stop()
            await asyncio.to_thread(self.broadcast.close)
            await self.broadcast.aclose()

    def lifespan_with(self, own: Lifespan) -> Lifespan:
        """Return a lifespan that runs :meth:`lifespan` around the application's own, with the state of that one."""

        @asynccontextmanager
        async def both(app: Any) -> AsyncIterator[Any]:
            async with self.lifespan(app), own(app) as state:
                yield state

        return both

    def _check(self) -> None:
        try:
            self.broadcast.drivers.of("")
        except SoundpostError as error:
            log.warning("nothing can be broadcast: %s", error)

    # Embedded server

    def _embedded_endpoint(self) -> WebhookEndpoint:
        """Return what calls the handlers of webhooks for an embedded server, without HTTP."""
        return self._webhook_endpoint

    def server(self, app: Any = None, /, **options: Any) -> App:
        """Return a realtime server for this process, to which connections with the driver ``embedded`` publish.

        ``app.add_middleware(sp.server)`` adds the server to an application: ``/app/…`` and ``/apps/…`` are the
        server's, other paths are left to ``app``. ``options`` are those of ``[[apps]]`` in ``soundpost.toml``, such as
        ``max_presence_members=500``. Raises ConfigurationError if no connection has the driver ``embedded``.
        """
        from soundpost.asgi import App, apps_of

        app = options.pop("app", app)  # as Starlette before 0.39 gives it
        made = App(app, apps=apps_of(self.broadcast.settings, options), webhooks=self._embedded_endpoint())
        self._servers.append(made)
        return made


async def _find_user(find: FindUser, request: Request, guard: str | None) -> Any:
    check_guard(guard)
    try:
        if inspect.iscoroutinefunction(find):
            return await find(request)
        found = unproxied(await asyncio.to_thread(find, request))
        return await found if inspect.isawaitable(found) else found
    except HTTPException as error:
        if error.status_code in (401, 403):
            return None
        raise


def _path_of(request: Request, name: str, default: str) -> str:
    router = request.scope.get("router") or request.scope["app"]  # a middleware is called before the router
    for each in _names_below(router.routes, name):
        with suppress(NoMatchFound):
            return request.url_for(each).path
    return default


def _names_below(routes: Iterable[BaseRoute], name: str) -> Iterator[str]:
    """Yield the names by which a route may be found: its own, and those with the names of mounts before it."""
    yield name
    for route in routes:
        if isinstance(route, Mount) and route.name:
            yield from (f"{route.name}:{each}" for each in _names_below(route.routes, name))
