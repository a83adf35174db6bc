"""The common base of the extensions for Flask and for Quart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from flask.sansio.app import App
from markupsafe import Markup
from werkzeug.exceptions import Forbidden, NotFound, Unauthorized

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting import broadcast as default_broadcaster
from soundpost.broadcasting.authorization import AuthEndpoint, ChannelRoutes
from soundpost.broadcasting.authorization import channels as default_channels
from soundpost.broadcasting.authorization.known_endpoints import remember_endpoint
from soundpost.broadcasting.authorization.users import check_finder, check_guard
from soundpost.broadcasting.browser import Positions, echo_options, echo_script, versioned
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import ConfigurationError
from soundpost.flask.config import URL_PREFIX, settings_of
from soundpost.webhooks import Webhooks
from soundpost.webhooks import default as default_webhooks
from soundpost.webhooks.endpoint import WebhookEndpoint

log = logging.getLogger("soundpost.broadcast")

Loader = TypeVar("Loader", bound=Callable[..., Any])

_configured: WeakKeyDictionary[Broadcaster, WeakKeyDictionary[App, BroadcastSettings]] = WeakKeyDictionary()
"""Settings that applications have configured a broadcaster with, by broadcaster and application."""


@dataclass(frozen=True)
class ExtensionState:
    """The extension's state in an application: ``app.extensions["soundpost"]``."""

    app: App
    own_settings: BroadcastSettings
    """Settings from ``app.config``; without connections if the application sets none."""
    broadcast: Broadcaster
    channels: ChannelRoutes

    @property
    def settings(self) -> BroadcastSettings:
        """The application's own settings; the broadcaster's if it has none. Raises ConfigurationError."""
        settings = self.own_settings if self.own_settings.connections else self.broadcast.settings
        return settings if "SOUNDPOST_DEBUG" in self.app.config else replace(settings, debug=self.app.debug)

    def echo_script(
        self,
        request_host: str | None,
        nonce: str,
        auth: str,
        user_auth: str,
        csrf: Any,
        libraries: bool,
        positions: Positions | None,
        scope: Mapping[str, Any] | None = None,
    ) -> Markup:
        """Return HTML for a page: the options of laravel-echo, and a script that sends ``X-Socket-ID``.

        With ``libraries`` the page loads pusher-js, laravel-echo and soundpost-resume too, from the path of ``auth``.
        ``positions`` are those of the data that the page shows, by channel. ``scope`` is the request's ASGI scope.
        """
        options = echo_options(
            self.settings,
            request_host=request_host,
            auth_endpoint=auth,
            user_auth_endpoint=user_auth,
            csrf_token=csrf,
            scope=scope,
        )
        urls = versioned(auth.removesuffix("auth")) if libraries else []
        return Markup(echo_script(options, nonce=nonce, libraries=urls, positions=positions))


class BaseExtension:
    """Settings, channel routes and users of an application; subclasses serve the auth routes."""

    def __init__(
        self,
        app: App | None = None,
        *,
        broadcaster: Broadcaster | None = None,
        channels: ChannelRoutes | None = None,
        webhooks: Webhooks | None = None,
        url_prefix: str | None = None,
    ) -> None:
        self.broadcast = default_broadcaster if broadcaster is None else broadcaster
        """The application's broadcaster: ``sp.broadcast(event)``, ``sp.broadcast.publish(…)``."""
        self.channels = default_channels if channels is None else channels
        """The channel routes: ``@sp.channels.private("orders.{order_id:int}")``."""
        self.webhooks = default_webhooks if webhooks is None else webhooks
        """The handlers of webhooks: ``@sp.webhooks.on("member_added", "presence-room.{room:int}")``."""
        self._url_prefix = url_prefix
        self._load_user: Callable[[], Any] | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Any) -> None:
        """Add auth routes and settings to an application. Raises ConfigurationError for wrong settings."""
        raise NotImplementedError

    def user_loader(self, function: Loader) -> Loader:
        """Decorate a function without arguments that returns the user of the current request, or None for nobody.

        The function may be a coroutine function. Raises RouteError for what is not a function.
        """
        check_finder(function)
        self._load_user = function
        return function

    def _set_up(self, app: App) -> ExtensionState:
        """Read an application's settings, configure the broadcaster with them, and return the extension's state."""
        if not hasattr(app, "config"):
            raise ConfigurationError(
                f"{app!r:.100}: an application is expected, as in Soundpost(app), or sp.init_app(app) in a factory"
            )
        settings = settings_of(app.config)
        if settings.connections:
            self._configure(app, settings)
        state = app.extensions["soundpost"] = ExtensionState(app, settings, self.broadcast, self.channels)
        return state

    def _endpoint(self, state: ExtensionState, **options: Any) -> AuthEndpoint:
        denials = (Forbidden, NotFound, Unauthorized)
        return remember_endpoint(
            AuthEndpoint(self.channels, lambda: state.settings, denials=denials, has_short_responses=True, **options)
        )

    def _webhook_endpoint(self, state: ExtensionState, **options: Any) -> WebhookEndpoint:
        return WebhookEndpoint(self.webhooks, lambda: state.settings, **options)

    def _url_prefix_for(self, app: App) -> str:
        given: str | None = self._url_prefix
        return given if given is not None else app.config.get(URL_PREFIX) or "/broadcasting"

    def _user(self, guard: str | None) -> Any:
        check_guard(guard)
        return self._default_user() if self._load_user is None else self._load_user()

    def _default_user(self) -> Any:
        """Return the user of the current request where there is no ``user_loader``."""
        return None

    def _configure(self, app: App, settings: BroadcastSettings) -> None:
        others = _configured.setdefault(self.broadcast, WeakKeyDictionary())
        if any(other is not app and theirs != settings for other, theirs in others.items()):
            log.warning(
                "%r takes over the broadcaster of another application, with other settings: give each application "
                "its own Soundpost(broadcaster=Broadcaster()), and use sp.broadcast",
                app.name,
            )
        self.broadcast.configure(settings)
        others[app] = settings
