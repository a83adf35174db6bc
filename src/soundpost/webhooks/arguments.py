"""Checks of what a program gives to the functions of webhooks: a wrong type is refused by the argument's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from soundpost.webhooks.events import WebhookEvent


def check_request(body: Any, headers: Any, secrets: Any) -> None:
    """Raise TypeError unless a body is bytes, and headers and secrets are mappings; without the value of a secret."""
    if not isinstance(body, bytes | bytearray):
        raise TypeError(
            f"body is of type {type(body).__name__}: the unchanged bytes of the request's body are expected"
        )
    if not hasattr(headers, "items"):
        raise TypeError(f"headers is of type {type(headers).__name__}: a mapping of names to texts is expected")
    if not isinstance(secrets, Mapping):
        raise TypeError(
            f"secrets is of type {type(secrets).__name__}: a mapping is expected, each app's key to the app's secret"
        )


def check_text(value: Any, what: str) -> None:
    """Raise TypeError for anything but text, without the value, which may be secret."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is of type {type(value).__name__}: text is expected")


def checked_events(events: Any) -> list[WebhookEvent]:
    """Return events as a list. Raises TypeError for anything but webhook events."""
    found = list(events) if isinstance(events, Iterable) and not isinstance(events, str | bytes | Mapping) else [events]
    for each in found:
        if not isinstance(each, WebhookEvent) or each is events:
            raise TypeError(
                f"events: a list of events is expected, such as parse(body) returns, not {type(each).__name__}"
            )
    return found


def check_memory(memory: Any) -> None:
    """Raise TypeError for anything but an object with the methods of ``SeenEvents``."""
    if not (callable(getattr(memory, "has", None)) and callable(getattr(memory, "add", None))):
        raise TypeError(
            f"seen is of type {type(memory).__name__}: an object with the methods has(key) and add(key) is expected, "
            "such as SeenInRedis(client)"
        )
