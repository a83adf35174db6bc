"""Soundpost: a realtime server that speaks the Pusher protocol, and broadcasting for Python applications.

The names for applications are loaded when they are first used: the server does not need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundpost.errors import SoundpostError as SoundpostError

if TYPE_CHECKING:  # once more the names of _HOMES, for type checkers
    from soundpost import webhooks as webhooks
    from soundpost.broadcasting import Broadcaster as Broadcaster
    from soundpost.broadcasting import broadcast as broadcast
    from soundpost.broadcasting.authorization import ChannelPolicy as ChannelPolicy
    from soundpost.broadcasting.authorization import Denied as Denied
    from soundpost.broadcasting.authorization import channels as channels
    from soundpost.broadcasting.channels import Channel as Channel
    from soundpost.broadcasting.channels import EncryptedPrivateChannel as EncryptedPrivateChannel
    from soundpost.broadcasting.channels import PresenceChannel as PresenceChannel
    from soundpost.broadcasting.channels import PrivateChannel as PrivateChannel
    from soundpost.broadcasting.channels import UserChannel as UserChannel
    from soundpost.broadcasting.event import Broadcastable as Broadcastable
    from soundpost.broadcasting.event import Event as Event
    from soundpost.broadcasting.event import SupportsBroadcast as SupportsBroadcast
    from soundpost.broadcasting.event import UserNotification as UserNotification
    from soundpost.broadcasting.history import History as History
    from soundpost.broadcasting.history import KeptEvent as KeptEvent
    from soundpost.broadcasting.message import Message as Message
    from soundpost.broadcasting.socket_id import SocketIdMiddleware as SocketIdMiddleware
    from soundpost.broadcasting.socket_id import current_socket_id as current_socket_id
    from soundpost.values.serializers import register_serializer as register_serializer

    abroadcast = broadcast.abroadcast
    apublish = broadcast.apublish
    ato_user = broadcast.ato_user
    configure = broadcast.configure
    publish = broadcast.publish
    to_user = broadcast.to_user

__version__ = "0.1.0"

_HOMES = {
    "soundpost.": ("webhooks",),
    "soundpost.broadcasting:": ("Broadcaster", "broadcast"),
    "soundpost.broadcasting:broadcast.": ("abroadcast", "apublish", "ato_user", "configure", "publish", "to_user"),
    "soundpost.broadcasting.authorization:": ("ChannelPolicy", "Denied", "channels"),
    "soundpost.broadcasting.channels:": (
        "Channel",
        "EncryptedPrivateChannel",
        "PresenceChannel",
        "PrivateChannel",
        "UserChannel",
    ),
    "soundpost.broadcasting.event:": ("Broadcastable", "Event", "SupportsBroadcast", "UserNotification"),
    "soundpost.broadcasting.history:": ("History", "KeptEvent"),
    "soundpost.broadcasting.message:": ("Message",),
    "soundpost.values.serializers:": ("register_serializer",),
    "soundpost.broadcasting.socket_id:": ("SocketIdMiddleware", "current_socket_id"),
}
"""Modules, and objects in them, with the public names that they have; in the notation of ``pkgutil.resolve_name``."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_PUBLIC = sorted(("SoundpostError", "__version__", *_HOME_OF))

if not TYPE_CHECKING:  # a type checker would take no name for public, as it cannot read this list
    __all__ = _PUBLIC


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'soundpost' has no attribute {name!r}")
    from pkgutil import resolve_name

    value = globals()[name] = resolve_name(_HOME_OF[name] + name)
    return value


def __dir__() -> list[str]:
    return _PUBLIC
