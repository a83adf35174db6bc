"""Detection of dead clients: silence is answered with a ping, and silence after the ping with a close.

A client is closed 30 s after a ping, which is sent at the latest ``activity_timeout`` after its last message, whether
the client has subscriptions or not.
"""

from __future__ import annotations

from typing import Final, Protocol

from soundpost.core.app_settings import AppSettings

PONG_TIMEOUT: Final = 30
"""Seconds that a client has to answer a ping."""


class Pingable(Protocol):
    """A connection whose liveness is checked. Times are in whole seconds of one clock."""

    last_seen: int
    pinged_at: int

    def ping(self) -> None:
        """Send a ping to the client."""

    def give_up(self) -> None:
        """Close the connection with 4201: the client did not answer a ping."""


def ping_after(app: AppSettings) -> int:
    """Return the seconds of silence after which a client is pinged."""
    return min(app.ping_interval, app.activity_timeout)


def check(connection: Pingable, app: AppSettings, now: int) -> int:
    """Ping or close a client if one of the two is due. Return the seconds until the next check; 0 for no check."""
    left = ping_after(app) - (now - connection.last_seen)
    if left > 0:
        return left
    if connection.pinged_at <= connection.last_seen:
        connection.pinged_at = now
        connection.ping()
        return PONG_TIMEOUT
    waited = now - connection.pinged_at
    if waited < PONG_TIMEOUT:
        return PONG_TIMEOUT - waited
    connection.give_up()
    return 0
