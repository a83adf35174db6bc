"""The hub alone: workers that come and go, and the form of what is said."""

from __future__ import annotations

import random
from typing import Any

import pytest

from conformance.protocol.stage import APP
from soundpost.backplane.hub import Hub
from soundpost.backplane.hub_framing import Message, MessageReader, encode
from soundpost.backplane.hub_messages import (
    Admitted,
    Answer,
    ChannelFull,
    Configuration,
    EndTail,
    EventMessage,
    Inspect,
    KnownRequest,
    Observed,
    Snapshot,
    Tail,
    Terminate,
)
from soundpost.backplane.memory_registry import MemoryRegistry
from soundpost.backplane.worker_messages import Admit, Ask, Inspected, Join, Publish, PublishOnce, Tailed
from soundpost.config.settings import Settings
from soundpost.core.inspection import (
    ChannelLine,
    ChannelPage,
    ConnectionLine,
    ConnectionPage,
    ListConnections,
    StartTail,
    TailLine,
    TailLines,
)
from soundpost.core.observer_events import ChannelVacated, SubscriptionCountChanged
from soundpost.core.peers import ChannelsQuery, IdempotencyKey, OutgoingEvent, UsersQuery
from support.hub_stream import arrived, feed


def test_a_worker_that_is_still_starting_is_told_nothing() -> None:
    hub = Hub(MemoryRegistry([APP]))
    said: list[Message] = []
    running, lost = hub.add(lambda message: None), hub.add(lambda message: None)
    hub.add(said.append)
    for worker in (running, lost):
        worker.has_observers = True
        worker.handle(Admit(1, "1"))
        worker.handle(Join(2, "1", f"room of {id(worker)}", None, b""))

    running.handle(Terminate("1", "ann"))
    running.handle(Publish(3, "1", OutgoingEvent("room", b"frame", None, keep=False)))
    hub.remove(lost)

    assert said == []


def test_what_a_lost_worker_leaves_is_told_to_one_that_watches() -> None:
    hub = Hub(MemoryRegistry([APP]))
    said: list[Message] = []
    hub.add(lambda message: pytest.fail("it is still starting"))
    lost, successor = hub.add(lambda message: None), hub.add(said.append)
    successor.has_observers = True
    lost.handle(Join(1, "1", "room", None, b""))

    hub.remove(lost)

    assert said == [Observed(ChannelVacated("1", "room"))]


def test_a_worker_is_lost_once() -> None:
    hub = Hub(MemoryRegistry([APP]))
    lost, other = hub.add(lambda message: None), hub.add(lambda message: None)
    for worker in (lost, other):
        worker.handle(Join(1, "1", "room", None, b""))

    hub.remove(lost)
    hub.remove(lost)

    answers: list[Any] = []
    hub.registry.answer(ChannelsQuery("1", "", ["subscription_count"]), answers.append)
    assert answers == [b'{"room":{"subscription_count":1}}']


def test_tails_whose_askers_are_gone_are_forgotten() -> None:
    hub = Hub(MemoryRegistry([APP]))
    worker = hub.add(lambda message: None)
    heard: list[str] = []

    for number in range(1_000):
        worker.start_tail(StartTail(app_id="1", tail_id="kept"), lambda lines: heard.append(lines.tail_id))
        worker.start_tail(StartTail(app_id="1", tail_id=str(number)), lambda lines: heard.append(lines.tail_id))
    worker.handle(Tailed(TailLines("0", [])))
    worker.handle(Tailed(TailLines("kept", [])))

    assert heard == ["kept"]
    assert len(worker._tails) == 100


MESSAGES: list[Message] = [
    Configuration(1, Settings(apps=(APP,)), playground=False, debug=True),
    Admit(1, "1"),
    Admitted(2, "server_full"),
    Join(7, "1", "presence-é", -(2**63), b'{"name":"\xc3\xa9"}'),
    Join(7, "1", "presence-room", "ann", b"null"),
    Join(1, "1", "room", None, b""),
    Snapshot(3, b'"{}"', None),
    ChannelFull(4),
    Publish(5, "1", OutgoingEvent("room", bytes(range(256)) * 300, "1.2", keep=True)),
    PublishOnce(5, "1", IdempotencyKey("k", "d"), [OutgoingEvent("room", b"\x81", None, keep=False)] * 3),
    KnownRequest(5, "repeated"),
    EventMessage("1", "room", b"", None),
    Ask(6, UsersQuery("1", "presence-room")),
    Answer(1, [b'"ann"', b"1"]),
    Answer(1, {"room": {"user_count": 2, "cache": {"event": "e", "data": "{}", "ttl": 3}}}),
    Answer(1, None),
    Observed(SubscriptionCountChanged("1", "room", 3)),
    Inspect(7, ListConnections(app_id="1", search="é")),
    Inspected(7, ConnectionPage([ConnectionLine("1.2", 3, user_id="ann", channel_names=["room"])], 1)),
    Inspected(8, ChannelPage([ChannelLine("room", 3, None, "e", 0.5)], 1, [2**64 - 1])),
    Tail(StartTail(app_id="1", tail_id="t", channel="room")),
    Tailed(TailLines("t", [TailLine(0.5, "broadcast", channel="room", recipients=0)], 7)),
    EndTail("t"),
]


@pytest.mark.parametrize("seed", range(5))
def test_messages_arrive_as_they_were_sent_however_the_stream_is_cut(seed: int) -> None:
    stream = b"".join(encode(message) for message in MESSAGES)
    cuts = random.Random(seed)
    reader = MessageReader()
    found: list[Message] = []

    while stream:
        size = cuts.choice((1, 3, 100, 70_000))
        feed(reader, stream[:size])
        found += arrived(reader)
        stream = stream[size:]

    assert found == MESSAGES
