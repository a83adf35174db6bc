"""WebSocket clients of any Pusher-compatible server: ``Client`` for asyncio, ``SyncClient`` for threads.

Names are imported when they are first used: neither httpx nor websockets is loaded by ``import soundpost``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundpost.client.auth_endpoint import from_endpoint
    from soundpost.client.authorization import Authenticate, Authorize, ChannelAuth, UserAuth, with_secret
    from soundpost.client.client import Client
    from soundpost.client.gap import Gap
    from soundpost.client.incoming import ReceivedEvent
    from soundpost.client.members import Member
    from soundpost.client.subscription import Subscription
    from soundpost.client.sync import SyncClient, SyncSubscription, SyncUser
    from soundpost.client.user import User

    Event = ReceivedEvent

__all__ = [
    "Authenticate",
    "Authorize",
    "ChannelAuth",
    "Client",
    "Event",
    "Gap",
    "Member",
    "ReceivedEvent",
    "Subscription",
    "SyncClient",
    "SyncSubscription",
    "SyncUser",
    "User",
    "UserAuth",
    "from_endpoint",
    "with_secret",
]

_MODULES = {
    "Authenticate": "authorization",
    "Authorize": "authorization",
    "ChannelAuth": "authorization",
    "Client": "client",
    "Gap": "gap",
    "Member": "members",
    "ReceivedEvent": "incoming",
    "Subscription": "subscription",
    "SyncClient": "sync",
    "SyncSubscription": "sync",
    "SyncUser": "sync",
    "User": "user",
    "UserAuth": "authorization",
    "from_endpoint": "auth_endpoint",
    "with_secret": "authorization",
}


_ALIASES = {"Event": "ReceivedEvent"}
"""Public names that differ from the names of the classes in this package."""


def __getattr__(name: str) -> Any:
    name = _ALIASES.get(name, name)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
