"""Pages that resume, and what they must have been given: all events of the authority's order, or a gap.

A page lives longer than its connections. Its rules are those for clients in ``docs/resumption-protocol.md``; nothing in
here knows which backplane connects the nodes.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from conformance.backplane.cluster import SUCCEEDED, Cluster
from conformance.protocol.stage import Client, Message, Stage

GAP: Final = "soundpost:gap"
FORMER_IDS: Final = 4
"""Number of earlier socket ids that a page tells the server."""


class Kept(NamedTuple):
    """An event that the authority has put in order."""

    offset: int
    name: str


def offset_of(position: str) -> int:
    """Return the offset of a position."""
    return int(position.split(".")[1])


class Stretch:
    """Events that a page was given without a gap between them, on one channel."""

    def __init__(self, position: str) -> None:
        self.begin = offset_of(position)
        self.end: int | None = None
        """Last offset that the page can know of; None while it is subscribed."""
        self.events: list[Kept] = []

    @property
    def at(self) -> int:
        return self.events[-1].offset if self.events else self.begin


class Page:
    """A page: its channels, its places in their histories, and what its handlers were given."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.client: Client | None = None
        self.socket_ids: list[str] = []
        self.at: dict[str, str | None] = {}
        """Position by channel that the page wants to be in; None before it is known."""
        self.stretches: dict[str, list[Stretch]] = {}
        self.given: list[str] = []
        """Names of events without a position."""
        self._unanswered: dict[str, int] = {}

    def open(self, client: Client) -> None:
        """Come back over a new connection, to all channels."""
        self.client = client
        self.socket_ids.append(client.socket_id)
        for channel in self.at:
            self._subscribe(channel)

    def subscribe(self, channel: str, **fields: Any) -> None:
        if channel not in self.at:
            self.at[channel] = None
            self._subscribe(channel, **fields)

    def _subscribe(self, channel: str, **fields: Any) -> None:
        if self.client is None:
            return
        self._unanswered[channel] = self._unanswered.get(channel, 0) + 1
        was = self.socket_ids[:-1][-FORMER_IDS:]
        data = {"channel": channel, "resume": self.at[channel] or "", "was": was, **fields}
        self.client.say("pusher:subscribe", data)

    def unsubscribe(self, channel: str) -> None:
        if channel not in self.at:
            return
        del self.at[channel]
        self._end(channel)
        if self.client is not None:
            self.client.say("pusher:unsubscribe", {"channel": channel})

    def _end(self, channel: str) -> None:
        for stretch in self.stretches.get(channel, [])[-1:]:
            if stretch.end is None:
                stretch.end = stretch.at

    def cut(self, *, reads_rest: bool) -> None:
        """Lose the connection, before or after what is on its way has come."""
        if self.client is None:
            return
        if reads_rest:
            self.read()
        self.client.vanish()
        self.client = None
        self._unanswered.clear()

    def read(self) -> None:
        """Take in what has come."""
        if self.client is not None:
            assert self.client.close_code is None
            for message in self.client.take_output():
                self._take(message)

    def _take(self, message: Message) -> None:
        event, channel = message["event"], message.get("channel", "")
        if event == SUCCEEDED:
            self._unanswered[channel] -= 1
        if channel not in self.at or self._unanswered.get(channel, 0):
            return  # of a subscription that the page has ended
        if event == SUCCEEDED:
            self._begin(channel, message)
        elif event == GAP:
            self._gap(channel, json.loads(message["data"])["reason"], message["position"])
        elif "position" in message:
            self._hand_on(channel, event, message["position"])
        elif not event.startswith("pusher:"):
            assert event not in self.given, f"given twice: {message}"
            self.given.append(event)

    def _begin(self, channel: str, message: Message) -> None:
        before = self.at[channel]
        if "gap" in message:
            self._gap(channel, message["gap"], message["position"])
        elif before is None:
            assert "resumed" not in message
            self._go_on(channel, message["position"])
        else:
            assert message["resumed"] >= 0
            assert message["position"] == before, "a whole resumption begins at the client's own position"

    def _gap(self, channel: str, reason: str, position: str) -> None:
        before = self.at[channel]
        assert before is not None, "a gap before anything was known"
        assert offset_of(before) < offset_of(position)
        self._world.gaps.append((channel, reason, offset_of(before), offset_of(position)))
        self._end(channel)
        self._go_on(channel, position)

    def _go_on(self, channel: str, position: str) -> None:
        self.at[channel] = position
        self.stretches.setdefault(channel, []).append(Stretch(position))

    def _hand_on(self, channel: str, name: str, position: str) -> None:
        stretch = self.stretches[channel][-1]
        offset = offset_of(position)
        assert offset > stretch.at, f"on {channel} {name} came again, or late"
        number = len(self.socket_ids) - 1
        sender = self._world.senders.get(name)
        is_cached = channel.startswith("cache") and not stretch.events  # everybody gets a cache channel's last event
        if sender in self.socket_ids and not is_cached:
            assert self.socket_ids.index(sender) < number - FORMER_IDS, f"{name} came back to its sender"
        stretch.events.append(Kept(offset, name))
        self.at[channel] = position


class World:
    """All pages, and a witness that has heard every event since the beginning."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.senders: dict[str, str] = {}
        """Socket ids that are excluded, by name of the event."""
        self.gaps: list[tuple[str, str, int, int]] = []
        """Channel, reason, and the offsets between which events may be missing."""
        self._witness: Client
        self._order: dict[str, list[Kept]] = {}
        self._number = 0

    async def begin(self, cluster: Cluster, node: Stage, *channels: str) -> None:
        """Let the witness listen on a node that must not be lost."""
        self._witness = await cluster.join(node, *channels)
        self._order = {channel: [] for channel in channels}

    def publish(
        self, node: Stage, channel: str, sender: Page | None = None, ephemeral: bool = False, ago: int = 0
    ) -> None:
        """Publish an event, which a page excludes itself from, by the socket id of so many connections ago."""
        name = f"event {self._number}"
        self._number += 1
        socket_id = None if sender is None else sender.socket_ids[-1 - min(ago, len(sender.socket_ids) - 1)]
        if socket_id is not None:
            self.senders[name] = socket_id
        node.publish(channel, name, socket_id=socket_id, ephemeral=ephemeral)

    async def check(self, cluster: Cluster) -> None:
        """Bring the cluster to rest. Raises AssertionError if an event is lost or doubled, or a gap is false."""
        while True:
            await cluster.settle()
            for page in self.pages:
                page.read()
            if not any(node._soon for node in cluster.nodes):
                await cluster.settle()
                if not any(page.client.writes for page in self.pages if page.client is not None):
                    break
        for message in self._witness.read():
            if "position" in message:
                self._order[message["channel"]].append(Kept(offset_of(message["position"]), message["event"]))
        for order in self._order.values():
            assert [event.offset for event in order] == sorted({event.offset for event in order})
        for page in self.pages:
            for channel, stretches in page.stretches.items():
                for stretch in stretches:
                    self._check_stretch(page, channel, stretch)
        self._check_gaps()

    def _check_stretch(self, page: Page, channel: str, stretch: Stretch) -> None:
        is_live = page.client is not None and stretch.end is None
        end = stretch.at if stretch.end is None else stretch.end
        expected = [event for event in self._order[channel] if stretch.begin < event.offset]
        if not is_live:
            expected = [event for event in expected if event.offset <= end]
        own = {event for event in expected if self.senders.get(event.name) in page.socket_ids}
        assert [event for event in stretch.events if event not in own] == [
            event for event in expected if event not in own
        ], f"on {channel}, after {stretch.begin}"

    def _check_gaps(self) -> None:
        for channel, reason, before, after in self.gaps:
            assert reason in ("number", "deleted"), reason
            missing = [event for event in self._order[channel] if before < event.offset <= after]
            assert missing, f"a gap on {channel} where nothing is missing, between {before} and {after}"
