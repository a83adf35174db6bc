"""Size of an event's data: CPU per delivery to 1,000 subscribers, of all servers."""

from __future__ import annotations

import json
from functools import partial

from fan_out import fan_out

from subjects.subject import Figures, Measure, Subject, microseconds

SUBSCRIBERS = 1_000
EVENTS = {
    "floor": 150,
    "soundpost": 150,
    "websockets_broadcast": 100,
    "starlette_manager": 100,
    "django_channels": 6,
}


def measured(server: str, size: int) -> Figures:
    """Each event waits until all have the one before: large ones would pile up in the kernel's buffers otherwise,
    and the floor drops what does not fit."""
    data = json.dumps({"text": "x" * (size - len('{"text": ""}'))})
    assert len(data) == size
    run = fan_out(server, SUBSCRIBERS, EVENTS[server], data=data, paced=True)
    return {"delivery_us": microseconds(run.delivery)}


def candidates(size: int) -> dict[str, Measure]:
    return {server: partial(measured, server, size) for server in EVENTS}


SUBJECT = Subject("payload", (100, 1_000, 4_000, 10_000), candidates, 60)
