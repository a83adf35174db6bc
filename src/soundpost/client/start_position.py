"""Position in a channel's history at which a subscription begins."""

from __future__ import annotations

from typing import NamedTuple

from soundpost.errors import ConfigurationError
from soundpost.wire.positions import Position, parse_position


class StartPosition(NamedTuple):
    """Start of a subscription: after a position, with the last ``rewind`` events, or (without both) with new events."""

    after: Position | None = None
    rewind: int | None = None


def start_position_of(after: str | None, rewind: int | None) -> StartPosition:
    """Return the start that a program asks for. Raises PositionError, ConfigurationError."""
    if after is not None and not isinstance(after, str):
        raise ConfigurationError(f"after {after!r}: expected the text of a position, such as event.position")
    if rewind is not None and (type(rewind) is not int or rewind < 1):
        raise ConfigurationError(f"rewind {rewind!r}: expected a number of events, 1 or more")
    if after is None:
        return StartPosition(rewind=rewind)
    if rewind is not None:
        raise ConfigurationError(
            f"after {after!r} and rewind {rewind}: give only one of them, since each says where to begin"
        )
    return StartPosition(after=parse_position(after))
