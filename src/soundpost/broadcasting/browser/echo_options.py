"""Options of ``new Echo(…)`` for the pages of an application, from its settings.

Source: https://laravel.com/docs/broadcasting#client-side-installation
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from soundpost.broadcasting.browser.page_positions import Positions, page_positions
from soundpost.broadcasting.embedded_servers import SERVER_ROOT_PATH
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.wire.addresses import UNSPECIFIED, is_loopback_url

CONFIG_ID: Final = "soundpost-config"
"""Id of the HTML element with the options, which the script reads."""
_DIGITS: Final = 5
"""Digits of a port, at most."""
_FOR_HTML: Final = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


def echo_options(
    settings: BroadcastSettings,
    *,
    request_host: str | None = None,
    auth_endpoint: str = "/broadcasting/auth",
    user_auth_endpoint: str = "/broadcasting/user-auth",
    csrf_token: str | None = None,
    scope: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the options of ``new Echo({...options, Pusher})`` as JSON values.

    ``request_host`` is the host, perhaps with a port, by which the browser reached the application. The page connects
    to this host if no public host is set and the server is embedded, on the same machine, or has a name without a dot,
    which only a private network knows. ``auth_endpoint`` and ``user_auth_endpoint`` are URLs or paths. ``csrf_token``
    is the token of the page, if any. ``scope`` is the ASGI scope of the request, which says the root path of an
    embedded server. Raises ConfigurationError if nothing is configured.
    """
    browser = settings.browser()
    host = browser.host
    ports = (browser.port, browser.port)
    if browser.driver == "embedded" and settings.public.host is None and request_host:
        host, ports = _without_port(request_host), _ports(request_host)
    elif settings.public.host is None and request_host and is_internal(host):
        host = _without_port(request_host)
    uses_tls = browser.scheme == "https"
    # With "wss", pusher-js tries TLS where "ws" was not answered within 2 s. At a port without TLS this can only fail,
    # and a server that is slow at that moment gets a second connection of each page.
    has_port_for_tls = uses_tls or ports[0] != ports[1]
    options: dict[str, Any] = {
        "broadcaster": "reverb",
        "key": browser.key,
        "wsHost": host,
        "wsPort": ports[0],
        "wssPort": ports[1],
        "forceTLS": uses_tls,
        "enabledTransports": ["ws", "wss"] if has_port_for_tls else ["ws"],
        "namespace": False,
        "authEndpoint": auth_endpoint,
        "userAuthentication": {"endpoint": user_auth_endpoint, "headers": {}},
    }
    path = browser.path
    if browser.driver == "embedded" and not path and settings.public.path is None and scope is not None:
        path = scope.get(SERVER_ROOT_PATH, "")
    if path:
        options["wsPath"] = path
    if csrf_token is not None:
        options["csrfToken"] = csrf_token
    return options


def is_internal(host: str) -> bool:
    """Return whether only this machine, or a private network, can reach a host."""
    return host in UNSPECIFIED or ("." not in host and ":" not in host) or is_loopback_url(f"//{_bracketed(host)}")


def echo_script(
    options: dict[str, Any],
    *,
    nonce: str = "",
    libraries: Iterable[str] = (),
    positions: Positions | None = None,
) -> str:
    """Return HTML with the options and the script that reads them: ``window.Soundpost.options``.

    ``nonce`` is the nonce of a Content-Security-Policy which allows no other inline scripts; empty: no nonce.
    ``libraries`` are URLs of scripts that are loaded before: those of pusher-js, laravel-echo and soundpost-resume.
    ``positions`` are those of the data that the page shows, by channel: ``window.Soundpost.positions``. Raises
    ConfigurationError for what is not a position.
    """
    page: Mapping[str, Any] = {**options, "positions": page_positions(positions)} if positions else options
    text = json.dumps(page).translate(_FOR_HTML)
    attribute = f' nonce="{escape(nonce)}"' if nonce else ""
    loaded = "".join(f'<script{attribute} src="{escape(url)}"></script>\n' for url in libraries)
    return (
        f'{loaded}<script id="{CONFIG_ID}" type="application/json">{text}</script>\n'
        f"<script{attribute}>{page_script()}</script>"
    )


@cache
def page_script() -> str:
    """Return the JavaScript of a page, without a tag around it."""
    return files("soundpost.broadcasting.browser").joinpath("static/soundpost.js").read_text(encoding="utf-8")


def _ports(host: str) -> tuple[int, int]:
    """Return the ports for ws and wss from a request's host; without a port, the page's scheme decides: 80 or 443."""
    port = host[len(_without_port(host)) :].rpartition(":")[2]
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= _DIGITS else 0
    return (number, number) if number else (80, 443)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
