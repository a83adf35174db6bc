"""Allowances of replays: how many bytes of missed events the clients of one address are sent in a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from soundpost.core.token_bucket import TokenBucket
from soundpost.wire.client_address import subnet_of

if TYPE_CHECKING:
    from soundpost.core.connection import Connection

MINUTE: Final = 60
MOST_ADDRESSES: Final = 10_000
"""Largest number of addresses that are remembered: some 2 MB."""


class ReplayAllowances:
    """Bytes that each address of an app's clients has left. Those longest without a replay are forgotten first."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._empty: set[str] = set()

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def any_is_empty(self) -> bool:
        """Tell whether any address may have nothing left: if not, no client's address need be asked for."""
        return bool(self._empty)

    def has_left(self, address: str, limit: int, now: float) -> bool:
        """Tell whether an address may be sent more, of ``limit`` bytes a minute; ``now`` is in seconds."""
        bucket = self._buckets.get(address)
        if bucket is not None and not bucket.take(limit, MINUTE, now):
            return False
        self._empty.discard(address)
        return True

    def spend(self, address: str, size: int, limit: int, now: float) -> None:
        """Note that an address is sent so many bytes. What exceeds its allowance is taken from later minutes."""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(limit, now)
            if len(self._buckets) >= MOST_ADDRESSES:
                forgotten = next(iter(self._buckets))
                del self._buckets[forgotten]
                self._empty.discard(forgotten)
        bucket.spend(size, limit, MINUTE, now)
        if bucket.is_empty:
            self._empty.add(address)
        self._buckets[address] = bucket


def counted_address(connection: Connection) -> str:
    """Return the address that a client is counted under; empty if it has none, as behind a Unix socket.

    Measured: 7 µs, so it is asked for once in a replay, and when an allowance is used up.
    """
    address = connection.app.counted_addresses.get(connection.socket_id)
    if address is not None:
        return address
    try:
        return subnet_of(connection.address)
    except ValueError:
        return ""
