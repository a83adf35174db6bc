"""The plugin for Litestar: auth routes, the socket id of requests, the dependency ``broadcaster``, page options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from litestar import Request, Response, Router, get, route
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import NotAuthorizedException, NotFoundException, PermissionDeniedException
from litestar.exceptions.http_exceptions import InternalServerException, RequestEntityTooLarge
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import InitPlugin

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting import broadcast as default_broadcaster
from soundpost.broadcasting.authorization import HEADERS, AuthEndpoint, AuthRequest, AuthResponse, ChannelRoutes
from soundpost.broadcasting.authorization import channels as default_channels
from soundpost.broadcasting.authorization.body import MAX_BODY, OVERLONG_BODY, encoded_again
from soundpost.broadcasting.authorization.known_endpoints import remember_endpoint
from soundpost.broadcasting.authorization.users import check_finder, check_guard
from soundpost.broadcasting.browser import (
    LIBRARIES,
    LIBRARY_HEADERS,
    Html,
    Positions,
    echo_options,
    echo_script,
    library_text,
    versioned,
)
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.broadcasting.socket_id import SocketIdMiddleware
from soundpost.webhooks import MAX_BODY as MAX_WEBHOOK
from soundpost.webhooks import Webhooks
from soundpost.webhooks import default as default_webhooks
from soundpost.webhooks.endpoint import OVERLONG_BODY as OVERLONG_WEBHOOK
from soundpost.webhooks.endpoint import WebhookEndpoint, WebhookResponse

AnyRequest = Request[Any, Any, Any]


class SoundpostPlugin(InitPlugin):
    """Broadcasting for Litestar: auth routes, and a dependency ``broadcaster`` for handlers.

    - ``settings``: the settings of :func:`soundpost.configure`, by default the environment's.
    - ``user``: a function, perhaps a coroutine function, that returns the user of a request, or None for nobody. By
      default Litestar's authentication finds the user.
    - ``broadcaster``: the broadcaster that the settings configure, by default :func:`soundpost.broadcast`.
    - ``channels``: the channel routes, by default :data:`soundpost.channels`.
    - ``webhooks``: the handlers of webhooks, by default those of :mod:`soundpost.webhooks`.
    - ``url_prefix``: the path before the routes.

    Raises ConfigurationError for wrong settings.
    """

    def __init__(
        self,
        settings: BroadcastSettings | Mapping[str, Any] | None = None,
        *,
        user: Callable[[AnyRequest], Any] | None = None,
        broadcaster: Broadcaster | None = None,
        channels: ChannelRoutes | None = None,
        webhooks: Webhooks | None = None,
        url_prefix: str = "/broadcasting",
    ) -> None:
        self.broadcast = default_broadcaster if broadcaster is None else broadcaster
        """The application's broadcaster: ``await plugin.broadcast.abroadcast(event)``."""
        self.channels = default_channels if channels is None else channels
        """The channel routes: ``@plugin.channels.private("orders.{order_id:int}")``."""
        self.webhooks = default_webhooks if webhooks is None else webhooks
        """The handlers of webhooks: ``@plugin.webhooks.on("member_added", "presence-room.{room:int}")``."""
        self._webhook_endpoint = WebhookEndpoint(self.webhooks, lambda: self.broadcast.settings)
        if user is not None:
            check_finder(user)
        self._user = user or (lambda request: request.scope.get("user"))
        self._url_prefix = "/" + url_prefix.strip("/")
        self._path = self._url_prefix.rstrip("/")
        denials = (NotAuthorizedException, NotFoundException, PermissionDeniedException)
        self._endpoint = remember_endpoint(
            AuthEndpoint(self.channels, lambda: self.broadcast.settings, denials=denials)
        )
        if settings is not None:
            self.broadcast.configure(settings)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add routes, middleware and dependency to an application's configuration, and return the configuration."""
        self._path = app_config.path.rstrip("/") + self._url_prefix.rstrip("/")
        app_config.route_handlers.append(self._routes())
        app_config.middleware.insert(0, cast(Any, SocketIdMiddleware))
        app_config.dependencies["broadcaster"] = Provide(lambda: self.broadcast, sync_to_thread=False)
        app_config.on_shutdown.append(self.broadcast.aclose)
        return app_config

    def echo_options(self, request: AnyRequest) -> dict[str, Any]:
        """Return the options of ``new Echo(…)`` for a request's page, as JSON values. Raises ConfigurationError."""
        path = self._path_for(request)
        return echo_options(
            self.broadcast.settings,
            request_host=request.url.netloc,
            auth_endpoint=f"{path}/auth",
            user_auth_endpoint=f"{path}/user-auth",
            scope=request.scope,
        )

    def echo_script(
        self, request: AnyRequest, *, nonce: str = "", libraries: bool = False, positions: Positions | None = None
    ) -> Html:
        """Return HTML for a template: the options, and a script that sends ``X-Socket-ID`` with the page's requests.

        ``nonce`` is the nonce of a Content-Security-Policy. With ``libraries`` the page loads pusher-js, laravel-echo
        and soundpost-resume too, and ``Soundpost.connect()`` returns an Echo. ``positions`` are those of the data that
        the page shows, by channel. Raises ConfigurationError.
        """
        urls = versioned(self._path_for(request)) if libraries else []
        return Html(echo_script(self.echo_options(request), nonce=nonce, libraries=urls, positions=positions))

    def _path_for(self, request: AnyRequest) -> str:
        """Return the path of the routes as browsers know it: below the path of the application, and its root path."""
        return request.scope.get("root_path", "").rstrip("/") + self._path

    def _routes(self) -> Router:
        common: dict[str, Any] = {
            "opt": {"exclude_from_csrf": True},  # the endpoint looks at Origin, or at the signature, instead
            "status_code": 200,
            "include_in_schema": False,
        }
        options: dict[str, Any] = {**common, "http_method": ["GET", "POST"], "request_max_body_size": MAX_BODY}

        @route("/auth", **options)
        async def auth(request: AnyRequest) -> Response[str]:
            return _response(await self._endpoint.achannel(await self._auth_request(request)))

        @route("/user-auth", **options)
        async def user_auth(request: AnyRequest) -> Response[str]:
            return _response(await self._endpoint.auser(await self._auth_request(request)))

        @route("/webhooks", http_method=["POST"], request_max_body_size=MAX_WEBHOOK, **common)
        async def webhooks(request: AnyRequest) -> Response[str]:
            body = await _body(request, OVERLONG_WEBHOOK)
            return _response(await self._webhook_endpoint.arespond(body, request.headers))

        libraries = [_library(each.file) for each in LIBRARIES]
        return Router(self._url_prefix, route_handlers=[auth, user_auth, webhooks, *libraries])

    def _find_user(self, request: AnyRequest, guard: str | None) -> Any:
        check_guard(guard)
        return self._user(request)

    async def _auth_request(self, request: AnyRequest) -> AuthRequest:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = await _body(request, OVERLONG_BODY)
        except InternalServerException:  # the application has read the body already, as a FormData
            fields = (await request.form()).multi_items()
            body = encoded_again([each for each in fields if isinstance(each[1], str)], headers)
        return AuthRequest(
            headers=headers,
            query=request.scope["query_string"].decode("latin-1"),
            body=body,
            host=request.headers.get("host", ""),
            user=partial(self._find_user, request),
            request=request,
            debug=request.app.debug,
        )


async def _body(request: AnyRequest, overlong: bytes) -> bytes:
    """Return the body, which Litestar keeps for later readers; ``overlong`` for one above the route's limit."""
    try:
        return await request.body()
    except RequestEntityTooLarge:
        return overlong


def _library(file: str) -> HTTPRouteHandler:
    """Return the route that answers with a JavaScript library of the package."""
    headers = {name: value for name, value in LIBRARY_HEADERS.items() if name != "Content-Type"}

    @get(f"/{file}", include_in_schema=False)
    async def library() -> Response[str]:
        return Response(library_text(file), media_type="text/javascript", headers=headers)

    return library


def _response(answer: AuthResponse | WebhookResponse) -> Response[str]:
    headers = {name: value for name, value in HEADERS.items() if name != "Content-Type"}
    return Response(answer.body, status_code=answer.status, media_type="application/json", headers=headers)
