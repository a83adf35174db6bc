"""Allowances of replays: bytes of missed events in a minute for a client, and for all clients of an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from soundpost.core.token_bucket import TokenBucket
from soundpost.wire.client_address import subnet_of

if TYPE_CHECKING:
    from soundpost.core.connection import Connection
    from soundpost.core.resumption import ReadingHistory

MINUTE: Final = 60
REPEATED: Final = 4 * 1_048_576
"""Bytes of replays in a minute for a connection that repeats subscriptions."""
MAX_ADDRESSES: Final = 10_000
"""Largest number of addresses that are remembered: some 2 MB."""


class ReplayAllowances:
    """Bytes that each client address of an app has left. The addresses longest without a replay are forgotten first."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._empty: set[str] = set()

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def any_is_empty(self) -> bool:
        """True if any address may have nothing left. While False, the kernel is not asked for addresses."""
        return bool(self._empty)

    def has_left(self, address: str, limit: int, now: float) -> bool:
        """Return True if an address has some of its ``limit`` bytes a minute left; ``now`` is in seconds."""
        bucket = self._buckets.get(address)
        if bucket is not None and not bucket.take(limit, MINUTE, now):
            return False
        self._empty.discard(address)
        return True

    def spend(self, address: str, size: int, limit: int, now: float) -> None:
        """Take bytes from the allowance of an address. Bytes beyond the allowance are taken from later minutes."""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(limit, now)
            if len(self._buckets) >= MAX_ADDRESSES:
                forgotten = next(iter(self._buckets))
                del self._buckets[forgotten]
                self._empty.discard(forgotten)
        bucket.spend(size, limit, MINUTE, now)
        if bucket.is_empty:
            self._empty.add(address)
        self._buckets[address] = bucket


def counted_address(connection: Connection) -> str:
    """Return the address that a client is counted under; empty if it has none, as behind a Unix socket.

    The call takes 7 µs, as measured. So callers make it once in a replay, and when an allowance is used up.
    """
    address = connection.app.counted_addresses.get(connection.socket_id)
    if address is not None:
        return address
    try:
        return subnet_of(connection.address)
    except ValueError:
        return ""


def may_replay(connection: Connection) -> bool:
    """Return False if a client, or its address, has no allowance of replays left.

    A client that repeats subscriptions has an allowance of its own. All clients of an address share one: each of them
    could ask for the same history with a few bytes.
    """
    app, now = connection.app, connection.app.node.clock()
    allowance = None if connection.reading is None else connection.reading.allowance
    if allowance is not None and not allowance.take(REPEATED, MINUTE, now):
        return False
    if not app.replay_allowances.any_is_empty:
        return True
    return app.replay_allowances.has_left(counted_address(connection), app.settings.max_replays_per_ip, now)


def count_replay(connection: Connection, reading: ReadingHistory, size: int) -> None:
    """Count bytes of a replay to a connection."""
    app, now = connection.app, connection.app.node.clock()
    if reading.address is None:
        reading.address = counted_address(connection)
    if reading.address:
        app.replay_allowances.spend(reading.address, size, app.settings.max_replays_per_ip, now)
    if connection.subscription_bucket is None:  # the client has never left a channel: max_subscriptions bounds replays
        return
    if reading.allowance is None:
        reading.allowance = TokenBucket(REPEATED, now)
    reading.allowance.spend(size, REPEATED, MINUTE, now)
