"""The route ``POST /apps/{id}/users/{user}/terminate_connections``."""

from __future__ import annotations

from soundpost.core import users
from soundpost.core.app import App
from soundpost.server.api.requests import OK, Request, Response


def terminate_connections(request: Request, app: App, query: dict[str, str], user_id: str) -> Response:
    """Close every connection of a user, on every node, with 4009."""
    users.terminate(app, user_id)
    app.node.peers.terminate(app.settings.id, user_id)
    return OK
