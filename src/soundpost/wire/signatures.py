"""HMAC-SHA256 signatures of the Pusher protocol: channels, users, API requests.

Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/ and .../rest-api/#authentication
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from operator import itemgetter

TIMESTAMP_WINDOW = 600
"""Seconds by which ``auth_timestamp`` may differ from the server's clock."""


def sign(secret: str, text: str) -> str:
    """Return the HMAC-SHA256 of a text, in hex."""
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def verify(secret: str, text: str, signature: str) -> bool:
    """Tell whether a signature is that of a text, in constant time. A text without a form in UTF-8 has none."""
    try:
        expected = sign(secret, text)
    except UnicodeEncodeError:
        return False
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def channel_text(socket_id: str, channel: str, channel_data: str | None = None) -> str:
    """Return the text that a private or presence subscription signs; ``channel_data`` exactly as sent."""
    return f"{socket_id}:{channel}" if channel_data is None else f"{socket_id}:{channel}:{channel_data}"


def user_text(socket_id: str, user_data: str) -> str:
    """Return the text that a sign-in signs; ``user_data`` exactly as sent."""
    return f"{socket_id}::user::{user_data}"


def request_text(method: str, path: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return the text that an API request signs: values not URL-encoded, keys lower-cased and sorted.

    ``auth_signature`` is left out.
    The values of a key that is repeated stay in the order they are sent in, as in Pusher's SDKs: the order matters.
    """
    pairs = [(key.lower(), value) for key, value in parameters if key.lower() != "auth_signature"]
    pairs.sort(key=itemgetter(0))
    return f"{method}\n{path}\n{'&'.join([f'{key}={value}' for key, value in pairs])}"


def signed_query(
    key: str,
    secret: str,
    method: str,
    path: str,
    timestamp: int,
    *,
    body: bytes = b"",
    query: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the query parameters of a signed API request, with ``auth_signature``; ``timestamp`` is in seconds."""
    parameters = {**(query or {}), "auth_key": key, "auth_timestamp": str(timestamp), "auth_version": "1.0"}
    if body:
        parameters["body_md5"] = md5(body)
    parameters["auth_signature"] = sign(secret, request_text(method, path, parameters.items()))
    return parameters


def md5(body: bytes) -> str:
    """Return the ``body_md5`` of a request body: its MD5 in hex."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
