"""Handlers of webhooks: store who is online in a room."""

from datetime import datetime

from chat.models import UserOnline
from soundpost import webhooks
from soundpost.webhooks import WebhookEvent


@webhooks.on("user_online")
@webhooks.on("user_offline")
def note(event: WebhookEvent, user_id: str, time: datetime) -> None:
    """Store the state of the user."""
    now = {"is_online": event.name == "user_online", "since": time}
    UserOnline.objects.update_or_create(user_id=user_id, defaults=now)
