"""Failed HTTP requests in words: one line with the cause and the remedy."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from soundpost.errors import RequestError
from soundpost.redaction import redacted_url
from soundpost.wire.foreign import object_in, title_in
from soundpost.wire.printable import one_line

_MAX_REASON: Final = 300
_SIGNED_TEXT: Final = re.compile(r'\("(GET|POST|PUT|DELETE)(\\n|\n).*?"(?=, your_secret_key\))', re.DOTALL)
"""The text to sign in a refusal by Soundpost, Reverb or Pusher: longer than a line, and of no use in one."""
_HINTS: Final = {
    401: "; check that key and secret are this app's, and that the clock is right",
    404: "; check app id and path",
    413: "; the event is larger than the server takes",
}
_NO_PUSHER_API: Final = "no Pusher API is there; check host, port and path"


def no_answer(url: str, error: BaseException) -> RequestError:
    """Return the error for an exception of an HTTP library: the reason why ``url`` did not answer."""
    where = _origin(url)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RequestError(0, f"the certificate of {where} is not trusted: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            return RequestError(0, f"{where} does not answer in TLS: does it speak http instead of https?")
        if isinstance(cause, ConnectionRefusedError):
            return RequestError(0, f"nothing listens at {where} (connection refused): is the server running?")
        if isinstance(cause, socket.gaierror):
            return RequestError(0, f"the host name of {where} is not known: {cause.strerror}")
    if any(isinstance(cause, TimeoutError) for cause in _causes(error)) or "timeout" in type(error).__name__.lower():
        return RequestError(0, f"{where} did not answer in time")
    if any("expected HTTP/1.1" in str(cause) for cause in _causes(error)):
        return RequestError(0, f"{where} answers in HTTP/1.0: it, or a proxy before it, cannot speak WebSocket")
    if not _is_tls(url) and _hung_up(error):
        return RequestError(0, f"{where} hung up without an HTTP answer: does it speak https instead of http?")
    return RequestError(0, f"no answer from {where}: {_one_line(str(error)) or type(error).__name__}")


def unexpected_answer(url: str, status: int, headers: Mapping[str, str], body: bytes) -> RequestError:
    """Return the error for an unsuccessful HTTP answer: its reason, or the kind of server that seems to answer."""
    where = _origin(url)
    location = headers.get("location")
    if 300 <= status < 400 and location:
        return RequestError(status, f"{where} redirects to {_one_line(location)}: use that address")
    if "text/html" in headers.get("content-type", "") or body.lstrip()[:1] == b"<":
        return RequestError(status, f"{where} answered {status} with {_page(headers, body)}: {_NO_PUSHER_API}")
    if 200 <= status < 300:
        return RequestError(status, f"{where} answered {status}, but not with the JSON of a Pusher API")
    if status in (403, 404, 405) and (not body.strip() or _is_json_without_reason(body)):
        # An application's own framework answers so, at the port of the application.
        answer = _one_line(body.decode(errors="replace")) or "nothing"
        return RequestError(status, f"{where} answered {status} with {answer}: {_NO_PUSHER_API}")
    reason = _one_line(_SIGNED_TEXT.sub('("…"', _reason(body))).rstrip(".") or "no reason given"
    # A reason with a page, and one about the clocks, have their own way out.
    hint = "" if " See http" in reason or "the clocks differ" in reason else _HINTS.get(status, "")
    return RequestError(status, f"{where} answered {status}: {reason}{hint}")


def authorization_refused(url: str, status: int, headers: Mapping[str, str], body: bytes) -> RequestError:
    """Return the error for an unsuccessful answer of an application's auth endpoint."""
    url = redacted_url(url)
    location = headers.get("location")
    if 300 <= status < 400 and location:
        return RequestError(status, f"{url} redirects to {_one_line(location)}: does it ask for a login?")
    if "text/html" in headers.get("content-type", "") or body.lstrip()[:1] == b"<":
        return RequestError(status, f"{url} refused with {status} and {_page(headers, body)}")
    return RequestError(status, f"{url} refused with {status}: {_one_line(_reason(body)) or 'no reason given'}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _hung_up(error: BaseException) -> bool:
    """Return whether the connection ended, or the bytes were not HTTP (a TLS alert reads as an illegal status line)."""
    text = " ".join(str(cause) for cause in _causes(error)).lower()
    return any(isinstance(cause, ConnectionResetError | EOFError) for cause in _causes(error)) or any(
        sign in text for sign in ("disconnected", "illegal status line", "connection closed", "http response")
    )


def _page(headers: Mapping[str, str], body: bytes) -> str:
    title = title_in(body)
    parts = []
    if title:
        parts.append(f"titled '{_one_line(title)}'")
    if headers.get("server"):
        parts.append(f"from {_one_line(headers['server'])}")
    return " ".join(["a web page", *parts])


def _reason(body: bytes) -> str:
    """Return the reason in an error's body: plain text, or JSON with an ``error`` or ``message``."""
    decoded = object_in(body) or {}
    found = decoded.get("error") or decoded.get("message")
    return found if isinstance(found, str) else body.decode(errors="replace").strip('"')


def _is_json_without_reason(body: bytes) -> bool:
    decoded = object_in(body)
    return decoded is not None and not (decoded.get("error") or decoded.get("message"))


def _one_line(text: str) -> str:
    return one_line(text, _MAX_REASON)


def _is_tls(url: str) -> bool:
    return urlsplit(url).scheme in ("https", "wss")


def _origin(url: str) -> str:
    parts = urlsplit(redacted_url(url))
    return f"{parts.scheme}://{parts.netloc}"
