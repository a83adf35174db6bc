"""Options of ``new Echo(…)`` for the pages of an application, from its settings.

Source: https://laravel.com/docs/broadcasting#client-side-installation
"""

from __future__ import annotations

import json
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.client.address import is_loopback

CONFIG_ID: Final = "soundpost-config"
"""Id of the element that has the options; the script reads it."""
_ANYWHERE: Final = ("0.0.0.0", "::", "")
_FOR_HTML: Final = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


def echo_options(
    settings: BroadcastSettings,
    *,
    request_host: str | None = None,
    auth_endpoint: str = "/broadcasting/auth",
    user_auth_endpoint: str = "/broadcasting/user-auth",
    csrf_token: str | None = None,
) -> dict[str, Any]:
    """The options, as JSON values; a page calls ``new Echo({...options, Pusher})`` or sets ``window.Pusher``.

    ``request_host`` is the host by which the browser reached the application: taken where no public host is set and the
    server is on the same machine, or has a name without a dot, which only a private network knows. Raises
    ConfigurationError if nothing is configured.
    """
    browser = settings.browser()
    host = browser.host
    ports = (browser.port, browser.port)
    if browser.driver == "embedded" and settings.public.host is None and request_host:
        host, ports = _without_port(request_host), _ports(request_host)
    elif settings.public.host is None and request_host and is_internal(host):
        host = _without_port(request_host)
    options: dict[str, Any] = {
        "broadcaster": "reverb",
        "key": browser.key,
        "wsHost": host,
        "wsPort": ports[0],
        "wssPort": ports[1],
        "forceTLS": browser.scheme == "https",
        "enabledTransports": ["ws", "wss"],
        "namespace": False,
        "authEndpoint": auth_endpoint,
        "userAuthentication": {"endpoint": user_auth_endpoint, "headers": {}},
    }
    if browser.path:
        options["wsPath"] = browser.path
    if csrf_token is not None:
        options["csrfToken"] = csrf_token
    return options


def is_internal(host: str) -> bool:
    """Whether no browser elsewhere can reach a host: it is this machine, or has a name that only a network of
    containers knows."""
    return host in _ANYWHERE or ("." not in host and ":" not in host) or is_loopback(f"//{_bracketed(host)}")


def echo_script(options: dict[str, Any], *, nonce: str = "") -> str:
    """HTML with the options in it, and the script that reads them: ``window.Soundpost.options``.

    ``nonce`` is that of a Content-Security-Policy which allows no other inline scripts.
    """
    text = json.dumps(options).translate(_FOR_HTML)
    said = f' nonce="{escape(nonce)}"' if nonce else ""
    return f'<script id="{CONFIG_ID}" type="application/json">{text}</script>\n<script{said}>{script()}</script>'


@cache
def script() -> str:
    """The script, as JavaScript without a tag around it."""
    return files("soundpost.broadcasting.browser").joinpath("static/soundpost.js").read_text(encoding="utf-8")


def _ports(host: str) -> tuple[int, int]:
    """The port of a request's host, as those of ws and wss: the page's own scheme decides which of them counts."""
    port = host[len(_without_port(host)) :].rpartition(":")[2]
    return (int(port), int(port)) if port.isdigit() else (80, 443)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
