"""Over how long clients are sent away."""

from __future__ import annotations

from typing import Final

from soundpost.config.settings import Settings

_WHERE_OTHERS_SERVE: Final = 10.0


def drain_time(settings: Settings, *, others_serve: bool) -> float:
    """Seconds, as configured; if nothing is said, some where others take the clients, and none where nobody does: they
    would only be kept from coming back later."""
    wanted = settings.server.drain_time
    if wanted is not None:
        return wanted
    return _WHERE_OTHERS_SERVE if others_serve else 0.0
