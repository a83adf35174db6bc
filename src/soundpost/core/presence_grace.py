"""Grace of presence channels: seconds that a member stays after its connection is gone.

A user who comes back within the grace has never left: no client and no webhook is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from soundpost.core.webhooks import HELD
from soundpost.wire import codes

if TYPE_CHECKING:
    from soundpost.core.connection import Connection

RECONNECT_GRACE: Final = 10.0
"""Seconds of grace for a client that the server closes with a code after which client libraries connect again."""


def ends_finally(presence_grace: int) -> bool:
    """Return True if each grace of an app is at least as long as webhooks hold back the end of a state.

    ``presence_grace`` is the app's setting. With 0 only clients that the server closes have a grace.
    """
    return presence_grace == 0 or presence_grace >= HELD


def note_close(connection: Connection, code: int) -> None:
    """Note that the server closes a connection with this code, which decides on the grace.

    After 4100 to 4299 clients come back (https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/),
    so their members stay for :data:`RECONNECT_GRACE`. After other codes of the protocol clients stay away, so their
    members leave at once. 4201 says that the client was silent: the connection counts as lost.
    """
    if not connection.is_open or code == codes.PONG_NOT_RECEIVED or not 4000 <= code <= 4999:
        return
    app = connection.app
    comes_back = 4100 <= code <= 4299
    app.graces[connection] = max(RECONNECT_GRACE, app.settings.presence_grace) if comes_back else 0.0


def grace_of(connection: Connection) -> float:
    """Return the grace of a connection that is gone, in seconds."""
    return connection.app.graces.get(connection, connection.app.settings.presence_grace)


def take_grace(connection: Connection) -> float:
    """Return the grace of a connection that is gone, in seconds, and forget its close code."""
    app = connection.app
    return app.graces.pop(connection, app.settings.presence_grace)
