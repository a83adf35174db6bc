"""System checks: mistakes in settings, channel routes and handlers of webhooks, and the way out.

Those about processes and files around the settings are in :mod:`soundpost.django.deployment_checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.core import checks
from django.urls import NoReverseMatch
from django.utils.module_loading import import_string

from soundpost.broadcasting.authorization import channels
from soundpost.broadcasting.browser.echo_options import is_internal
from soundpost.broadcasting.delivery import check_delivery
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.django.autodiscovery import failures, webhook_failures
from soundpost.django.guards import SESSION
from soundpost.django.middleware import SocketIdMiddleware
from soundpost.django.reversing import url_of
from soundpost.django.settings import WHERE, broadcast_settings, own_settings, useless_origins
from soundpost.documentation import page
from soundpost.errors import ConfigurationError, RouteError
from soundpost.webhooks import default as webhooks

Message = Any
"""A ``CheckMessage`` of Django."""


def check_settings(**_: Any) -> list[Message]:
    """Return messages about wrong, unknown and missing settings, and addresses that browsers cannot reach."""
    try:
        own_settings()
        found = broadcast_settings()
    except ConfigurationError as error:
        return [
            checks.Error(
                str(error),
                hint=f"Correct it in {WHERE}. All settings: {page('django', 'settings')}",
                id="soundpost.E001",
            )
        ]
    return [*_incomplete(found), *_unreachable(found), *_useless_origins(), *_no_delivery(found)]


def check_channels(**_: Any) -> list[Message]:
    """Return messages about modules with channel routes that failed, unknown guards and impossible permissions."""
    ids = ("soundpost.E003", "soundpost.E004")
    return [*_failed(failures.items(), "all channels of this module are denied", ids), *_wrong_routes()]


def check_webhooks(**_: Any) -> list[Message]:
    """Return messages about modules with handlers of webhooks that failed, and about handlers without a URL."""
    ids = ("soundpost.E008", "soundpost.E009")
    return [*_failed(webhook_failures.items(), "no handler of this module is called", ids), *_no_webhook_url()]


def check_project(**_: Any) -> list[Message]:
    """Return messages about a missing middleware, and about missing URLs."""
    return [*_missing_middleware(), *_missing_urls()]


def _incomplete(found: BroadcastSettings) -> Iterator[Message]:
    hint = (
        "'manage.py soundpost init' writes credentials into soundpost.toml. Or set SOUNDPOST_APP_ID, SOUNDPOST_APP_KEY "
        f"and SOUNDPOST_APP_SECRET in the environment, or APP_ID, KEY and SECRET in {WHERE}. If you want no server: "
        'SOUNDPOST = {"DRIVER": "log"}.'
    )
    if not found.connections:  # a warning: migrations and tests need none
        yield checks.Warning("Soundpost has no credentials: nothing can be broadcast.", hint=hint, id="soundpost.W005")
    for name, connection in found.connections.items():
        missing = [each.upper() for each in connection.missing()]
        if missing:
            yield checks.Error(
                f"{WHERE}: connection {name!r} has no {', no '.join(missing)}.", hint=hint, id="soundpost.E002"
            )


def _no_delivery(found: BroadcastSettings) -> Iterator[Message]:
    try:
        check_delivery(found.deliver)
    except ConfigurationError as error:
        yield checks.Error(
            f"{WHERE}: {error}.",
            hint="Install the library, or choose another way to send: 'DELIVER': 'now' or 'background'.",
            id="soundpost.E007",
        )


def _useless_origins() -> Iterator[Message]:
    """Yield messages about entries of CSRF_TRUSTED_ORIGINS that let no page ask the auth endpoints."""
    for reason in useless_origins().values():
        yield checks.Warning(
            f"CSRF_TRUSTED_ORIGINS: {reason}.",
            hint=f"The auth endpoints leave it out; 'TRUSTED_ORIGINS' in {WHERE} is theirs alone.",
            id="soundpost.W006",
        )


def _unreachable(found: BroadcastSettings) -> Iterator[Message]:
    """Yield messages about addresses that browsers cannot reach, in production only."""
    if settings.DEBUG or not found.connections or not found.connection().is_server:
        return
    browser = found.browser()
    has_public_host = found.public.host is not None
    hint = 'Say where browsers connect: "PUBLIC": {"host": "ws.example.com", "port": 443, "tls": True}.'
    if _is_private(browser.host) or (has_public_host and is_internal(browser.host)):
        yield checks.Warning(
            f"{WHERE}: browsers would connect to {browser.host}, which only your own network can reach.",
            hint=hint,
            id="soundpost.W003",
        )
    if browser.scheme == "http" and browser.driver != "embedded" and _is_https_site():
        yield checks.Warning(
            f"{WHERE}: the site has https, but its pages would connect to port {browser.port} without TLS, which "
            "browsers forbid.",
            hint=f"{hint} A proxy such as Nginx has the certificate, and passes on to the server's port.",
            id="soundpost.W004",
        )


def _is_private(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_loopback and not address.is_unspecified


def _is_https_site() -> bool:
    names = ("SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE")
    return any(getattr(settings, name, None) for name in names)


def _failed(found: Iterable[tuple[str, Exception]], until_then: str, ids: tuple[str, str]) -> Iterator[Message]:
    """Yield messages about modules; ``ids`` are that of a wrong decorator, and that of a module that fails."""
    for module, error in found:
        if isinstance(error, RouteError):
            yield checks.Error(
                f"{module}: {error}",
                hint=f"Until then {until_then}.",
                obj=module,
                id=ids[0],
            )
        else:
            yield checks.Error(
                f"{module} cannot be imported: {type(error).__name__}: {error}",
                hint=f"The log has the traceback. Until then {until_then}.",
                obj=module,
                id=ids[1],
            )


def _wrong_routes() -> Iterator[Message]:
    for route in channels:
        where = f"The channel route {route.pattern.text!r} ({route.name})"
        for guard in route.guards:
            if guard != SESSION and guard not in channels.guards:
                yield checks.Error(
                    f"{where} wants the guard {guard!r}; there are {', '.join([SESSION, *channels.guards])}.",
                    hint=f'Define it: channels.guard("{guard}")(function from a request to its user).',
                    id="soundpost.E005",
                )
        if route.permission is not None and "." not in route.permission:
            yield checks.Error(
                f"{where} asks for the permission {route.permission!r}, which nobody can have.",
                hint='A permission is the app and its codename: "shop.view_order".',
                id="soundpost.E006",
            )


def _missing_middleware() -> Iterator[Message]:
    if not any(map(_is_socket_id_middleware, settings.MIDDLEWARE)):
        yield checks.Warning(
            "soundpost.django.SocketIdMiddleware is not in settings.MIDDLEWARE: to_others=True has no effect.",
            hint='MIDDLEWARE += ["soundpost.django.SocketIdMiddleware"]',
            id="soundpost.W001",
        )


def _is_socket_id_middleware(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:  # reported by Django itself
        return False
    return isinstance(found, type) and issubclass(found, SocketIdMiddleware)


def _missing_urls() -> Iterator[Message]:
    try:
        has_path = own_settings().auth_path is not None
    except ConfigurationError:
        return
    if has_path or not len(channels):
        return
    if _lacks_url("auth"):
        yield checks.Warning(
            "There are channel routes, but no auth URLs, where browsers ask for private and presence channels.",
            hint='urlpatterns += [path("broadcasting/", include("soundpost.django.urls"))]; or, if they are elsewhere, '
            'say where: SOUNDPOST = {"AUTH_PATH": "/broadcasting/", …}.',
            id="soundpost.W002",
        )


def _no_webhook_url() -> Iterator[Message]:
    if len(webhooks) and not _is_embedded() and _lacks_url("webhooks"):
        yield checks.Warning(
            "There are handlers of webhooks, but no URL to which the server can send webhooks.",
            hint='urlpatterns += [path("broadcasting/", include("soundpost.django.urls"))]; the server then sends to '
            "https://…/broadcasting/webhooks.",
            id="soundpost.W010",
        )


def _lacks_url(name: str) -> bool:
    """Return whether the site has no URL of this name; False for a URLconf that fails, which Django's checks report."""
    try:
        url_of(name)
    except NoReverseMatch:
        return True
    except Exception:
        return False
    return False


def _is_embedded() -> bool:
    """Return whether the server is embedded in the site, and calls the handlers itself."""
    try:
        found = broadcast_settings()
        return bool(found.connections) and found.connection().driver == "embedded"
    except ConfigurationError:  # reported by E001
        return False


_ALL: tuple[Callable[..., list[Message]], ...] = (check_settings, check_channels, check_webhooks, check_project)
for _each in _ALL:
    checks.register(_each, "soundpost")
