"""What operators ask at one node is answered by all nodes together."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.backplane.cluster import Cluster, Start
from conformance.backplane.conftest import BACKPLANES
from conformance.backplane.single_cluster import single_cluster
from conformance.protocol.stage import APP, Stage
from soundpost.core.app_settings import AppSettings
from soundpost.core.inspection import (
    ChannelLine,
    CloseConnection,
    ConnectionLine,
    GetChannel,
    GetConnection,
    ListChannels,
    ListConnections,
    ListRefusals,
    RefusalLine,
    StartTail,
    TailLine,
    TailLines,
)
from support.raw_socket import TIMEOUT

WITH_ONE = pytest.mark.parametrize("run_cluster", [single_cluster, *BACKPLANES.values()], ids=["single", *BACKPLANES])
pytestmark = WITH_ONE


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nodes of a machine that stands still for seconds."""
    monkeypatch.setattr("soundpost.server.inspection.host_inspection.TIME_TO_REPLY", TIMEOUT)
    monkeypatch.setattr("soundpost.backplane.redis.inspection.TIME_TO_REPLY", TIMEOUT)
    monkeypatch.setattr("soundpost.server.inspection.inspector._TIME_TO_COUNT", TIMEOUT)


async def channels(cluster: Cluster, question: ListChannels) -> list[ChannelLine]:
    found = await cluster.inspect(cluster.nodes[-1], question)
    assert found.missing == []
    assert found.reply.total >= len(found.reply.channels)
    lines: list[ChannelLine] = found.reply.channels
    return lines


async def connections(cluster: Cluster, question: ListConnections | GetConnection) -> list[ConnectionLine]:
    found = await cluster.inspect(cluster.nodes[-1], question)
    assert found.missing == []
    lines: list[ConnectionLine] = found.reply.connections
    return lines


def of_all(cluster: Cluster, count: int) -> list[Stage]:
    """Return ``count`` nodes, each in its turn."""
    return [cluster.nodes[number % len(cluster.nodes)] for number in range(count)]


async def test_a_channel_of_several_nodes_is_one_line_with_all_its_subscribers(cluster: Cluster) -> None:
    for node in of_all(cluster, 6):
        await cluster.join(node, "room", "private-cache-room")
    await cluster.join(cluster.nodes[0], "alone")

    found = await cluster.inspect(cluster.nodes[-1], ListChannels(app_id="1"))

    assert [(line.name, line.subscribers) for line in found.reply.channels] == [
        ("alone", 1),
        ("private-cache-room", 6),
        ("room", 6),
    ]
    assert (found.reply.total, found.next, found.missing) == (3, None, [])


async def test_a_user_on_several_nodes_is_one_member(cluster: Cluster) -> None:
    for node in of_all(cluster, 3):
        await cluster.join(node, "presence-room", user="ann")
    await cluster.join(cluster.nodes[0], "presence-room", user="bob")

    (line,) = await channels(cluster, ListChannels(app_id="1", kind="presence"))

    assert (line.subscribers, line.members) == (4, 2)


async def test_pages_of_channels_follow_one_another(cluster: Cluster) -> None:
    names = [f"room-{number:02}" for number in range(9)]
    for node, name in zip(of_all(cluster, 9), names, strict=True):
        await cluster.join(node, name, "room-04")

    pages: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        found = await cluster.inspect(cluster.nodes[0], ListChannels(app_id="1", after=after, limit=4))
        pages.append([line.name for line in found.reply.channels])
        after = found.next

    assert pages == [names[:4], names[4:8], names[8:]]
    assert found.reply.total == 9


KINDS = {
    "public": ["room"],
    "private": ["private-cache-d", "private-room"],
    "presence": ["presence-room"],
    "encrypted": ["private-encrypted-room"],
    "cache": ["cache-c"],
}


async def test_channels_are_selected_by_kind_and_by_a_part_of_the_name(cluster: Cluster) -> None:
    for node, name in zip(
        of_all(cluster, 6), sorted({name for names in KINDS.values() for name in names}), strict=True
    ):
        await cluster.join(node, name, user="ann" if name.startswith("presence") else None)

    for kind, names in KINDS.items():
        found = await channels(cluster, ListChannels(app_id="1", kind=kind))  # type: ignore[arg-type]
        assert [line.name for line in found] == names
    found = await channels(cluster, ListChannels(app_id="1", search="ROOM", kind="public"))
    assert [line.name for line in found] == ["room"]


async def test_a_channel_has_its_last_event_whichever_node_sent_it(cluster: Cluster) -> None:
    for node in of_all(cluster, 3):
        await cluster.join(node, "room")
        await cluster.join(node, "presence-room", user=str(id(node)))
    cluster.nodes[0].publish("room", "first")
    await cluster.settle()
    cluster.nodes[-1].publish("room", "last")
    await cluster.settle()

    quiet, room = await channels(cluster, ListChannels(app_id="1"))

    assert (room.last_event, quiet.last_event, quiet.last_event_at) == ("last", "", None)
    assert room.last_event_at is not None


async def test_one_channel_is_found_by_its_name(cluster: Cluster) -> None:
    for node in of_all(cluster, 3):
        await cluster.join(node, "presence-room", "room", user="ann")

    found = await cluster.inspect(cluster.nodes[0], GetChannel(app_id="1", name="presence-room"))
    other = await cluster.inspect(cluster.nodes[0], GetChannel(app_id="1", name="presence"))

    assert [(line.name, line.subscribers, line.members) for line in found.reply.channels] == [("presence-room", 3, 1)]
    assert (found.reply.total, found.next, other.reply.channels) == (1, None, [])


async def test_a_connection_is_found_by_channel_user_and_text(cluster: Cluster) -> None:
    member = await cluster.join(cluster.nodes[0], "presence-room", "room", user="ann")
    reader = await cluster.join(cluster.nodes[-1], "room")
    reader.sign_in({"id": "bob"})
    await cluster.settle()

    async def found(**fields: Any) -> set[str]:
        return {line.socket_id for line in await connections(cluster, ListConnections(app_id="1", **fields))}

    assert await found() == {member.socket_id, reader.socket_id}
    assert await found(channel="presence-room") == {member.socket_id}
    assert await found(channel="room", user_id="bob") == {reader.socket_id}
    assert await found(user_id="ann") == {member.socket_id}
    assert await found(search="BO") == {reader.socket_id}
    assert await found(search=member.socket_id[2:]) == {member.socket_id}
    assert await found(channel="other") == set()
    (line,) = await connections(cluster, GetConnection(app_id="1", socket_id=member.socket_id))
    assert (line.user_id, line.channels, line.channel_names) == ("ann", 2, ["presence-room", "room"])
    assert (line.worker, line.since) == ("node 1", member.since)


async def test_pages_of_connections_follow_one_another(cluster: Cluster) -> None:
    clients = [await cluster.connect(node) for node in of_all(cluster, 7)]

    first = await cluster.inspect(cluster.nodes[0], ListConnections(app_id="1", limit=5))
    second = await cluster.inspect(cluster.nodes[0], ListConnections(app_id="1", limit=5, after=first.next or ""))

    read = [line.socket_id for page in (first, second) for line in page.reply.connections]
    assert read == sorted(client.socket_id for client in clients)
    assert (len(first.reply.connections), first.reply.total, second.next) == (5, 7, None)


async def test_a_connection_on_any_node_is_closed(cluster: Cluster) -> None:
    client = await cluster.connect(cluster.nodes[0])

    order = CloseConnection(app_id="1", socket_id=client.socket_id)
    closed = await cluster.inspect(cluster.nodes[-1], order)
    await cluster.settle()
    again = await cluster.inspect(cluster.nodes[-1], order)

    assert (closed.reply.found, again.reply.found) == (True, False)
    assert client.close_code == 4009


async def test_refusals_of_all_nodes_come_newest_first(cluster: Cluster) -> None:
    for node in of_all(cluster, 3):
        client = await cluster.connect(node)
        client.say("pusher:subscribe", {"channel": "private-room", "auth": f"app-key:{'0' * 64}"})

    found = await cluster.inspect(cluster.nodes[0], ListRefusals())

    lines: list[RefusalLine] = found.reply.refusals
    assert sum(line.count for line in lines) == 3
    assert {(line.kind, line.code, line.app_id, line.channel) for line in lines} == {
        ("subscription", 4009, "1", "private-room")
    }
    assert {line.worker for line in lines} == {f"node {number + 1}" for number in range(len(cluster.nodes))}
    assert [line.at for line in lines] == sorted((line.at for line in lines), reverse=True)


async def test_an_app_that_a_node_does_not_have_has_nothing(cluster: Cluster) -> None:
    other = await cluster.inspect(cluster.nodes[0], ListChannels(app_id="other"))
    nobody = await cluster.inspect(cluster.nodes[0], ListConnections(app_id="other"))

    assert (other.reply.channels, other.reply.total, nobody.reply.connections) == ([], 0, [])


async def test_apps_are_kept_apart(start: Start) -> None:
    cluster = await start(APP, AppSettings(id="2", key="k2", secret="s2"))
    await cluster.join(cluster.nodes[0], "of-one")
    await cluster.join(cluster.nodes[-1], "of-two", app_id="2")

    assert [line.name for line in await channels(cluster, ListChannels(app_id="2"))] == ["of-two"]
    assert len(await connections(cluster, ListConnections(app_id="2"))) == 1


class Tail:
    """A running tail of a cluster."""

    def __init__(self, cluster: Cluster, **fields: str) -> None:
        self._cluster = cluster
        self._lines: list[TailLine] = []
        self.left_out = 0
        start = StartTail(app_id=fields.pop("app_id", "1"), **fields)
        self.end = cluster.inspector(cluster.nodes[0]).tail(start, self._take)

    def _take(self, lines: TailLines) -> None:
        self._lines += lines.lines
        self.left_out += lines.left_out

    async def read(self) -> list[tuple[str, str, str, str]]:
        """Return the lines that have come since the last reading, when every node has sent what it has."""
        await self._cluster.settle()
        for node in self._cluster.nodes:
            node.wait(0.25)
        await self._cluster.settle()
        lines, self._lines = self._lines, []
        return sorted((line.what, line.channel, line.event, line.data or line.detail) for line in lines)


@pytest.fixture
async def tailed(cluster: Cluster) -> Cluster:
    """A cluster with subscribers of two channels on each node."""
    for node in of_all(cluster, 3):
        await cluster.join(node, "room", "other-room")
    return cluster


async def test_the_tail_of_a_channel_shows_its_events_on_all_nodes_and_nothing_else(tailed: Cluster) -> None:
    tail = Tail(tailed, channel="room")
    await tailed.settle()

    tailed.nodes[0].publish("room", "seen", '{"text":"hello"}')
    tailed.nodes[0].publish("other-room", "unseen")

    line = ("broadcast", "room", "seen", '{"text":"hello"}')
    assert await tail.read() == [line] * len(tailed.nodes)


async def test_the_tail_of_a_pattern_shows_all_its_channels(tailed: Cluster) -> None:
    tail = Tail(tailed, channel="*-room")
    await tailed.settle()

    tailed.nodes[0].publish("room", "unseen")
    tailed.nodes[0].publish("other-room", "seen")

    assert await tail.read() == [("broadcast", "other-room", "seen", "{}")] * len(tailed.nodes)


async def test_the_tail_of_a_user_shows_what_reaches_it_and_what_it_sends(tailed: Cluster) -> None:
    ann = await tailed.join(tailed.nodes[0], "presence-a", "room", user="ann")
    await tailed.join(tailed.nodes[-1], "presence-b", user="bob")
    tail = Tail(tailed, user_id="ann")
    await tailed.settle()

    tailed.nodes[-1].publish("presence-b", "unseen")
    tailed.nodes[-1].publish("room", "seen")
    ann.say("client-typing", {}, channel="presence-a")
    ann.say("pusher:subscribe", {"channel": "private-x", "auth": "app-key:wrong"})
    lines = await tail.read()

    assert ("broadcast", "room", "seen", "{}") in lines
    assert ("received", "presence-a", "client-typing", "{}") in lines
    assert ("received", "private-x", "pusher:subscribe", '{"channel": "private-x", "auth": "…"}') in lines
    assert [line[:2] for line in lines if line[0] == "refused"] == [("refused", "private-x")]
    assert not [line for line in lines if line[2] == "unseen" or line[:2] == ("broadcast", "presence-a")]

    ann.vanish()
    assert [line[0] for line in await tail.read()] == ["closed"]


async def test_the_tail_of_an_app_shows_its_clients_and_events_that_nobody_gets(start: Start) -> None:
    cluster = await start(APP, AppSettings(id="2", key="k2", secret="s2"))
    tail = Tail(cluster)
    await cluster.settle()

    await cluster.connect(cluster.nodes[0])
    await cluster.connect(cluster.nodes[0], "2")
    cluster.nodes[-1].publish("room", "unheard")
    lines = await tail.read()

    assert [line[:3] for line in lines] == [
        ("opened", "", ""),
        ("published", "room", "unheard"),
        ("sent", "", "pusher:connection_established"),
    ]


async def test_a_tail_says_how_much_it_left_out(tailed: Cluster) -> None:
    tail = Tail(tailed, channel="room")
    await tailed.settle()

    for number in range(150):
        tailed.nodes[0].publish("room", f"event-{number}")
    lines = await tail.read()

    assert len(lines) + tail.left_out == 150 * len(tailed.nodes)
    assert len(lines) == 100


async def test_nothing_observes_a_node_before_and_after_a_tail(tailed: Cluster) -> None:
    tail = Tail(tailed)
    await tailed.settle()
    assert [len(node.node.observers) for node in tailed.nodes] == [1] * len(tailed.nodes)

    tail.end()
    await tailed.settle()

    assert not any(node.node.observers for node in tailed.nodes)


async def test_a_tail_whose_asker_is_gone_ends_after_half_a_minute(tailed: Cluster) -> None:
    start = StartTail(app_id="1", tail_id="t")
    for node in tailed.nodes:
        node.node.start_tail(start, lambda lines: None)
        node.wait(29)
        node.node.start_tail(start, lambda lines: None)
        node.wait(29)
        assert len(node.node.observers) == 1

        node.wait(2)
        assert not node.node.observers
