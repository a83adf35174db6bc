"""Signatures of webhooks: which requests are the server's.

Source: https://pusher.com/docs/channels/server_api/webhooks/#authentication
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from soundpost.errors import JsonError, WebhookError
from soundpost.webhooks.arguments import check_request, check_text
from soundpost.wire.json_text import reader
from soundpost.wire.webhook_request import KEY_HEADER, SIGNATURE_HEADER, is_signature

MAX_BODY: Final = 1_048_576
"""Bytes that the body of a webhook may have."""
MAX_AGE: Final = 600
"""Seconds by which a body's time may differ from this machine's clock, which is as long as ids are remembered."""
_MAX_KEY: Final = 100


class _Body(Struct):
    time_ms: float | None = None


_read_time: Final = reader(_Body)


def verify(body: bytes, headers: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Raise WebhookError unless a body is signed by one of the apps; the signature is compared in constant time.

    ``headers`` may have their names in any case. ``secrets`` has the secret of each app by the app's key. The status of
    the error is 413 for more than 1 MiB, 401 for a wrong key or signature and for a body older than 10 minutes. Raises
    TypeError for an argument of another type.
    """
    check_request(body, headers, secrets)
    if len(body) > MAX_BODY:
        raise WebhookError(413, f"the body has more than {MAX_BODY} bytes")
    given = {}
    for name, value in headers.items():
        check_text(name, "a name in headers")
        given[name.lower()] = value
    missing = [name for name in (KEY_HEADER, SIGNATURE_HEADER) if name.lower() not in given]
    if missing:
        raise WebhookError(401, f"the request has no {' and no '.join(missing)}: it is not a webhook")
    key, signature = given[KEY_HEADER.lower()], given[SIGNATURE_HEADER.lower()]
    check_text(key, f"the header {KEY_HEADER}")
    check_text(signature, f"the header {SIGNATURE_HEADER}")
    secret = secrets.get(key)
    if secret is None:
        raise WebhookError(
            401, f"no app of this application has the key {key[:_MAX_KEY]!a}: set the key of the server's app"
        )
    check_text(secret, f"the secret of the app {key!a}")
    if not is_signature(signature, secret, body):
        raise WebhookError(
            401, f"the signature is not that of the app {key!a}: the secret differs, or the body was changed on its way"
        )
    age = _age(body)
    if abs(age) > MAX_AGE:
        raise WebhookError(401, f"the webhook is {age:.0f} seconds old, {MAX_AGE} are allowed: are both clocks right?")


def _age(body: bytes) -> float:
    """Return the age of a body in seconds; 0 for a body without a time."""
    try:
        sent = _read_time(body).time_ms
    except JsonError:
        return 0
    return 0 if sent is None else time.time() - sent / 1000
