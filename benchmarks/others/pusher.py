"""The few messages that the benchmark's clients need."""

from __future__ import annotations

import json
from typing import Any


def text(event: str, data: str, channel: str | None = None) -> str:
    """A message as the server sends it: compact JSON, data as a string."""
    message = {"event": event, "channel": channel, "data": data} if channel else {"event": event, "data": data}
    return json.dumps(message, separators=(",", ":"))


HELLO = text("pusher:connection_established", '{"socket_id":"1.1","activity_timeout":120}')


def subscribed_channel(message: str | bytes) -> str:
    """The channel that a client's ``pusher:subscribe`` is about."""
    channel: str = json.loads(message)["data"]["channel"]
    return channel


def succeeded(channel: str) -> str:
    """The answer to ``pusher:subscribe``."""
    return text("pusher_internal:subscription_succeeded", "{}", channel)


def published(event: dict[str, Any]) -> tuple[str, str]:
    """Channel and message of a publish request's body, read as JSON."""
    channel = event["channels"][0]
    return channel, text(event["name"], event["data"], channel)
