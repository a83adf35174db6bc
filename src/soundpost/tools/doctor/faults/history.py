"""Faults of channels that keep their last events."""

from __future__ import annotations

from typing import Final

from soundpost.documentation import page
from soundpost.tools.doctor.faults.fault import Fault

FAULTS: Final = (
    Fault(
        "history-pattern-unused",
        "app {app_id}: {pattern} of [[apps.history]] no. {number} is never used: no. {earlier} has {covering}, which "
        "matches the same channels",
        "A channel has the first table that matches it.",
        "Write the table with the narrower patterns first, or remove {pattern}.",
        "warning",
    ),
    Fault(
        "redis-evicts-history",
        "Redis at {where} has the policy {policy}: when its memory is full, it deletes kept events",
        "Clients that come back get needless gaps, and no log has the reason.",
        "'CONFIG SET maxmemory-policy noeviction', and the same line in redis.conf. If the Redis is a cache for others "
        "too, give the server one of its own.",
    ),
    Fault(
        "redis-info-refused",
        "Redis at {where} does not let the server read INFO: {reason}",
        "By INFO the server knows whether Redis has lost events. Without it, each new connection to Redis is a gap in "
        "all histories, and each client fetches its data again.",
        f"'ACL SETUSER name +info'. All rights: {page('scaling', 'rights-in-redis')}.",
    ),
    Fault(
        "redis-too-old",
        "Redis at {where} is version {version}: histories need 6.2 or newer",
        "Older versions lack what reads a history after a position.",
        "Install a newer Redis, or Valkey.",
    ),
)
"""Faults looked for when a server is configured here whose channels keep events."""
