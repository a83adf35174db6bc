"""The choice between a cluster over Redis and a host that serves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundpost.config.settings import Settings
from soundpost.server.webhooks import WebhookDispatcher
from soundpost.server.webhooks.figures import EndpointFigures
from soundpost.server.webhooks.over_http import http_dispatcher

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane


def redis_backplane(settings: Settings, *, max_connections: int | None = None) -> RedisBackplane | None:
    """Return the backplane of a cluster, as configured; None, without importing it, if the host serves alone.

    The host sends the webhooks of the cluster when it is its turn.

    Raises StartError for a wrong configuration.
    """
    if settings.scaling.redis is None:
        return None
    from soundpost.backplane.redis import RedisBackplane

    backplane = RedisBackplane(
        settings.scaling,
        settings.apps,
        max_connections=max_connections,
        max_history_size=settings.server.max_history_size,
    )
    backplane.send_webhooks_by(http_dispatcher(settings.apps, settings.server), settings.apps)
    return backplane


def webhook_dispatcher(own: WebhookDispatcher | None, backplane: RedisBackplane | None) -> WebhookDispatcher | None:
    """Return the dispatcher by which this host sends, alone or as the one host of a cluster."""
    found = own if backplane is None else backplane.webhooks
    return found if isinstance(found, WebhookDispatcher) else None


def webhook_figures(own: WebhookDispatcher | None, backplane: RedisBackplane | None) -> list[EndpointFigures]:
    """Return the figures of the endpoints to which this host sends, alone or as the one host of a cluster."""
    dispatcher = webhook_dispatcher(own, backplane)
    return [] if dispatcher is None else dispatcher.figures()
