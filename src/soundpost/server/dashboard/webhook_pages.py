"""Endpoints of webhooks with their last deliveries, and deliveries that are sent again."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from soundpost.errors import JsonError
from soundpost.server.admin_http import AdminError, AdminRequest, AdminResponse, Answer, json_answer
from soundpost.server.dashboard.daemon_view import DaemonView, app_of
from soundpost.server.webhooks.endpoint import Endpoint
from soundpost.wire.json_text import reader


class ResendBody(Struct):
    """Body of ``POST api/apps/ID/webhooks/NUMBER/resend``."""

    id: str


_read: Final = reader(ResendBody)


class WebhookPages:
    """Handlers for the endpoints of apps."""

    def __init__(self, daemon: DaemonView) -> None:
        self._daemon = daemon

    def list_endpoints(self, request: AdminRequest) -> Answer:
        """Answer with the endpoints of an app: figures, and the last deliveries, newest first."""
        found = enumerate(self._endpoints(request.names["app"]))
        return json_answer({"endpoints": [_shown(number, endpoint) for number, endpoint in found]})

    def send_again(self, request: AdminRequest) -> Answer:
        """Send the events of a delivery once more."""
        try:
            body = _read(request.body)
        except JsonError as error:
            raise AdminError(422, f"Invalid body: {error}") from None
        endpoints = self._endpoints(request.names["app"])
        number = request.names["number"]
        if not (number.isascii() and number.isdigit() and int(number[:6]) < len(endpoints)):
            raise AdminError(404, f"There is no endpoint {number[:20]!a} of this app")
        if not endpoints[int(number)].send_again(body.id):
            raise AdminError(404, "The events of this delivery are not kept any more")
        return AdminResponse(204)

    def _endpoints(self, app_id: str) -> list[Endpoint]:
        app_of(self._daemon, app_id)
        dispatcher = self._daemon.webhooks
        return [] if dispatcher is None else dispatcher.endpoints_of(app_id)


def _shown(number: int, endpoint: Endpoint) -> dict[str, object]:
    return {
        "number": number,
        "events": list(endpoint.settings.events),
        "channels": list(endpoint.settings.channels),
        **msgspec.to_builtins(endpoint.figures()),
        "recent": msgspec.to_builtins(endpoint.recent.newest_first()),
    }
