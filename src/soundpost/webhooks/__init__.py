"""Webhooks: Python that is called when something happens on the server.

from soundpost import webhooks

@webhooks.on("member_added", "presence-room.{room:int}")
def joined(room: int, user_id: str) -> None: ...

The module stands for the handlers of the process, :data:`default`; an application may have its own :class:`Webhooks`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Final

from soundpost.errors import WebhookError
from soundpost.webhooks.events import (
    EVENTS,
    CacheMiss,
    ChannelOccupied,
    ChannelVacated,
    ClientEvent,
    ConnectionClosed,
    ConnectionOpened,
    MemberAdded,
    MemberRemoved,
    OtherEvent,
    SubscriptionCount,
    UserOffline,
    UserOnline,
    WebhookEvent,
    event_from,
    parse,
)
from soundpost.webhooks.registry import Webhooks
from soundpost.webhooks.seen_events import SeenEvents, SeenInMemory, SeenInRedis
from soundpost.webhooks.signature import MAX_BODY, verify

default: Final = Webhooks()
"""The handlers of the process."""
on = default.on
"""Decorate a function that is called for an event; see :meth:`Webhooks.on`."""

if TYPE_CHECKING:
    seen: SeenEvents
    """The memory of handled events; see :attr:`Webhooks.seen`."""

__all__ = [
    "EVENTS",
    "MAX_BODY",
    "CacheMiss",
    "ChannelOccupied",
    "ChannelVacated",
    "ClientEvent",
    "ConnectionClosed",
    "ConnectionOpened",
    "MemberAdded",
    "MemberRemoved",
    "OtherEvent",
    "SeenEvents",
    "SeenInMemory",
    "SeenInRedis",
    "SubscriptionCount",
    "UserOffline",
    "UserOnline",
    "WebhookError",
    "WebhookEvent",
    "Webhooks",
    "default",
    "event_from",
    "on",
    "parse",
    "seen",
    "verify",
]


class _Module(ModuleType):
    """Class of this module, so that ``webhooks.seen = …`` sets the memory of the process's handlers."""

    @property
    def seen(self) -> SeenEvents:
        """The memory of handled events."""
        return default.seen

    @seen.setter
    def seen(self, memory: SeenEvents) -> None:
        default.seen = memory


sys.modules[__name__].__class__ = _Module
