"""Webhooks: what the server tells an application, as one record each, from where it happens to where it is sent."""

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
"""Names of the webhooks that are about no channel: patterns of channels do not keep them from an endpoint."""
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
"""Seconds that an end is held back, for the case that its state begins again."""


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
    """Time of day at which it happened, in milliseconds since 1970."""
    is_final: bool = False
    """True for an end of a state that has been held back already, for as long as an end is: a member whose grace is
    over."""

    @property
    def state(self) -> tuple[str, str, str] | None:
        """The key of the state that the event begins or ends; None for an event about no state."""
        beginning = self.name if self.name in BEGINS else ENDS.get(self.name)
        return None if beginning is None else (beginning, self.channel, self.user_id)


class WebhookLog(Protocol):
    """A log that takes the events of a registry: of all nodes of its apps, each event once."""

    def add(self, app_id: str, event: WebhookEvent) -> None:
        """Take an event, behind all that were added before."""
