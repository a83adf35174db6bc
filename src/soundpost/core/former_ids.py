"""Earlier socket ids of a client that has connected again. An event published with one of them is the client's own.

An application excludes the sender of an event by its socket id. After a reconnect the client has another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from soundpost.core.connection import Connection

_MAX_FORMER: Final = 16
"""Largest number of earlier socket ids that are noted for one client."""


def note(connection: Connection, socket_ids: Iterable[str]) -> None:
    """Note earlier socket ids of a client: it does not get events that were published with one of them."""
    former = set(connection.former_ids)
    for socket_id in socket_ids:
        if len(former) < _MAX_FORMER and socket_id not in former:
            former.add(socket_id)
            connection.app.former_connections.setdefault(socket_id, []).append(connection)
    connection.former_ids = tuple(former)


def forget(connection: Connection) -> None:
    """Forget the earlier socket ids of a client that is gone."""
    by_id = connection.app.former_connections
    for socket_id in connection.former_ids:
        by_id[socket_id].remove(connection)
        if not by_id[socket_id]:
            del by_id[socket_id]
    connection.former_ids = ()
