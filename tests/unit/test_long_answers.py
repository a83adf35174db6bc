"""Work on very many channels or connections, done a slice at a time so that the loop does other work in between."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from conformance.protocol.stage import APP, Stage
from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.backplane.event_cache import EventCache
from soundpost.backplane.slices import SLICE
from soundpost.core.app_settings import HistorySettings
from soundpost.core.peers import ChannelsQuery, HistoryChannelsQuery
from soundpost.server.api.history import delete_history
from soundpost.server.api.requests import Request

CHANNELS = 4 * SLICE + 1


class Loop:
    """Runs one callback at a time."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def turn(self) -> bool:
        if self.waiting:
            self.waiting.pop(0)()
        return bool(self.waiting)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def stage(loop: Loop) -> Stage:
    stage = Stage(peers=SingleNode(MemoryRegistry([APP], call_soon=loop.waiting.append)))
    for first in range(0, CHANNELS, 500):
        client = stage.connect()
        for number in range(first, min(first + 500, CHANNELS)):
            client.ask(f"{'presence' if number % 2 else 'private'}-{number}", {"user_id": "1"})
        client.read()
    return stage


@pytest.mark.parametrize(
    ("prefix", "info", "expected"),
    [
        ("", [], {f"{'presence' if number % 2 else 'private'}-{number}": {} for number in range(CHANNELS)}),
        ("presence-", ["user_count"], {f"presence-{number}": {"user_count": 1} for number in range(1, CHANNELS, 2)}),
        ("nothing", ["subscription_count"], {}),
    ],
)
def test_all_channels_are_listed_over_several_turns(
    stage: Stage, loop: Loop, prefix: str, info: list[str], expected: dict[str, dict[str, int]]
) -> None:
    answers: list[bytes] = []
    turns = 0

    stage.node.peers.ask(ChannelsQuery("1", prefix, info), answers.append)
    while not answers:
        turns += 1
        loop.turn()

    assert turns == 5  # the last one only hands the answer on
    assert [json.loads(answer) for answer in answers] == [expected]


def test_a_channel_that_is_left_meanwhile_is_not_listed(stage: Stage, loop: Loop) -> None:
    answers: list[bytes] = []
    stage.node.peers.ask(ChannelsQuery("1", "", []), answers.append)

    for connection in list(stage.app.connections.values()):
        connection.close(1000, "")
    stage.turn()
    while loop.turn():
        pass

    (answer,) = answers
    assert len(json.loads(answer)) == SLICE


def test_histories_are_deleted_by_a_pattern_over_several_turns(loop: Loop) -> None:
    app = msgspec.structs.replace(APP, history=(HistorySettings(channels=("*",)),))
    peers = SingleNode(MemoryRegistry([app], call_soon=loop.waiting.append))
    stage = Stage(app, peers=peers)
    stage.node.call_soon = loop.waiting.append
    for number in range(CHANNELS):
        stage.publish(f"a-{number}")
    stage.publish("b")
    request = Request(b"DELETE", b"/apps/1/channels/a-*/history", "1.1", [], b"", True)

    pending = delete_history(request, stage.app, {}, "a-*")
    turns = 0
    while pending.response is None:
        turns += 1
        loop.turn()

    assert turns > 2 * CHANNELS // SLICE
    assert json.loads(pending.response.body) == {"channels": CHANNELS}
    left: list[list[bytes]] = []
    peers.ask(HistoryChannelsQuery("1"), left.append)
    while not left:
        loop.turn()
    assert [name for part in left[0] for name in json.loads(part)] == ["b"]


def test_few_channels_are_listed_at_once(loop: Loop) -> None:
    answers: list[bytes] = []
    stage = Stage(peers=SingleNode(MemoryRegistry([APP], call_soon=loop.waiting.append)))

    stage.node.peers.ask(ChannelsQuery("1", "", []), answers.append)

    assert answers == [b"{}"]


def test_the_connections_of_an_app_that_is_gone_are_ended_some_in_each_turn() -> None:
    stage = Stage()
    waiting: list[Callable[[], None]] = []
    clients = [stage.connect() for _ in range(1_100)]
    stage.node.call_soon = waiting.append

    stage.node.reconfigure([])

    assert [client.close_code for client in clients] == [4001] * 500 + [None] * 600
    waiting.pop(0)()
    assert [client.close_code for client in clients] == [4001] * 1_000 + [None] * 100
    waiting.pop(0)()
    assert (waiting, {client.close_code for client in clients}) == ([], {4001})


def test_who_is_not_ended_yet_when_the_app_comes_back_stays() -> None:
    stage = Stage()
    waiting: list[Callable[[], None]] = []
    clients = [stage.connect() for _ in range(600)]
    stage.node.call_soon = waiting.append
    disabled, enabled = Stage(enabled=False).app.settings, APP

    stage.node.reconfigure([disabled])
    stage.node.reconfigure([enabled])
    waiting.pop(0)()

    assert [client.close_code for client in clients] == [4003] * 500 + [None] * 100


def test_expired_events_are_forgotten_some_at_a_time() -> None:
    now = [0.0]
    cache = EventCache(lambda: now[0])
    for number in range(12_000):
        cache.put(f"cache-{number}", b"", ttl=1, max_channels=20_000)
    now[0] = 2

    left = []
    for _ in range(3):
        cache.drop_expired()
        left.append(len(cache))

    assert left == [7_000, 2_000, 0]
