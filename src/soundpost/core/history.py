"""History: the kept events of a channel, and what nodes and backplane say to one another about them.

The backplane keeps the events and gives each its offset; a node hands them to clients that resume.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

GapReason = Literal["age", "number", "generation", "deleted", "limited", "unknown"]
"""Cause of a gap: events too old to be kept, too many of them, another generation, a deleted history, too many
replays for one client, or a place that cannot be known."""


class HistoryRequest(Struct, frozen=True, array_like=True, gc=False):
    """Place in a channel's history from which a subscriber wants events."""

    after: str
    """A position; empty to begin with new events; ``?`` for a client that has lost its place."""
    rewind: int = 0
    """Number of kept events that a subscriber without a position wants before new ones."""
    limited: bool = False
    """True if the client has had too many replays. The client gets no replay now, but a gap."""


class HistoryState(Struct, frozen=True, array_like=True, gc=False):
    """Place of a subscriber in a channel's history, at the moment of its subscription."""

    position: str
    """The position that the subscriber's next event comes after."""
    gap: GapReason | None = None
    """Reason why events are missing after the requested position; None if none are."""
    following: int = 0
    """Number of kept events that the subscriber is sent before new ones."""


class KeptEvent(Struct, frozen=True, array_like=True, gc=False):
    """One event of a history."""

    offset: int
    frame: bytes
    """WebSocket text frame as subscribers got it, with its position."""
    except_socket_id: str | None = None
    """Socket id of the one connection that does not get the event."""


class HistoryPage(Struct, frozen=True, array_like=True, gc=False):
    """Some events of a history, in one piece."""

    position: str
    """Position behind the last event of the page. Without events, or with the newest event first: the position of
    the history's end."""
    events: list[KeptEvent]
    whole: bool
    """True if the history keeps no event behind the page."""
    gap: GapReason | None = None
    """Reason why events are missing between the requested position and the page; None if none are."""
