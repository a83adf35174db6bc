"""What tests of history and resumption share: an app that keeps histories, and clients that resume."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from conformance.protocol.stage import APP, Client, Message, Stage
from soundpost.core.app_settings import AppSettings, HistorySettings

SUCCEEDED: Final = "pusher_internal:subscription_succeeded"
RULES: Final = (
    HistorySettings(channels=("news", "private-*", "presence-*", "cache-kept"), events=5),
    HistorySettings(channels=("long",), events=10_000, rewind=20),
)


def app(**options: Any) -> AppSettings:
    """Return settings of an app whose channels ``news``, ``long`` and others keep histories."""
    return msgspec.structs.replace(APP, history=RULES, **options)


def subscribe(client: Client, channel: str, **fields: Any) -> list[Message]:
    """Subscribe, and return all answers."""
    client.say("pusher:subscribe", {"channel": channel, "auth": client.auth(channel), **fields})
    return client.read()


def connect(stage: Stage) -> Client:
    """Return a new connection that has read its hello."""
    client = stage.open()
    client.read()
    return client


def publish(stage: Stage, channel: str, *names: str, **options: Any) -> None:
    """Publish events."""
    for name in names:
        stage.publish(channel, name, "{}", **options)


def names(messages: list[Message]) -> list[str]:
    """Return the event names of messages."""
    return [message["event"] for message in messages]
