"""Nodes that do not answer what operators ask: the others' replies come all the same."""

from __future__ import annotations

import asyncio

import pytest

from conformance.backplane.cluster import Start
from soundpost.core.inspection import ListChannels


async def test_a_node_that_does_not_reply_is_missing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.server.inspection.host_inspection.TIME_TO_REPLY", 0.1)
    monkeypatch.setattr("soundpost.backplane.redis.inspection.TIME_TO_REPLY", 0.2)
    cluster = await start(nodes=3)
    for node in cluster.nodes:
        await cluster.join(node, "room")
    await cluster.inspect(cluster.nodes[0], ListChannels(app_id="1"))  # hosts get to know one another

    cluster.hold(cluster.nodes[1])
    reply = asyncio.ensure_future(cluster.inspector(cluster.nodes[0]).ask(ListChannels(app_id="1")))
    await asyncio.sleep(0)
    await cluster.settle()
    found = await reply

    assert found.missing == ["node 2"]
    assert [line.subscribers for line in found.reply.channels] == [2]
