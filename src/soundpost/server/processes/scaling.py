"""The choice between a cluster over Redis and a host that serves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundpost.config.settings import Settings

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane


def redis_backplane(settings: Settings, *, max_connections: int | None = None) -> RedisBackplane | None:
    """Return the backplane of a cluster, as configured; None, without importing it, if the host serves alone.

    Raises StartError for a wrong configuration.
    """
    if settings.scaling.redis is None:
        return None
    from soundpost.backplane.redis import RedisBackplane

    return RedisBackplane(
        settings.scaling,
        settings.apps,
        max_connections=max_connections,
        max_history_size=settings.server.max_history_size,
    )
