"""Broadcasting for Starlette: auth routes, lifespan, options for the page, an asynchronous broadcaster.

sp = Soundpost.from_env()
app = Starlette(routes=[*sp.routes(user=current_user)], lifespan=sp.lifespan)
"""

from soundpost.broadcasting.socket_id import SocketIdMiddleware
from soundpost.starlette.integration import Soundpost
from soundpost.starlette.request_broadcaster import RequestBroadcaster
from soundpost.starlette.webhooks import WebhookRequest

__all__ = ["RequestBroadcaster", "SocketIdMiddleware", "Soundpost", "WebhookRequest"]
