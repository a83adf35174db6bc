"""Whether this host acts as one with others, or serves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundpost.config.settings import Settings

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane


def redis_backplane(settings: Settings, *, max_connections: int | None = None) -> RedisBackplane | None:
    """This host's place in a cluster, as configured; None, and nothing imported for it, if it serves alone.

    Raises StartError for what is configured wrongly.
    """
    if settings.scaling.redis is None:
        return None
    from soundpost.backplane.redis import RedisBackplane

    return RedisBackplane(settings.scaling, settings.apps, max_connections=max_connections)
