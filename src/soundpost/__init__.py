"""Soundpost: a realtime server that speaks the Pusher protocol, and broadcasting for Python applications.

Names of broadcasting are loaded when first used: the server has no need of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundpost.errors import SoundpostError

if TYPE_CHECKING:
    from soundpost.broadcasting import Broadcaster, broadcast
    from soundpost.broadcasting.authorization import ChannelPolicy, Denied, channels
    from soundpost.broadcasting.channels import (
        Channel,
        EncryptedPrivateChannel,
        PresenceChannel,
        PrivateChannel,
        UserChannel,
    )
    from soundpost.broadcasting.event import Broadcastable, Event, SupportsBroadcast, UserNotification
    from soundpost.broadcasting.message import Message
    from soundpost.broadcasting.serializers import register_serializer
    from soundpost.broadcasting.socket_id import SocketIdMiddleware, current_socket_id

    abroadcast = broadcast.abroadcast
    apublish = broadcast.apublish
    ato_user = broadcast.ato_user
    configure = broadcast.configure
    publish = broadcast.publish
    to_user = broadcast.to_user

__all__ = [
    "Broadcastable",
    "Broadcaster",
    "Channel",
    "ChannelPolicy",
    "Denied",
    "EncryptedPrivateChannel",
    "Event",
    "Message",
    "PresenceChannel",
    "PrivateChannel",
    "SocketIdMiddleware",
    "SoundpostError",
    "SupportsBroadcast",
    "UserChannel",
    "UserNotification",
    "__version__",
    "abroadcast",
    "apublish",
    "ato_user",
    "broadcast",
    "channels",
    "configure",
    "current_socket_id",
    "publish",
    "register_serializer",
    "to_user",
]

__version__ = "0.1.0"

_HOMES = {
    "soundpost.broadcasting.authorization": ("ChannelPolicy", "Denied", "channels"),
    "soundpost.broadcasting": ("Broadcaster", "broadcast"),
    "soundpost.broadcasting.channels": (
        "Channel",
        "EncryptedPrivateChannel",
        "PresenceChannel",
        "PrivateChannel",
        "UserChannel",
    ),
    "soundpost.broadcasting.event": ("Broadcastable", "Event", "SupportsBroadcast", "UserNotification"),
    "soundpost.broadcasting.message": ("Message",),
    "soundpost.broadcasting.serializers": ("register_serializer",),
    "soundpost.broadcasting.socket_id": ("SocketIdMiddleware", "current_socket_id"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_METHODS = ("abroadcast", "apublish", "ato_user", "configure", "publish", "to_user")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _METHODS:
        value = getattr(import_module("soundpost.broadcasting").broadcast, name)
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'soundpost' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
