"""The sender of webhooks, as the host needs it that owns the logs of an app."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from soundpost.backplane.redis.logged_events import State
from soundpost.core.app_settings import AppSettings
from soundpost.core.webhooks import WebhookEvent


class Dispatcher(Protocol):
    """A sender of the events of apps to their endpoints."""

    on_done: Callable[[str, Sequence[Any]], None] | None
    """Called with an app and the tokens of its settled events."""
    on_notified: Callable[[str, WebhookEvent], None] | None
    """Called with each event about a state that all endpoints were told of, or will never be, before that."""
    on_idle: Callable[[str], None] | None
    """Called with an app when nothing waits any more for one of its endpoints."""
    may_send: Callable[[str], bool] | None
    """Tells before each request whether this host may send an app's events."""

    def add(self, app_id: str, event: WebhookEvent, token: Any = None, event_id: str = "") -> None:
        """Take an event, behind all that were added before."""

    def held_size(self, app_id: str) -> int:
        """Return the bytes of an app's ends that are held back."""

    def has_idle(self, app_id: str) -> bool:
        """Return whether an endpoint of an app takes events, and nothing waits for it."""

    def take_notified(self, app_id: str, states: Iterable[tuple[State, bool]], end_after: float | None) -> None:
        """Take states that endpoints were told of, each with True; they end after some seconds unless they begin again.

        With None they do not.
        """

    def end_notified(self, app_id: str, states: Iterable[State], end_after: float) -> None:
        """End states that endpoints were told of after some seconds, unless they begin again."""

    def configure(self, apps: Iterable[AppSettings]) -> None:
        """Take other apps or settings."""

    def figures(self) -> list[Any]:
        """Return the figures of all endpoints."""

    async def pause(self, seconds: float) -> None:
        """Begin no further request, and wait some seconds at most for those that are under way."""

    def close(self) -> None:
        """Close all connections."""

    def hold_ends(self) -> None:
        """Hold all ends back."""

    def release_ends(self, after: float) -> None:
        """Send the ends that are due again some seconds from now."""

    def wake(self, app_id: str) -> None:
        """Send what waits: this host may send again."""

    def forget(self, app_id: str) -> None:
        """Forget an app's events and states: another host sends them."""
