"""Events for webhooks: one record for each event, from the place where it happens to the queue of the endpoint."""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

PUSHER_EVENTS: Final = (
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
)
"""Names of the webhooks that Pusher has too: those that an endpoint gets if it names none."""
MORE_EVENTS: Final = ("user_online", "user_offline", "connection_opened", "connection_closed")
"""Names of the webhooks that Pusher does not have: an endpoint gets those that it names."""
WITHOUT_CHANNEL: Final = frozenset(MORE_EVENTS)
"""Names of the webhooks that belong to no channel. An endpoint's patterns of channels do not apply to them."""
ENDS: Final = {
    "channel_vacated": "channel_occupied",
    "member_removed": "member_added",
    "user_offline": "user_online",
}
"""Names of the webhooks that end a state, each with the name of the one that begins it."""
BEGINS: Final = {beginning: end for end, beginning in ENDS.items()}
"""Names of the webhooks that begin a state, each with the name of the one that ends it."""
OPPOSITES: Final = {**ENDS, **BEGINS}
"""Names of the webhooks that begin or end a state, each with the name of the other one."""

HELD: Final = 3.0
"""Seconds that the end of a state is held back, in case the state begins again."""


class WebhookEvent(Struct, frozen=True, array_like=True, gc=False):
    """One event of an app, as it happened. Events of one channel, or of one user, are in their order."""

    name: str
    channel: str
    """Empty for an event of no channel."""
    user_id: str
    """User of an event about a member or a signed-in user, else empty."""
    body: bytes
    """JSON object of the event as an endpoint gets it, without ``id`` and ``time_ms``: ``name`` first."""
    time_ms: int
    """Time of the event, in milliseconds since 1970."""
    is_final: bool = False
    """True for an end of a state that has been held back long enough already: the grace of a member is over."""

    @property
    def state(self) -> tuple[str, str, str] | None:
        """Key of the state that the event begins or ends; None for other events."""
        beginning = self.name if self.name in BEGINS else ENDS.get(self.name)
        return None if beginning is None else (beginning, self.channel, self.user_id)


class WebhookLog(Protocol):
    """A log that gets the webhook events of a registry: those of all nodes, each event once."""

    def add(self, app_id: str, event: WebhookEvent) -> None:
        """Add an event behind all earlier ones."""
