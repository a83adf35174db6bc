"""The tables ``[[apps.webhooks]]`` of an app, from ``soundpost.toml``, a variable or Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from soundpost.config.tables import Tables
from soundpost.core.app_settings import WebhookSettings

_SIGNED: Final = "requests are signed with the secret of the app, in the header X-Pusher-Signature: remove it"
_RETRIES: Final = "failed requests are always sent again for 5 minutes, after growing delays: remove it"
_LAMBDA: Final = "the server calls URLs only: give the function one (AWS has function URLs), and write it as 'url'"
_POST: Final = "requests are always POST with JSON, like Pusher's: remove it"
_BETWEEN_URLS: Final = re.compile(r"\s*,\s*(?=[A-Za-z][-+.A-Za-z0-9]*://)")

_WEBHOOKS: Final = Tables(
    name="webhooks",
    struct=WebhookSettings,
    first_line="url = 'https://example.com/webhooks'",
    in_variable=(
        "a URL, URLs with commas between them, or a list such as "
        '[{"url": "https://example.com/webhooks", "events": ["member_added"]}]'
    ),
    expected={
        "url": "an address such as 'https://example.com/webhooks'",
        "events": "a list of names such as ['member_added', 'member_removed']",
        "channels": "a list of patterns such as ['presence-*']",
        "headers": 'a table of texts such as { Authorization = "Bearer …" }',
        "batch_size": "a whole number from 1 to 1000",
        "timeout": "a whole number of seconds, of at least 1",
    },
    elsewhere={
        "address": "url",
        "endpoint": "url",
        "target": "url",
        "uri": "url",
        "webhook_url": "url",
        "event": "events",
        "event_type": "events",
        "event_types": "events",
        "types": "events",
        "channel": "channels",
        "channel_name": "channels",
        "filter": "channels', with patterns such as 'presence-*' and '*-orders",
        "filters": "channels', with patterns such as 'presence-*' and '*-orders",
        "pattern": "channels",
        "patterns": "channels",
        "header": "headers",
        "http_headers": "headers",
        "batch": "batch_size', a number",
        "batching": "batch_size', a number",
        "max_batch_size": "batch_size",
        "timeout_ms": "timeout', in seconds",
        "request_timeout": "timeout', in seconds",
    },
    advice={
        **dict.fromkeys(("key", "secret", "signature", "signing_key", "signing_secret"), _SIGNED),
        **dict.fromkeys(("attempts", "backoff", "max_retries", "retries", "retry", "retry_delay"), _RETRIES),
        **dict.fromkeys(("lambda", "lambda_function"), _LAMBDA),
        **dict.fromkeys(("content_type", "method"), _POST),
    },
    secrets=frozenset({"headers"}),
)


def webhooks_from(tables: Any, location: str, *, strict: bool = True) -> tuple[WebhookSettings, ...]:
    """Return the settings in a list of tables. Raises ConfigurationError; ``location`` begins its message.

    Without ``strict`` a number may be a text, as one that comes from an environment variable is.
    """
    return _WEBHOOKS.entries(tables, location, strict=strict)


def webhooks_from_text(text: str, location: str) -> tuple[WebhookSettings, ...]:
    """Return the settings in a variable: a URL, URLs with commas between them, or a JSON list of tables.

    Raises ConfigurationError.
    """
    if text.startswith("["):
        return _WEBHOOKS.entries_of_json(text, location)
    urls = [url for url in _BETWEEN_URLS.split(text.strip().rstrip(",")) if url]
    return tuple(_WEBHOOKS.entry({"url": url}, location) for url in urls)


def webhooks_text(webhooks: Sequence[WebhookSettings]) -> str:
    """Return the settings as a variable has them."""
    if all(each == WebhookSettings(url=each.url) for each in webhooks):
        return ",".join(each.url for each in webhooks)
    return msgspec.json.encode(webhooks).decode()
