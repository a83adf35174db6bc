"""``--debug`` calls an event unheard only if no node has a subscriber."""

from __future__ import annotations

import io

from conformance.backplane.cluster import Start
from soundpost.server.processes.debug import MessageStream


async def test_an_event_is_unheard_only_if_no_node_has_a_subscriber(start: Start) -> None:
    out = io.StringIO()
    cluster = await start(observer=lambda: MessageStream(out))
    first, second = cluster.nodes[:2]
    await cluster.join(second, "room")

    first.publish("room", "heard")
    await cluster.settle()
    assert "nobody" not in out.getvalue()

    first.publish("rom", "unheard")
    await cluster.settle()
    unheard = [line for line in out.getvalue().splitlines() if "nobody" in line]
    assert len(unheard) == 1
    assert "published rom (nobody is subscribed) unheard {}" in " ".join(unheard[0].split())
