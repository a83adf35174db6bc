"""Publishing with an ``Idempotency-Key``: once only, even if the request is sent several times.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from soundpost.core import publishing
from soundpost.core.app import App
from soundpost.core.peers import IdempotencyKey, Reception
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import ApiError, Request, Response

MAX_KEY_LENGTH: Final = 64
_PRINTABLE: Final = re.compile(rb"[ -~]+")


_REPEAT: Final = b"x-soundpost-repeat"
"""Header of a request that may have been sent before, with the same key."""


def key_of(request: Request, app: App) -> IdempotencyKey | None:
    """Return the idempotency key of a signed request; None if it has none.

    Raises ApiError for an invalid key.
    """
    if request.idempotency_key is None:
        return None
    key = request_key(request.idempotency_key, request.body_md5)
    # Only histories that hosts share need to know, so only for them the headers are searched.
    return key._replace(repeated=True) if app.history_rules and _REPEAT in request.headers() else key


def request_key(header: bytes, digest: str) -> IdempotencyKey:
    """Return the key of an ``Idempotency-Key`` header (quotes are optional) with the MD5 of the body, in hex.

    Raises ApiError for an invalid key.
    """
    key = header.strip()
    if len(key) > 1 and key.startswith(b'"') and key.endswith(b'"'):
        key = key[1:-1]
    if not _PRINTABLE.fullmatch(key) or len(key) > MAX_KEY_LENGTH:
        shown = ascii(header[: 2 * MAX_KEY_LENGTH].decode("latin-1"))
        raise ApiError(
            422,
            f"Idempotency-Key: {shown} ({len(key)} octets) is not a key: send 1 to {MAX_KEY_LENGTH} printable ASCII "
            "characters, such as a UUID",
        )
    return IdempotencyKey(key.decode("ascii"), digest)


def publish_once(
    app: App,
    request: IdempotencyKey,
    events: Iterable[publishing.EventArguments],
    answer: Callable[[], Response | PendingResponse],
) -> PendingResponse:
    """Publish events (arguments of :func:`soundpost.core.publishing.publish`), unless the same request did so before.

    ``answer`` builds the answer in both cases; a key that was sent with another body is refused. The events must have
    been checked.
    """

    def make(reception: Reception) -> Response | PendingResponse:
        if reception == "different":
            raise ApiError(
                422,
                f"Idempotency-Key: {request.key!a} was sent with another body before: "
                "a request needs a key of its own, and a repeated one the same body",
            )
        return answer()

    pending = PendingResponse(make)
    publishing.publish_once(app, request, events, pending.resolve)
    return pending
