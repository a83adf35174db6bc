"""Positions of the data that a page shows, by channel: a page that resumes goes on after them."""

from __future__ import annotations

from collections.abc import Mapping

from soundpost.errors import ConfigurationError
from soundpost.wire.positions import PositionError, parse_position

Positions = Mapping[object, object]
"""Positions by channel: names or :class:`~soundpost.Channel` objects to texts, to positions, or to None, which is left
out, as channels without history have it."""


def page_positions(positions: Positions) -> dict[str, str]:
    """Return positions by the channels' full names, as JSON values.

    Raises ConfigurationError for what is not a position.
    """
    if not isinstance(positions, Mapping):
        raise ConfigurationError(
            f"positions={positions!r} is not a mapping: expected positions by channel, such as "
            '{"private-orders.7": broadcast.position("private-orders.7")}'
        )
    return {str(channel): _text(channel, position) for channel, position in positions.items() if position is not None}


def _text(channel: object, position: object) -> str:
    try:
        return str(parse_position(str(position)))
    except PositionError as error:
        raise ConfigurationError(f"positions[{str(channel)!r}]: {error}") from None
