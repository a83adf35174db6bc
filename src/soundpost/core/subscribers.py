"""The subscribers of a channel on one node, each with its user id on a presence channel."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from soundpost.core.connection import Connection

_LARGE: Final = 1_000
"""Smallest number of subscribers that are kept as a tuple between events. With the tuple, a delivery to 10,000 takes
0.95 of the time."""


class Subscribers:
    """Connections with their user ids, None on channels without members; in order of arrival.

    Many channels have one subscriber. A dict with one entry takes 250 bytes, so there is none before the second.
    """

    __slots__ = ("_many", "_one", "_tuple", "_user_id")

    def __init__(self) -> None:
        self._many: dict[Connection, str | None] | None = None
        self._one: Connection | None = None  # the only subscriber while there is no dict
        self._user_id: str | None = None
        self._tuple: tuple[Connection, ...] | None = None  # all connections of a large channel, from its first event on

    @property
    def connections(self) -> Collection[Connection]:
        """All connections, in a form that is quick to iterate over."""
        if self._tuple is not None:
            return self._tuple
        if self._many is not None:
            if len(self._many) < _LARGE:
                return self._many
            self._tuple = tuple(self._many)
            return self._tuple
        return () if self._one is None else (self._one,)

    def other_than(self, connection: Connection) -> Connection | None:
        """Return the other subscriber of two; None if there are fewer or more than two."""
        many = self._many
        if many is not None and len(many) == 2:
            for other in many:
                if other is not connection:
                    return other
        return None

    def __len__(self) -> int:
        if self._many is not None:
            return len(self._many)
        return 0 if self._one is None else 1

    def __contains__(self, connection: object) -> bool:
        return connection is self._one if self._many is None else connection in self._many

    def __iter__(self) -> Iterator[Connection]:
        return iter(self.connections if self._many is None else self._many)

    def __getitem__(self, connection: Connection) -> str | None:
        if self._many is not None:
            return self._many[connection]
        if connection is not self._one:
            raise KeyError(connection)
        return self._user_id

    def get(self, connection: Connection) -> str | None:
        """Return the user id of a connection; None if it has none, or is not a subscriber."""
        if self._many is not None:
            return self._many.get(connection)
        return self._user_id if connection is self._one else None

    def __setitem__(self, connection: Connection, user_id: str | None) -> None:
        self._tuple = None
        if self._many is not None:
            self._many[connection] = user_id
        elif self._one is None or self._one is connection:
            self._one, self._user_id = connection, user_id
        else:
            self._many = {self._one: self._user_id, connection: user_id}
            self._one = self._user_id = None

    def pop(self, connection: Connection) -> str | None:
        """Remove a connection; return its user id. Raises KeyError for one that is not a subscriber."""
        self._tuple = None
        if self._many is not None:
            return self._many.pop(connection)
        if connection is not self._one:
            raise KeyError(connection)
        user_id, self._one, self._user_id = self._user_id, None, None
        return user_id

    def update(self, others: Mapping[Connection, str | None]) -> None:
        """Add connections with their user ids behind the present ones."""
        for connection, user_id in others.items():
            self[connection] = user_id
