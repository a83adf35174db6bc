"""Who wrote an HTTP answer: the server, Nginx itself, Cloudflare, another web site."""

from __future__ import annotations

import re
from typing import Final

from soundpost.tools.doctor.exchange import Answer
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


def is_nginx_page(answer: Answer) -> bool:
    """Whether it is one of the pages Nginx has built in."""
    return _NGINX_PAGE.search(answer.body) is not None


def is_page(answer: Answer) -> bool:
    """Whether it is a web page."""
    return "text/html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == b"<"


def is_cloudflare(answer: Answer) -> bool:
    """Whether it comes through Cloudflare."""
    return "cf-ray" in answer.headers or answer.headers.get("server", "").lower() == "cloudflare"


def is_challenge(answer: Answer) -> bool:
    """Whether it is Cloudflare's test for people."""
    if answer.headers.get("cf-mitigated") == "challenge":
        return True
    body = answer.body.lower()
    return answer.status in (403, 429, 503) and is_cloudflare(answer) and any(sign in body for sign in _CHALLENGE)


def author(answer: Answer) -> str:
    """A name for it, for the beginning of a sentence."""
    if is_nginx_page(answer):
        return "Nginx"
    if is_cloudflare(answer):
        return "Cloudflare"
    server = answer.headers.get("server", "").partition("/")[0]
    if is_page(answer):
        return f"A web page ({page(answer)})"
    if _error(answer) is not None:
        return "The server"
    return one_line(server).capitalize() if server else "What is there"


def page(answer: Answer) -> str:
    """A web page's title, and the program that serves it."""
    title = title_in(answer.body)
    parts = [f"'{one_line(title)}'" if title else "without a title"]
    if answer.headers.get("server"):
        parts.append(f"from {one_line(answer.headers['server'])}")
    return " ".join(parts)


def said(answer: Answer) -> str:
    """What an answer says, in one line: a JSON error's text, a page's title, or the beginning of the body."""
    error = _error(answer)
    if error is not None:
        return one_line(error)
    if is_page(answer):
        return page(answer)
    return one_line(answer.body) or "nothing"


def _error(answer: Answer) -> str | None:
    decoded = object_in(answer.body) or {}
    found = decoded.get("error") or decoded.get("message")
    return found if isinstance(found, str) else None
