"""Noticing dead peers: silence is answered with a ping, and silence after that with the end.

A peer is given up 30 s after a ping that was sent at the latest ``activity_timeout`` after its last sign of life,
whether it is subscribed to anything or not.
"""

from __future__ import annotations

from typing import Final, Protocol

from soundpost.core.app_settings import AppSettings

PONG_TIMEOUT: Final = 30
"""Seconds a peer has to answer a ping."""


class Peer(Protocol):
    """What liveness needs to know of a connection and can ask of it. Times in whole seconds of one clock."""

    last_seen: int
    pinged_at: int

    def ping(self) -> None:
        """Ask for a sign of life."""

    def give_up(self) -> None:
        """Close with 4201."""


def ping_after(app: AppSettings) -> int:
    """Seconds of silence after which a peer is pinged."""
    return min(app.ping_interval, app.activity_timeout)


def check(peer: Peer, app: AppSettings, now: int) -> int:
    """Do what is due for a peer; return in how many seconds to look again, 0 for never."""
    left = ping_after(app) - (now - peer.last_seen)
    if left > 0:
        return left
    if peer.pinged_at <= peer.last_seen:
        peer.pinged_at = now
        peer.ping()
        return PONG_TIMEOUT
    waited = now - peer.pinged_at
    if waited < PONG_TIMEOUT:
        return PONG_TIMEOUT - waited
    peer.give_up()
    return 0
