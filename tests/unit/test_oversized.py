"""Oversized messages count once against the flood limit, and are answered."""

from __future__ import annotations

import json

import pytest

from conformance.protocol.stage import Stage
from soundpost.core import oversized
from soundpost.core.flooding import MAX_JUNK

OVERSIZED = {
    "an unknown event": {"event": "pusher:nothing"},
    "no event": {},
    "a client event": {"event": "client-e", "channel": "private-room"},
    "a subscription": {"event": "pusher:subscribe", "data": {"channel": "room"}},
}


@pytest.mark.parametrize("message", OVERSIZED.values(), ids=OVERSIZED)
def test_an_oversized_message_counts_once(message: dict[str, object]) -> None:
    client = Stage().connect()
    payload = json.dumps(message).encode().ljust(client.app.settings.max_message_size + 1)

    for _ in range(MAX_JUNK):
        oversized.refuse(client, payload)

    assert client.close_code is None
    errors = [each for each in client.read() if each["event"] == "pusher:error"]
    assert len(errors) == MAX_JUNK
    oversized.refuse(client, payload)
    assert client.close_code == 4100
