"""Signed requests to the API, and publishing of many events at once."""

from __future__ import annotations

import json
import time
import urllib.parse
from itertools import count

from processes import PAYLOAD, Publisher

from soundpost.wire import signatures


def signed(route: str, content: dict[str, object], headers: str = "") -> bytes:
    """Return a signed request to the API."""
    body = json.dumps(content).encode()
    query = signatures.signed_query(
        "bench-key", "bench-secret", "POST", f"/apps/1/{route}", int(time.time()), body=body
    )
    head = f"POST /apps/1/{route}?{urllib.parse.urlencode(query)} HTTP/1.1\r\nHost: bench\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n".encode() + body


class Batches:
    """A kept connection to the API that publishes many events to a channel at once."""

    def __init__(self, port: int) -> None:
        self._publisher = Publisher(port)
        self._socket_ids = count(100_000_000)

    def publish(self, channel: str, number: int, socket_ids: bool = False) -> None:
        """Publish so many events; ``socket_ids``: each to all but another connection."""
        event = {"name": "OrderPlaced", "channel": channel, "data": PAYLOAD}
        events = [event] * number
        if socket_ids:
            events = [event | {"socket_id": f"{next(self._socket_ids)}.987654321"} for _ in range(number)]
        self._publisher.send(signed("batch_events", {"batch": events}))
