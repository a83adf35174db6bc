"""The numbers of channels and members of an app, kept with every change: nobody has to count them."""

from __future__ import annotations

from soundpost.wire.channel_names import kind_of


class Occupancy:
    """Occupied channels of one app by kind, and members of its presence channels."""

    __slots__ = ("channels", "members")

    def __init__(self) -> None:
        self.channels: dict[str, int] = {}
        """Number of channels by the word for their kind, :attr:`soundpost.wire.channel_names.Kind.word`."""
        self.members = 0
        """Number of members of all presence channels."""

    def occupied(self, name: str) -> None:
        """Count a channel that got its first subscriber."""
        kind = kind_of(name).word
        self.channels[kind] = self.channels.get(kind, 0) + 1

    def vacated(self, name: str) -> None:
        """Stop counting a channel."""
        self.channels[kind_of(name).word] -= 1
