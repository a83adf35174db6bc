"""Faults behind HTTP responses that refuse a WebSocket."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from soundpost.tools.doctor.answered_by import (
    answered_by,
    describe_page,
    is_challenge,
    is_cloudflare,
    is_nginx_page,
    is_page,
    response_text,
)
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.exchange import RawResponse
from soundpost.tools.doctor.faults.proxy import FILE_OF_ANOTHER_PATH, NO_PATH
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.tls import speaks_tls

MAY_BE_AT_ANOTHER_PATH: Final = frozenset(
    {"path-not-forwarded", "answered-by-web-page", "upgrade-ignored", "upgrade-refused", "path-prefix-wrong"}
)
"""Faults after which the server may be found under another path."""
_OUR_NGINX: Final = re.compile(r"Nginx: Soundpost is at \S*/app/ ")
"""Answer of the file that ``soundpost deploy nginx`` writes, to every other path than the server's."""
_CLOUDFLARE: Final = {
    520: "the server behind it gave an answer it could not read",
    521: "the server behind it refuses connections: it is down, or blocks Cloudflare's addresses",
    522: "the server behind it does not answer: a firewall, or a machine that is off",
    523: "it finds no way to the server behind it: check the address in DNS",
    524: "the server behind it took longer than 100 s",
    525: "TLS with the server behind it failed",
    526: "the certificate of the server behind it is not valid",
    530: "it cannot find the server behind it (error 1016 or the like)",
}


def upgrade_fault(response: RawResponse, base_url: BaseUrl, asked: str) -> FaultFound:
    """Return the fault behind a response that refuses the WebSocket at the path ``asked``."""
    shared = proxy_fault(response, base_url, asked)
    if shared is not None:
        return shared
    status, text = response.status, response_text(response)
    if "Upgrade: websocket" in text and status == 426:
        return FaultFound("upgrade-header-lost")
    if "HTTP/1.0" in text and status == 400:
        return FaultFound("proxy-http-1.0")
    if "Connection: Upgrade" in text and status == 400:
        return FaultFound("connection-header-lost")
    if status == 426:
        return FaultFound("upgrade-header-lost")
    if status == 404 and is_nginx_page(response):
        return FaultFound("path-not-forwarded", asked=asked)
    if status == 404 and _OUR_NGINX.match(text):
        return FaultFound("path-not-forwarded", FILE_OF_ANOTHER_PATH, asked=asked)
    if is_page(response) and (status in (200, 404, 405, 419, 500) or status < 400):
        return FaultFound("answered-by-web-page", asked=asked, page=describe_page(response))
    if status < 300:
        return FaultFound("upgrade-ignored", asked=asked, status=status, shown=text)
    return FaultFound("upgrade-refused", asked=asked, author=answered_by(response), status=status, shown=text)


def proxy_fault(response: RawResponse, base_url: BaseUrl, asked: str) -> FaultFound | None:
    """Return the fault behind a proxy's response to any request; None if unknown."""
    status = response.status
    if is_challenge(response):
        return FaultFound("cloudflare-challenge")
    if is_cloudflare(response) and status in _CLOUDFLARE:
        return FaultFound("cloudflare-error", status=status, meaning=_CLOUDFLARE[status])
    if 300 <= status < 400 and response.headers.get("location"):
        return _redirect(base_url, one_line(response.headers["location"]))
    if status == 400 and is_plain_to_tls(response):
        if base_url.is_tls or not speaks_tls(base_url):
            return FaultFound("proxy-http-to-tls-server")
        return FaultFound("port-speaks-tls", host=base_url.host, port=base_url.port)
    who = answered_by(response)
    if status == 401 and "www-authenticate" in response.headers:
        return FaultFound("login-required")
    if status == 403 and is_page(response):
        return FaultFound("forbidden", author=who, asked=asked)
    if status == 503 and who == "the server":
        return FaultFound("server-over-capacity")
    codes = {429: "rate-limited", 502: "bad-gateway", 503: "service-unavailable", 504: "gateway-timeout"}
    return FaultFound(codes[status], author=who) if status in codes else None


def path_fault(asked: str, right: str, prefix: str) -> FaultFound:
    """Return the fault of the path ``asked``, where ``right`` is right; ``prefix`` is what stands before its /app."""
    return FaultFound("path-prefix-wrong", "" if prefix else NO_PATH, asked=asked, right=right, prefix=prefix)


def _redirect(base_url: BaseUrl, location: str) -> FaultFound:
    location = location.partition("?")[0]  # a query has the request's signature, which is nobody else's business
    if not base_url.is_tls and location.startswith(f"https://{base_url.host}"):
        return FaultFound("redirect-to-https", url=base_url.url, location=location, port=_port(location))
    return FaultFound("redirected", url=base_url.url, location=location)


def _port(location: str) -> int:
    try:
        return urlsplit(location).port or 443
    except ValueError:
        return 443


def is_plain_to_tls(response: RawResponse) -> bool:
    """Return whether Nginx, Apache, Go or Soundpost complains about plain HTTP on a TLS port."""
    body = response.body.lower()
    return any(
        sign in body
        for sign in (
            b"plain http request was sent to https port",
            b"speaking plain http to an ssl-enabled server port",
            b"client sent an http request to an https server",
            b"plain http on a tls port",
        )
    )
