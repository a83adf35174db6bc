"""Figures of a node: what has happened since its start, for metrics, the dashboard and ``soundpost top``.

Nothing is counted per delivery: an event to 10,000 subscribers is one addition.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from soundpost.core.histogram import Histogram

T = TypeVar("T", int, str)


def count(counts: dict[T, int], kind: T) -> None:
    """Count one more of a kind."""
    counts[kind] = counts.get(kind, 0) + 1


@dataclass(slots=True)
class AppFigures:
    """Figures of one app on one node. All but the first two are totals since the start of the process.

    :meth:`fill_in` computes the figures that are called "filled in" below.
    """

    # A dataclass: adding to a number took 17 ns, in a Struct of msgspec 30.

    connections: int = 0
    """Connections now; filled in."""
    subscriptions: int = 0
    """Subscriptions now; filled in."""
    opened: int = 0
    """Connections that were established."""
    closed: int = 0
    """Connections that were closed."""
    subscribed: int = 0
    """Subscriptions that succeeded."""
    unsubscribed: int = 0
    """Subscriptions that ended."""
    messages: int = 0
    """Text messages from clients; filled in."""
    other_messages: int = 0
    """Text messages from clients, without accepted client events."""
    client_events: int = 0
    """Client events that were accepted."""
    events: int = 0
    """Events that applications published on this node, one for each channel."""
    deliveries: int = 0
    """Frames sent to subscribers: an event to 100 subscribers is 100."""
    delivered_bytes: int = 0
    """Bytes of these frames."""
    sends: int = 0
    """Writes of these frames, filled in: fewer than deliveries where frames of one loop turn were joined."""
    joined: int = 0
    """Deliveries without a write of their own: their frame was joined to another one."""
    replayed: int = 0
    """Kept events sent to subscribers that read a history; :attr:`deliveries` includes them."""
    resumptions: int = 0
    """Subscriptions that resumed from the history of their channel."""
    gaps: int = 0
    """Gaps reported to clients: events that a client missed were not kept any more."""
    slow_clients: int = 0
    """Clients closed with 4100, since they read too slowly."""
    errors: dict[int, int] = field(default_factory=dict)
    """``pusher:error`` frames sent, by code."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Clients refused at the handshake, by reason: ``origin``, ``app_full``, ``address_full``, ``server_full``,
    ``app_disabled``, ``version``."""
    failed_authorizations: dict[str, int] = field(default_factory=dict)
    """Requests refused for want of a valid signature, by kind: ``subscription``, ``sign_in``, ``api``."""
    publish: Histogram = field(default_factory=Histogram)
    """Time from a complete publish request until its answer."""

    def fill_in(self) -> None:
        """Compute the figures that follow from others. So the most frequent operations add to one counter only."""
        self.connections = self.opened - self.closed
        self.subscriptions = self.subscribed - self.unsubscribed
        self.messages = self.client_events + self.other_messages
        self.sends = self.deliveries - self.joined


@dataclass(slots=True)
class NodeFigures:
    """Figures of one node: of the only process, or of one worker."""

    apps: dict[str, AppFigures] = field(default_factory=dict)
    """Figures by app id."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Clients and requests refused that belong to no app, by reason: ``app``, ``path``, ``server_full``, ``api_app``,
    ``upgrade``."""
    lag: Histogram = field(default_factory=Histogram)
    """Delays of a timer that is due ten times a second: times for which the event loop was busy."""
    cpu: float = 0.0
    """Seconds of CPU time of the process."""
    memory: int = 0
    """Resident bytes of the process."""
    open_files: int = 0
    """Open descriptors of the process."""
    max_open_files: int = 0
    """Descriptors that the process may open."""
    lag_max: float = 0.0
    """Longest delay of the timer of :attr:`lag` within the last 5 s, in seconds."""


def add_up(total: Any, more: Any) -> None:
    """Add figures to others of the same class, number by number; ``lag_max`` becomes the larger one."""
    figures: Any = type(total)  # mypy takes no class for hashable
    numbers, others, read = _fields_of(figures)
    for name, before, added in zip(numbers, read(total), read(more), strict=False):
        if added:
            setattr(total, name, max(before, added) if name == "lag_max" else before + added)
    for name in others:
        before, added = getattr(total, name), getattr(more, name)
        if isinstance(before, list):
            before[:] = map(operator.add, before, added)
        elif isinstance(before, dict):
            if added:
                _add_each(before, added)
        else:
            add_up(before, added)


@cache
def _fields_of(figures: Any) -> tuple[list[str], list[str], Callable[[Any], tuple[Any, ...]]]:
    """Return the names of numbers and of other fields, and a function that returns the numbers of an object."""
    numbers: list[str] = []
    others: list[str] = []
    for each in fields(figures):
        (numbers if isinstance(each.default, int | float) else others).append(each.name)
    return numbers, others, attrgetter(*numbers, "__class__")  # attrgetter returns a tuple only for two names or more


def _add_each(total: dict[Any, Any], more: dict[Any, Any]) -> None:
    for key, added in more.items():
        if isinstance(added, int):
            total[key] = total.get(key, 0) + added
        else:
            if key not in total:
                total[key] = type(added)()
            add_up(total[key], added)
