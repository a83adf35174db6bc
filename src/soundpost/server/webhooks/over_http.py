"""A dispatcher of webhooks that sends over HTTP, in the running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from soundpost.config.settings import ServerSettings
from soundpost.core.app_settings import AppSettings
from soundpost.server.webhooks.addresses import Resolver
from soundpost.server.webhooks.answers import Answer, EndpointClient
from soundpost.server.webhooks.dispatcher import WebhookDispatcher
from soundpost.server.webhooks.http_client import HttpClient
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

    ``clients`` opens those of URLs that are not addresses for HTTP.
    """
    loop = asyncio.get_running_loop()
    resolver = Resolver(allow_private=settings.private_webhooks)

    def open_client(url: str) -> EndpointClient:
        if url in clients:
            return clients[url]()
        return DeferredClient(partial(HttpClient, url, resolver))

    return WebhookDispatcher(
        apps,
        open_client=open_client,
        call_soon=loop.call_soon,
        call_later=loop.call_later,
        max_queue_size=settings.max_webhook_queue_size,
        journal=journal,
        on_done=on_done,
    )


class DeferredClient:
    """The connections to one endpoint, which are opened in a thread.

    To read the certificates of authorities would stop the event loop for some 30 ms in a reload.
    """

    def __init__(self, open_client: Callable[[], EndpointClient]) -> None:
        self._opened = asyncio.ensure_future(asyncio.to_thread(open_client))
        self._is_closed = False

    def post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], None]) -> None:
        """Send a request; see :class:`soundpost.server.webhooks.answers.EndpointClient`."""
        if self._opened.done():
            self._post(body, headers, timeout, then)
        else:
            self._opened.add_done_callback(lambda _: self._post(body, headers, timeout, then))

    def _post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], None]) -> None:
        if self._is_closed or self._opened.cancelled():
            return
        error = self._opened.exception()
        if error is None:
            self._opened.result().post(body, headers, timeout, then)
        else:
            then(Answer(0, str(error)))

    def close(self) -> None:
        """Close all connections to the endpoint."""
        self._is_closed = True
        if self._opened.done():
            self._close(self._opened)
        else:
            self._opened.add_done_callback(self._close)

    def _close(self, opened: asyncio.Future[EndpointClient]) -> None:
        if not opened.cancelled() and opened.exception() is None:
            opened.result().close()
