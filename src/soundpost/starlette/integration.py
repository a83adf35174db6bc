"""What an application makes one of: settings, channel routes, auth routes, lifespan, options for its pages."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import NoMatchFound, Route

from soundpost.broadcasting import Broadcaster, broadcast
from soundpost.broadcasting.authorization import AuthEndpoint, ChannelRoutes
from soundpost.broadcasting.authorization import channels as default_channels
from soundpost.broadcasting.browser import echo_options, echo_script
from soundpost.broadcasting.proxies import unproxied
from soundpost.broadcasting.settings import BroadcastSettings, settings_from_environment
from soundpost.errors import SoundpostError
from soundpost.starlette.request_broadcaster import RequestBroadcaster
from soundpost.starlette.requests import auth_request, response

if TYPE_CHECKING:
    from soundpost.asgi import App

log = logging.getLogger("soundpost.broadcast")

AUTH: Final = "soundpost_auth"
"""Name of the route that authorizes subscriptions."""
USER_AUTH: Final = "soundpost_user_auth"
"""Name of the route that authorizes sign-ins."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
FindUser = Callable[[Request], Any]


class Html(str):
    """Text that templates are to take as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


class Soundpost:
    """Broadcasting for one application.

    Settings are those of :func:`soundpost.configure`, a mapping or keywords; they configure the process's broadcaster,
    which :func:`soundpost.broadcast` uses too, unless another ``broadcaster`` is given. Without settings it is left as
    it is. ``channels``: its channel routes, the process's own if nothing else is said. Raises ConfigurationError.
    """

    def __init__(
        self,
        settings: BroadcastSettings | Mapping[str, Any] | None = None,
        /,
        *,
        broadcaster: Broadcaster | None = None,
        channels: ChannelRoutes | None = None,
        **more: Any,
    ) -> None:
        self.broadcast = broadcast if broadcaster is None else broadcaster
        """The broadcaster itself."""
        self.channels = self._own_channels() if channels is None else channels
        """Decorates who decides about channels."""
        self._servers: list[App] = []
        if settings is not None or more:
            self.broadcast.configure(settings, **more)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """With settings from ``SOUNDPOST_…``, or Laravel's ``REVERB_…``. Raises ConfigurationError."""
        return cls(settings_from_environment(environ), **options)

    @staticmethod
    def _own_channels() -> ChannelRoutes:
        return default_channels

    @property
    def settings(self) -> BroadcastSettings:
        """What the broadcaster was configured with."""
        return self.broadcast.settings

    def broadcaster(self, request: Request) -> RequestBroadcaster:
        """What the handler of a request broadcasts with."""
        return RequestBroadcaster(self.broadcast, request)

    # Auth routes

    def routes(self, *, user: FindUser, url_prefix: str = "/broadcasting") -> list[Route]:
        """The routes that laravel-echo and pusher-js ask, and ``config`` with the options of :meth:`echo_options`.

        ``user`` finds a request's user, or None; sync or async. An HTTPException with 401 or 403 means None too.
        """
        endpoint = AuthEndpoint(self.channels, lambda: self.broadcast.settings, denials=(HTTPException,))

        async def auth(request: Request) -> Response:
            return response(await endpoint.achannel(await auth_request(request, partial(_user_of, user, request))))

        async def user_auth(request: Request) -> Response:
            return response(await endpoint.auser(await auth_request(request, partial(_user_of, user, request))))

        return [
            Route(f"{url_prefix}/auth", auth, methods=["GET", "POST"], name=AUTH),
            Route(f"{url_prefix}/user-auth", user_auth, methods=["GET", "POST"], name=USER_AUTH),
            Route(f"{url_prefix}/config", self.config, methods=["GET"]),
        ]

    # The page

    def echo_options(self, request: Request) -> dict[str, Any]:
        """The options of ``new Echo(…)`` for the browser that asks, as JSON values. Raises ConfigurationError."""
        return echo_options(
            self.broadcast.settings,
            request_host=request.headers.get("host"),
            auth_endpoint=_path_of(request, AUTH, "/broadcasting/auth"),
            user_auth_endpoint=_path_of(request, USER_AUTH, "/broadcasting/user-auth"),
        )

    def echo_script(self, request: Request) -> Html:
        """HTML with the options, and a script that sends ``X-Socket-ID`` with the page's requests; for templates."""
        return Html(echo_script(self.echo_options(request)))

    async def config(self, request: Request) -> Response:
        """The options as a response, for pages that are built and served as files."""
        return JSONResponse(self.echo_options(request), headers={"Cache-Control": "no-store"})

    # Begin and end

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Of the application: says at the start what is not configured; at the end sends what waits, and closes."""
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
        """The same around the application's own lifespan, whose state it hands on."""

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

    # Embedded

    def server(self, app: Any = None, /, **options: Any) -> App:
        """A realtime server in this process, for connections with the driver ``embedded``, which publish to it.

        It serves ``/app/…`` and ``/apps/…``, and leaves the rest to ``app``: ``app.add_middleware(sp.server)``.
        ``options`` are those of ``[[apps]]`` in ``soundpost.toml``, ``max_presence_members=500`` say. Raises
        ConfigurationError.
        """
        from soundpost.asgi import App, apps_of

        app = options.pop("app", app)  # as Starlette before 0.39 gives it
        made = App(app, apps=apps_of(self.broadcast.settings, options))
        self._servers.append(made)
        return made


async def _user_of(find: FindUser, request: Request, guard: str | None) -> Any:
    try:
        if inspect.iscoroutinefunction(find):
            return await find(request)
        found = unproxied(await asyncio.to_thread(find, request))
        return await found if inspect.isawaitable(found) else found
    except HTTPException as error:
        if error.status_code in (401, 403):
            return None
        raise


def _path_of(request: Request, name: str, usual: str) -> str:
    try:
        return request.url_for(name).path
    except NoMatchFound:
        return usual
