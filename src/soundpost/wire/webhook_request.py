"""Requests that tell an application of events, in the form of Pusher's webhooks: body, signature, headers.

Source: https://pusher.com/docs/channels/server_api/webhooks/
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Final

KEY_HEADER: Final = "X-Pusher-Key"
SIGNATURE_HEADER: Final = "X-Pusher-Signature"


def event_text(body: bytes, time_ms: int, event_id: str) -> bytes:
    """Return the JSON object of an event as an endpoint gets it: ``body``, with time and id as its last fields.

    ``time_ms`` is when the event happened, in milliseconds since 1970. ``event_id`` has letters, digits, ``-``, ``:``.
    """
    return b'%b,"time_ms":%d,"id":"%b"}' % (body[:-1], time_ms, event_id.encode())


def webhook_body(events: Iterable[bytes], time_ms: int) -> bytes:
    """Return the body of a request with events, each a JSON object; ``time_ms`` is the time of the request."""
    return b'{"time_ms":%d,"events":[%b]}' % (time_ms, b",".join(events))


def webhook_signature(secret: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of a body, in hex."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def is_signature(signature: str, secret: str, body: bytes) -> bool:
    """Return whether a signature is that of a body, in constant time."""
    return hmac.compare_digest(webhook_signature(secret, body).encode(), signature.encode(errors="replace"))


def webhook_headers(key: str, secret: str, body: bytes, version: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request with ``body``, signed by an app's ``key`` and ``secret``.

    ``own`` are headers of the endpoint's settings. These headers may replace ``User-Agent``, which names soundpost's
    ``version``, but none of Pusher's headers.
    """
    fixed = {
        "Content-Type": "application/json",
        KEY_HEADER: key,
        SIGNATURE_HEADER: webhook_signature(secret, body),
    }
    taken = {name.lower() for name in fixed}
    free = {name: value for name, value in own.items() if name.lower() not in taken}
    agent = {} if any(name.lower() == "user-agent" for name in free) else {"User-Agent": f"soundpost/{version}"}
    return {**fixed, **agent, **free}
