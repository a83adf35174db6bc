"""Invariants of a cluster at rest: after any history, nodes and clients agree with the truth.

The truth is what the test's own clients wanted. Nothing in here knows which backplane connects the nodes.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations, count
from typing import Any, Final

from conformance.backplane.cluster import Cluster
from conformance.protocol.stage import Client, Message, Stage, data_of
from soundpost.core.peers import ChannelQuery, ChannelsQuery, ConnectionsQuery, UsersQuery
from soundpost.wire import codes

_ATTRIBUTES: Final = ["user_count", "subscription_count"]


def is_presence(channel: str) -> bool:
    """Tell whether a channel has members."""
    return channel.startswith("presence-")


class Tab:
    """A client's wishes and received messages. Fails when the client gets a member twice."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.wants: dict[str, str] = {}
        """The client's channels, with its user on each; the user has no meaning on channels without members."""
        self.sure: set[str] = set()
        """Channels it has been subscribed to since the cluster was last at rest."""
        self.possible: set[str] = set()
        """Channels it may hear of: those it has been subscribed to at any time since then."""
        self.members: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, int] = {}
        self.heard: dict[str, list[str]] = {}
        """Names of events by channel, in their order."""

    @property
    def node(self) -> Stage:
        return self.client.stage

    def subscribe(self, channel: str, user: str) -> None:
        self.client.ask(channel, {"user_id": user, "user_info": info_of(user)} if is_presence(channel) else None)
        if self.wants.get(channel, user) != user:
            self.sure.discard(channel)
        self.wants[channel] = user
        self.possible.add(channel)

    def unsubscribe(self, channel: str) -> None:
        self.client.say("pusher:unsubscribe", {"channel": channel})
        self.wants.pop(channel, None)
        self.sure.discard(channel)

    def read(self) -> None:
        """Take in what has come."""
        for message in self.client.read():
            self._take(message, message["event"].removeprefix("pusher_internal:"))

    def _take(self, message: Message, name: str) -> None:
        if name == "pusher:error":
            return  # a client event on a channel it was not on yet
        channel = message["channel"]
        assert channel in self.possible, f"it was never on {channel}: {message}"
        data = data_of(message)
        if name == "subscription_succeeded":
            if is_presence(channel):
                self.members[channel] = data["presence"]["hash"]
                assert data["presence"]["count"] == len(data["presence"]["ids"]) == len(self.members[channel])
        elif name == "member_added":
            assert data["user_id"] not in self.members[channel], f"added twice: {message}"
            self.members[channel][data["user_id"]] = data["user_info"]
        elif name == "member_removed":
            assert data["user_id"] in self.members[channel], f"removed twice: {message}"
            del self.members[channel][data["user_id"]]
        elif name == "subscription_count":
            self.counts[channel] = data["subscription_count"]
        else:
            self._hear(channel, name, message)

    def _hear(self, channel: str, name: str, message: Message) -> None:
        heard = self.heard.setdefault(channel, [])
        assert name not in heard, f"heard twice: {message}"
        heard.append(name)


def info_of(user: str) -> Any:
    """Return the same info for all tabs of a user, so that their order does not matter."""
    return {"name": user.title()}


class World:
    """All tabs, and the events that were published."""

    def __init__(self) -> None:
        self.tabs: list[Tab] = []
        self._numbers = count()
        # Of the events since the cluster was last at rest, by name:
        self._due: dict[str, tuple[str, list[Tab]]] = {}
        """The channel, and who must have heard it unless it leaves."""
        self._left_out: dict[str, Tab] = {}
        self._publishers: dict[str, Stage | Tab] = {}

    def publish(self, node: Stage, channel: str, left_out: Tab | None = None) -> None:
        """Publish an event, but not to one tab."""
        name = f"event {next(self._numbers)}"
        self._expect(node, channel, name, left_out)
        node.publish(channel, name, socket_id=None if left_out is None else left_out.client.socket_id)

    def whisper(self, tab: Tab, channel: str) -> None:
        """Send a client event."""
        name = f"client-event {next(self._numbers)}"
        if channel in tab.sure:
            self._expect(tab, channel, name, tab)
        else:
            self._left_out[name] = tab
        tab.client.say(name, {}, channel=channel)

    def vanish(self, tab: Tab) -> None:
        """Close a tab, perhaps with client events that still waited."""
        tab.client.vanish()
        self.tabs.remove(tab)
        self._expect_nothing_from(tab)

    def send_away(self, tab: Tab) -> None:
        """Have a tab's node close it so that it comes back: its members have a grace."""
        tab.client.end(codes.GENERIC_RECONNECT, "Come back")
        self.tabs.remove(tab)
        self._expect_nothing_from(tab)

    async def lose(self, cluster: Cluster, node: Stage) -> None:
        """Let a node die with its tabs, and perhaps with events that it was about to publish."""
        await cluster.lose(node)
        for tab in [tab for tab in self.tabs if tab.node is node]:
            self.tabs.remove(tab)
            self._expect_nothing_from(tab)
        self._expect_nothing_from(node)

    def _expect_nothing_from(self, gone: Stage | Tab) -> None:
        for name, publisher in self._publishers.items():
            if publisher is gone:
                self._due.pop(name, None)

    def _expect(self, publisher: Stage | Tab, channel: str, name: str, left_out: Tab | None) -> None:
        self._due[name] = channel, [tab for tab in self.tabs if channel in tab.sure and tab is not left_out]
        self._publishers[name] = publisher
        if left_out is not None:
            self._left_out[name] = left_out

    # At rest

    async def check(self, cluster: Cluster) -> None:
        """Bring the cluster to rest. Raises AssertionError unless everybody knows the truth, and no more than that."""
        await cluster.settle()
        for tab in self.tabs:
            tab.read()
        for node in cluster.nodes:
            await self._check_node(cluster, node)
        for tab in self.tabs:
            self._check_tab(tab)
        for occupancy, names, members in cluster.occupancies():
            kinds = Counter(name.rpartition("-")[0] or "public" for name in names)
            assert {kind: number for kind, number in occupancy.channels.items() if number} == kinds
            assert occupancy.members == members
        self._check_events(one_order=cluster.one_order)
        for tab in self.tabs:
            tab.sure = set(tab.wants)
            tab.possible = set(tab.wants)
        self._due.clear()
        self._left_out.clear()
        self._publishers.clear()

    def _on(self, channel: str) -> list[Tab]:
        return [tab for tab in self.tabs if channel in tab.wants]

    def _members(self, channel: str) -> dict[str, Any]:
        return {tab.wants[channel]: info_of(tab.wants[channel]) for tab in self._on(channel)}

    def _attributes(self, channel: str) -> dict[str, int]:
        found = {"subscription_count": len(self._on(channel))}
        return found | {"user_count": len(self._members(channel))} if is_presence(channel) else found

    def _present(self, node: Stage) -> dict[str, dict[Any, int]]:
        """Connections by the user they are present as on a node, each with on how many channels."""
        found: dict[str, dict[Any, int]] = {}
        for tab in self.tabs:
            for user in [user for channel, user in tab.wants.items() if tab.node is node and is_presence(channel)]:
                present = found.setdefault(user, {})
                present[tab.client] = present.get(tab.client, 0) + 1
        return found

    async def _check_node(self, cluster: Cluster, node: Stage) -> None:
        channels = sorted({channel for tab in self.tabs for channel in tab.wants})
        expected = {channel: self._attributes(channel) for channel in channels}
        assert await cluster.ask(node, ChannelsQuery("1", "", _ATTRIBUTES)) == expected
        assert await cluster.ask(node, ChannelQuery("1", channels, _ATTRIBUTES)) == list(expected.values())
        for channel in filter(is_presence, channels):
            users = await cluster.ask(node, UsersQuery("1", channel))
            assert sorted(users) == sorted(f'"{user}"'.encode() for user in self._members(channel))
        assert await cluster.ask(node, ConnectionsQuery("1")) == len(self.tabs)
        assert node.app.member_connections == self._present(node)
        assert set(node.app.channels) == {c for tab in self.tabs if tab.node is node for c in tab.wants}

    def _check_tab(self, tab: Tab) -> None:
        assert tab.client.close_code is None
        for channel in tab.wants:
            if is_presence(channel):
                told, true = tab.members[channel], self._members(channel)
                assert told == true, f"on {channel} a client knows of {sorted(told)}, but there are {sorted(true)}"
            else:
                assert tab.counts[channel] == len(self._on(channel))

    def _check_events(self, *, one_order: bool) -> None:
        for name, (channel, tabs) in self._due.items():
            for tab in tabs:
                if tab in self.tabs and channel in tab.sure:
                    assert name in tab.heard.get(channel, ()), f"not heard: {name}"
        for name, tab in self._left_out.items():
            assert not any(name in heard for heard in tab.heard.values()), f"heard by whom it left out: {name}"
        for one, other in combinations(self.tabs, 2):
            for channel in one.heard.keys() & other.heard.keys():
                both = set(one.heard[channel]) & set(other.heard[channel])
                for group in [both] if one_order else self._by_node(both):
                    in_one, in_other = ([name for name in tab.heard[channel] if name in group] for tab in (one, other))
                    assert in_one == in_other, "not in the same order"

    def _by_node(self, names: set[str]) -> list[set[str]]:
        groups: dict[Stage, set[str]] = {}
        for name in names & self._publishers.keys():
            publisher = self._publishers[name]
            groups.setdefault(publisher.node if isinstance(publisher, Tab) else publisher, set()).add(name)
        return list(groups.values())
