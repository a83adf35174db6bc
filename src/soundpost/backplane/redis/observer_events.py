"""Observer events from the ``changes`` that a script in Redis returns; see :mod:`.scripts`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from soundpost.core.observer_events import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    ObserverEvent,
    SubscriptionCountChanged,
)

Change = list[Any]
"""One change as a script returns it: a name, a channel, and on some changes a user id or a count."""

_PARSERS: Final[dict[bytes, Callable[..., ObserverEvent]]] = {
    b"channel_occupied": lambda app_id, channel: ChannelOccupied(app_id, channel.decode()),
    b"channel_vacated": lambda app_id, channel: ChannelVacated(app_id, channel.decode()),
    b"member_added": lambda app_id, channel, user: MemberAdded(app_id, channel.decode(), user.decode()),
    b"member_removed": lambda app_id, channel, user: MemberRemoved(app_id, channel.decode(), user.decode()),
    b"subscription_count": lambda app_id, channel, count: SubscriptionCountChanged(app_id, channel.decode(), count),
}


def parse_change(app_id: str, change: Change) -> ObserverEvent:
    """Return the observer event that a script reported."""
    name, *values = change
    return _PARSERS[name](app_id, *values)
