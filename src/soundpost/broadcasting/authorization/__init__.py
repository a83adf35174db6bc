"""Channel authorization: routes that decide who may subscribe, and the endpoints that answer browsers."""

from soundpost.broadcasting.authorization.endpoint import AuthEndpoint
from soundpost.broadcasting.authorization.refusals import Denied
from soundpost.broadcasting.authorization.requests import AuthRequest
from soundpost.broadcasting.authorization.responses import HEADERS, AuthResponse
from soundpost.broadcasting.authorization.routes import ChannelPolicy, ChannelRoutes, Context, channels

__all__ = [
    "HEADERS",
    "AuthEndpoint",
    "AuthRequest",
    "AuthResponse",
    "ChannelPolicy",
    "ChannelRoutes",
    "Context",
    "Denied",
    "channels",
]
