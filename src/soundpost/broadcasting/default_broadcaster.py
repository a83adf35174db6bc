"""The application's default broadcaster, for events that broadcast themselves."""

from __future__ import annotations

from typing import Any, Protocol

from soundpost.broadcasting.settings import BroadcastSettings


class DefaultBroadcaster(Protocol):
    """The methods of a broadcaster that an event calls to broadcast itself."""

    @property
    def settings(self) -> BroadcastSettings:
        """The settings in force. Raises ConfigurationError."""

    def __call__(self, *args: Any, **options: Any) -> None:
        """Broadcast an event."""

    async def abroadcast(self, *args: Any, **options: Any) -> None:
        """Broadcast an event without blocking the event loop."""


_default: DefaultBroadcaster


def set_default_broadcaster(broadcaster: DefaultBroadcaster) -> None:
    """Make a broadcaster the default one of the application."""
    global _default
    _default = broadcaster


def default_broadcaster() -> DefaultBroadcaster:
    """Return the default broadcaster, ``soundpost.broadcast``."""
    return _default
