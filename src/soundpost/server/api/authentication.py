"""Authentication of API requests: signature, timestamp, body digest.

Source: https://pusher.com/docs/channels/library_auth_reference/rest-api/#authentication
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final
from urllib.parse import unquote

from soundpost.core.app import App
from soundpost.core.figures import count
from soundpost.core.refusals import note_refusal
from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.server.api.requests import ApiError, Request
from soundpost.wire import signatures
from soundpost.wire.printable import printable

_SENT: Final = re.compile(r"'.*'|\".*\"|[0-9a-fA-F]{32,}", re.DOTALL)
_clock: Final = time.time
_log_throttle: Final = LogThrottle(logging.getLogger("soundpost.api"))
_SIGNATURE: Final = "auth_signature="
_SIGNATURE_SIZE: Final = len(_SIGNATURE) + 64
_TIMESTAMP: Final = "auth_timestamp="
_DIGITS: Final = 10
_USUAL_SIZE: Final = len(f"{_TIMESTAMP}&auth_version=1.0&body_md5=&") + _DIGITS + 32 + _SIGNATURE_SIZE
"""Size of the parameters of a usual request behind the first one, which is the app's key."""
_NO_PARAMETERS: Final[dict[str, str]] = {}
_REQUIRED: Final = ("auth_key", "auth_timestamp", "auth_version", "auth_signature")


def authenticate(request: Request, app: App, prefix: str, now: float | None = None) -> dict[str, str]:
    """Check that a request is signed with the app's secret; return its query parameters by name.

    None are returned of a request in the usual form: it has those of the signature only.
    ``now`` in seconds since 1970. Raises ApiError: 401 for a wrong signature, timestamp or digest, 403 for a disabled
    app.
    """
    if now is None:
        now = _clock()
    if _is_signed_as_usual(request, app, now):
        return _NO_PARAMETERS
    try:
        return _authenticated(request, app, prefix, now)
    except ApiError as error:
        if error.status == 401:
            count(app.figures.failed_authorizations, "api")
        _warn(request, app, error)
        raise


def _is_signed_as_usual(request: Request, app: App, now: float) -> bool:
    """Return True if a request is signed in the usual form and all its values are right.

    The usual form has the parameters of a publish and no others, in the order of the signed text, with the signature in
    its place or at the end. Of any other request :func:`_authenticated` finds out what is wrong, if anything is.
    """
    query, key = request.query, app.key_parameter
    key_size = len(key)
    if len(query) != key_size + _USUAL_SIZE or not query.isascii():
        return False
    is_last = query[key_size : key_size + len(_TIMESTAMP)] == _TIMESTAMP
    at = key_size if is_last else key_size + _SIGNATURE_SIZE + 1
    timestamp = query[at + len(_TIMESTAMP) : at + len(_TIMESTAMP) + _DIGITS]
    if not timestamp.isdigit():
        return False
    digest = signatures.md5(request.body)
    rest = f"{_TIMESTAMP}{timestamp}&auth_version=1.0&body_md5={digest}"
    signature = app.hmac_key.sign(request.method + f"\n{request.path}\n{key}{rest}".encode())
    signed = f"{_SIGNATURE}{signature}"
    given = query[-_SIGNATURE_SIZE:] if is_last else query[key_size : at - 1]
    if (
        not signatures.is_same(given, signed)
        or query != (f"{key}{rest}&{signed}" if is_last else f"{key}{signed}&{rest}")
        or abs(int(timestamp) - int(now)) > signatures.TIMESTAMP_WINDOW
        or not app.enabled
    ):
        return False
    request.is_signed, request.body_md5 = True, digest
    return True


def _authenticated(request: Request, app: App, prefix: str, now: float) -> dict[str, str]:
    pairs = request.parameters()
    given = dict(pairs)
    for name in _REQUIRED:
        if name not in given:
            raise ApiError(401, f"Missing parameter: {name}. Requests are signed as the Pusher HTTP API asks for.")
    settings = app.settings
    if given["auth_key"] != settings.key:
        raise ApiError(401, f"auth_key '{given['auth_key']}' is not the key of app {settings.id}")
    if given["auth_version"] != "1.0":
        raise ApiError(401, f"auth_version '{given['auth_version']}' is unknown: use 1.0")
    _check_signature(request, app, prefix, pairs, given["auth_signature"])
    _check_timestamp(given["auth_timestamp"], now)
    _check_body(request.body, given.get("body_md5"))
    if not settings.enabled:
        raise ApiError(403, f"App {settings.id} is disabled")
    request.is_signed, request.body_md5 = True, given.get("body_md5", "").lower()
    return given


def _warn(request: Request, app: App, error: ApiError) -> None:
    """Log that a publisher is refused, without the values that it sent: one of them could be a secret."""
    reason = _SENT.sub("…", error.message).rstrip(".")
    reason = reason.replace("HmacSHA256Hex(…", "HmacSHA256Hex(…, your_secret_key), but you sent …")
    address = request.client_ip()
    note_refusal(app.node, "api", reason, error.status, app_id=app.settings.id, address=address)
    _log_throttle.warn(
        f"{error.status} {app.settings.id}",
        "app %s: refused %s %s with %d%s: %s",
        app.settings.id,
        request.method.decode("latin-1"),
        ascii(request.path[:100]),
        error.status,
        f", from {address}" if address else "",
        "".join(char if char.isprintable() else "…" for char in reason[:300]),
        interval=MINUTE,
        extra=fields(app=app.settings.id, address=address, code=error.status),
    )


def _check_signature(request: Request, app: App, prefix: str, pairs: list[tuple[str, str]], signature: str) -> None:
    """Check the signature of the path as SDKs write it: with or without the prefix, percent-encoded or not."""
    method = request.method.decode("latin-1")
    text = signatures.request_text(method, request.path, pairs)
    if signatures.verify(app.settings.secret, text, signature):
        return
    paths = {request.path, unquote(request.path)}
    paths |= {path[len(prefix) :] for path in paths if prefix and path.startswith(prefix)}
    paths.discard(request.path)
    for path in paths:
        if signatures.verify(app.settings.secret, signatures.request_text(method, path, pairs), signature):
            return
    shown = text.replace("\n", "\\n")
    raise ApiError(
        401,
        f'Invalid signature: you should have sent HmacSHA256Hex("{shown}", your_secret_key), but you sent '
        f'"{signature[:100]}". Either the secret is not that of app {app.settings.id}, or a proxy changed the request.',
    )


def _check_timestamp(timestamp: str, now: float) -> None:
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise ApiError(401, f"auth_timestamp '{printable(timestamp[:50])}' is not a number of seconds since 1970")
    skew = int(timestamp) - int(now)
    if abs(skew) > signatures.TIMESTAMP_WINDOW:
        raise ApiError(
            401,
            f"Timestamp expired: Given timestamp ({timestamp}) not within {signatures.TIMESTAMP_WINDOW}s of server "
            f"time ({int(now)}): the clocks differ by {abs(skew)} s. Set both by NTP.",
        )


def _check_body(body: bytes, digest: str | None) -> None:
    if digest is None:
        if body:
            raise ApiError(401, "Missing parameter: body_md5 (a request with a body must sign it)")
        return
    if digest.lower() != signatures.md5(body):
        raise ApiError(401, f"body_md5 is {digest[:64]}, but the body that arrived has {signatures.md5(body)}")
