"""Broadcasting for FastAPI: channel routes with ``Depends``, an auth router, lifespan, an asynchronous broadcaster.

sp = Soundpost.from_env()
app = FastAPI(lifespan=sp.lifespan)
app.include_router(sp.router(user=current_user))
"""

from soundpost.broadcasting.authorization import ChannelPolicy, Context, Denied
from soundpost.broadcasting.socket_id import SocketIdMiddleware
from soundpost.fastapi.integration import Soundpost
from soundpost.starlette import RequestBroadcaster, WebhookRequest

__all__ = [
    "ChannelPolicy",
    "Context",
    "Denied",
    "RequestBroadcaster",
    "SocketIdMiddleware",
    "Soundpost",
    "WebhookRequest",
]
