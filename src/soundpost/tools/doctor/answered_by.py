"""Program that wrote an HTTP response: the server, Nginx, Cloudflare or another web site."""

from __future__ import annotations

import re
from typing import Final

from soundpost.tools.doctor.exchange import RawResponse
from soundpost.tools.doctor.findings import one_line
from soundpost.wire.foreign import object_in, title_in

_NGINX_PAGE: Final = re.compile(rb"<center>(nginx|openresty)[^<]*</center>", re.IGNORECASE)
_CHALLENGE: Final = (
    b"just a moment",
    b"cf-chl",
    b"_cf_chl_opt",
    b"challenge-platform",
    b"attention required! | cloudflare",
)


def is_nginx_page(response: RawResponse) -> bool:
    """Return whether a response is one of the pages built into Nginx."""
    return _NGINX_PAGE.search(response.body) is not None


def is_page(response: RawResponse) -> bool:
    """Return whether a response is a web page."""
    return "text/html" in response.headers.get("content-type", "") or response.body.lstrip()[:1] == b"<"


def is_cloudflare(response: RawResponse) -> bool:
    """Return whether a response came through Cloudflare."""
    return "cf-ray" in response.headers or response.headers.get("server", "").lower() == "cloudflare"


def is_challenge(response: RawResponse) -> bool:
    """Return whether a response is Cloudflare's challenge page, which only people pass."""
    if response.headers.get("cf-mitigated") == "challenge":
        return True
    body = response.body.lower()
    return response.status in (403, 429, 503) and is_cloudflare(response) and any(sign in body for sign in _CHALLENGE)


def answered_by(response: RawResponse) -> str:
    """Return the name of the program that wrote a response."""
    if is_nginx_page(response):
        return "Nginx"
    if is_cloudflare(response):
        return "Cloudflare"
    server = response.headers.get("server", "").partition("/")[0]
    if is_page(response):
        return f"a web page ({describe_page(response)})"
    if _error(response) is not None:
        return "the server"
    return one_line(server).capitalize() if server else "what is there"


def describe_page(response: RawResponse) -> str:
    """Return a web page's title and the program that serves the page."""
    title = title_in(response.body)
    parts = [f"'{one_line(title)}'" if title else "without a title"]
    if response.headers.get("server"):
        parts.append(f"from {one_line(response.headers['server'])}")
    return " ".join(parts)


def response_text(response: RawResponse) -> str:
    """Return the content of a response in one line: a JSON error's text, a page's title, or the body's beginning."""
    error = _error(response)
    if error is not None:
        return one_line(error)
    if is_page(response):
        return describe_page(response)
    return one_line(response.body) or "nothing"


def _error(response: RawResponse) -> str | None:
    decoded = object_in(response.body) or {}
    found = decoded.get("error") or decoded.get("message")
    return found if isinstance(found, str) else None
