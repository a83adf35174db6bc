"""A dispatcher of webhooks that sends over HTTP, in the running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from soundpost.config.settings import ServerSettings
from soundpost.core.app_settings import AppSettings
from soundpost.server.webhooks.addresses import Resolver
from soundpost.server.webhooks.answers import EndpointClient
from soundpost.server.webhooks.dispatcher import WebhookDispatcher
from soundpost.server.webhooks.journal import Journal


def http_dispatcher(
    apps: Iterable[AppSettings],
    settings: ServerSettings,
    *,
    journal: Journal | None = None,
    on_done: Callable[[str, Sequence[Any]], None] | None = None,
    clients: Mapping[str, Callable[[], EndpointClient]] = MappingProxyType({}),
) -> WebhookDispatcher:
    """Return a dispatcher for these apps, which sends nothing before it is given events.

    httpx is imported with the first endpoint. ``clients`` opens those of URLs that are no addresses for HTTP.
    """
    loop = asyncio.get_running_loop()
    resolver = Resolver(allow_private=settings.private_webhooks)

    def open_client(url: str) -> EndpointClient:
        if url in clients:
            return clients[url]()
        from soundpost.server.webhooks.http_client import HttpClient

        return HttpClient(url, resolver)

    return WebhookDispatcher(
        apps,
        open_client=open_client,
        call_soon=loop.call_soon,
        call_later=loop.call_later,
        max_queue_size=settings.max_webhook_queue_size,
        journal=journal,
        on_done=on_done,
    )
