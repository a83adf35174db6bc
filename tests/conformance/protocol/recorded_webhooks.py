"""The events for webhooks, as a test sees them."""

from __future__ import annotations

import json
from typing import Any

from soundpost.core.app_settings import WebhookSettings
from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS, WebhookEvent


def wants(*names: str) -> tuple[WebhookSettings, ...]:
    """Return an endpoint that is told of some events; without names of all there are."""
    return (WebhookSettings(url="http://127.0.0.1/", events=names or PUSHER_EVENTS + MORE_EVENTS),)


class RecordedWebhooks:
    """A log that keeps the events for the test."""

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []

    def add(self, app_id: str, event: WebhookEvent) -> None:
        self.events.append(event)

    def take(self) -> list[WebhookEvent]:
        """Return the events since the last call."""
        events, self.events = self.events, []
        return events

    def bodies(self) -> list[dict[str, Any]]:
        """Return the bodies of the events since the last call."""
        return [json.loads(event.body) for event in self.take()]

    def lines(self) -> list[str]:
        """Return the names of the events since the last call, each with its channel, if any, and its user."""
        return [" ".join(filter(None, (event.name, event.channel, event.user_id))) for event in self.take()]
