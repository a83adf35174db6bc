"""Channel authorization: routes that say who may subscribe, and the endpoints that answer browsers."""

from soundpost.broadcasting.authorization.endpoint import HEADERS, Answer, AuthEndpoint, AuthRequest
from soundpost.broadcasting.authorization.refusals import Denied
from soundpost.broadcasting.authorization.routes import ChannelPolicy, ChannelRoutes, Context, channels

__all__ = [
    "HEADERS",
    "Answer",
    "AuthEndpoint",
    "AuthRequest",
    "ChannelPolicy",
    "ChannelRoutes",
    "Context",
    "Denied",
    "channels",
]
