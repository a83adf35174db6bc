"""Webhooks in Starlette: the handler of the route, and the verified request for routes of an application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from soundpost.errors import WebhookError
from soundpost.webhooks import WebhookEvent, Webhooks
from soundpost.webhooks.endpoint import HEADERS, WebhookEndpoint, read_body


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A verified webhook: its events, in their order."""

    events: list[WebhookEvent]
    webhooks: Webhooks
    """The handlers of the application."""

    async def handle(self) -> bool:
        """Call the handlers of the events. Return False if one failed: answer 500 then, to get the events again."""
        return not await self.webhooks.ahandle(self.events)


def webhook_handler(endpoint: WebhookEndpoint) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of the route ``webhooks``."""

    async def webhooks(request: Request) -> Response:
        answer = await endpoint.arespond(await read_body(request.headers, request.stream()), request.headers)
        return Response(answer.body, answer.status, headers=HEADERS)

    return webhooks


async def webhook_request(endpoint: WebhookEndpoint, request: Request) -> WebhookRequest:
    """Return the verified webhook in a request. Raises HTTPException."""
    try:
        body = await read_body(request.headers, request.stream())
        return WebhookRequest(endpoint.events(body, request.headers), endpoint.webhooks)
    except WebhookError as error:
        raise HTTPException(error.status, str(error)) from None
