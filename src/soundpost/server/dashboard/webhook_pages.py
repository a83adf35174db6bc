"""Endpoints of webhooks with their last deliveries, and deliveries that are sent again."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from soundpost.core.inspection import ListDeliveries, SendAgain
from soundpost.server.admin_http import AdminError, AdminRequest, AdminResponse, Answer, json_answer, read_body
from soundpost.server.dashboard.daemon_view import DaemonView, app_of
from soundpost.wire.json_text import reader


class ResendBody(Struct):
    """Body of ``POST api/apps/ID/webhooks/NUMBER/resend``."""

    id: str


_read: Final = reader(ResendBody)
_MAX_DIGITS: Final = 6


class WebhookPages:
    """Handlers for the endpoints of apps."""

    def __init__(self, daemon: DaemonView) -> None:
        self._daemon = daemon

    async def list_endpoints(self, request: AdminRequest) -> Answer:
        """Answer with the endpoints of an app: figures, and the last deliveries, newest first."""
        app = app_of(self._daemon, request.names["app"])
        found = await self._daemon.inspector.ask(ListDeliveries(app_id=app.settings.id))
        return json_answer({"endpoints": found.reply.endpoints, "missing": found.missing})

    async def send_again(self, request: AdminRequest) -> Answer:
        """Send the events of a delivery once more, from the host that sent them."""
        app = app_of(self._daemon, request.names["app"])
        body = read_body(request, _read)
        number = request.names["number"]
        is_number = number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS
        if not is_number or int(number) >= len(app.settings.webhooks):
            raise AdminError(404, f"There is no endpoint {number[:20]!a} of this app")
        found = await self._daemon.inspector.ask(
            SendAgain(app_id=app.settings.id, number=int(number), delivery_id=body.id)
        )
        if not found.reply.found:
            raise AdminError(404, "The events of this delivery are not kept any more")
        return AdminResponse(204)
