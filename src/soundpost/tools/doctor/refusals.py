"""From the answer to a request for a WebSocket that is none, to the fault behind it."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor.answered_by import author, is_challenge, is_cloudflare, is_nginx_page, is_page, page, said
from soundpost.tools.doctor.base_url import Place
from soundpost.tools.doctor.exchange import Answer
from soundpost.tools.doctor.findings import Found, one_line

ELSEWHERE: Final = frozenset(
    {"path-not-forwarded", "answered-by-web-page", "upgrade-ignored", "upgrade-refused", "path-prefix-wrong"}
)
"""Faults after which the server may be found under another path."""
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


def read_refusal(answer: Answer, place: Place, asked: str) -> Found:
    """Why there is no WebSocket at ``asked``, the path that was requested."""
    shared = read_proxy(answer, place, asked)
    if shared is not None:
        return shared
    status, text = answer.status, said(answer)
    if "Upgrade: websocket" in text and status == 426:
        return Found("upgrade-header-lost")
    if "HTTP/1.0" in text and status == 400:
        return Found("proxy-http-1.0")
    if "Connection: Upgrade" in text and status == 400:
        return Found("connection-header-lost")
    if status == 426:
        return Found("upgrade-header-lost")
    if status == 404 and is_nginx_page(answer):
        return Found("path-not-forwarded", asked=asked)
    if is_page(answer) and (status in (200, 404, 405, 419, 500) or status < 400):
        return Found("answered-by-web-page", asked=asked, page=page(answer))
    if status < 300:
        return Found("upgrade-ignored", asked=asked, status=status, shown=text)
    return Found("upgrade-refused", asked=asked, author=author(answer), status=status, shown=text)


def read_proxy(answer: Answer, place: Place, asked: str) -> Found | None:
    """What a proxy says to requests of any kind; None for what it does not explain."""
    status = answer.status
    if is_challenge(answer):
        return Found("cloudflare-challenge")
    if is_cloudflare(answer) and status in _CLOUDFLARE:
        return Found("cloudflare-error", status=status, meaning=_CLOUDFLARE[status])
    if 300 <= status < 400 and answer.headers.get("location"):
        return _redirect(place, one_line(answer.headers["location"]))
    if status == 400 and _is_plain_to_tls(answer):
        return Found("proxy-http-to-tls-server") if place.is_tls else _speaks_tls(place)
    who = author(answer)
    if status == 401 and "www-authenticate" in answer.headers:
        return Found("login-required")
    if status == 403 and is_page(answer):
        return Found("forbidden", author=who, asked=asked)
    if status == 503 and who == "The server":
        return Found("server-over-capacity")
    codes = {429: "rate-limited", 502: "bad-gateway", 503: "service-unavailable", 504: "gateway-timeout"}
    return Found(codes[status], author=who) if status in codes else None


def _redirect(place: Place, location: str) -> Found:
    if not place.is_tls and location.startswith(f"https://{place.host}"):
        return Found("redirect-to-https", url=place.url, location=location)
    return Found("redirected", url=place.url, location=location)


def _speaks_tls(place: Place) -> Found:
    return Found("port-speaks-tls", host=place.host, port=place.port)


def _is_plain_to_tls(answer: Answer) -> bool:
    """Nginx's, Apache's, Go's and our own words for plain HTTP on a TLS port."""
    body = answer.body.lower()
    return any(
        sign in body
        for sign in (
            b"plain http request was sent to https port",
            b"speaking plain http to an ssl-enabled server port",
            b"client sent an http request to an https server",
            b"plain http on a tls port",
        )
    )
