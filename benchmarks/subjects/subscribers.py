"""Subscribers of one channel: CPU per delivery and per connect, memory per connection, of all servers."""

from __future__ import annotations

from functools import partial

from fan_out import fan_out
from processes import NotMeasuredError

from subjects.subject import Figures, Measure, Subject, microseconds

DELIVERIES = {
    "floor": 300_000,
    "soundpost": 300_000,
    "websockets_broadcast": 200_000,
    "starlette_manager": 200_000,
    "django_channels": 10_000,
}
"""About how many to measure: what a few seconds allow."""

MAX_WITH_CHANNELS = 3_000


def measured(server: str, count: int) -> Figures:
    if server == "django_channels" and count > MAX_WITH_CHANNELS:
        raise NotMeasuredError("its in-memory layer looks through all connections for each delivery")
    events = max(4, min(200, DELIVERIES[server] // count))
    run = fan_out(server, count, events)
    figures = {"delivery_us": microseconds(run.delivery), "connect_us": microseconds(run.connect)}
    # A few hundred connections fit into what the allocator already holds.
    return figures | {"memory_bytes": run.memory} if server != "floor" and count >= 1_000 else figures


def candidates(count: int) -> dict[str, Measure]:
    return {server: partial(measured, server, count) for server in DELIVERIES}


SUBJECT = Subject("subscribers", (100, 300, 1_000, 3_000, 10_000, 19_000), candidates, 60)
