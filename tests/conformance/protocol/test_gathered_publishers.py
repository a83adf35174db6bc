"""Publishers at the same time: after a large fan-out the next one waits a moment, so that it has events of all."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from conformance.protocol.stage import Client, Stage, decode_frames
from soundpost.core.connection import Connection
from soundpost.core.node import write_each

LARGE, SMALL = 5, 1


class GatheringStage(Stage):
    """A node for which a fan-out to three clients is a large one; ``answered`` has the answers to publishers."""

    def __init__(self) -> None:
        self.takes = 0.0
        """Seconds for a call of the kernel."""

        def deliver(connections: Iterable[Connection], data: bytes) -> None:
            write_each(connections, data)
            self.now += self.takes

        super().__init__(deliver=deliver)
        self.node.outbox.at_once = 5
        self.answered: list[str] = []

    def publish_and_wait(self, *events: str) -> None:
        """Publish as so many publishers do, each of whom waits for its answer."""
        for event in events:
            self.publish("room", event)
            self.node.after_sending(lambda event=event: self.answered.append(event))  # type: ignore[misc]


def started(subscribers: int, *events: str) -> tuple[GatheringStage, Client]:
    """Return a node whose last fan-out has just answered the publishers of some events, and a subscriber."""
    stage = GatheringStage()
    clients = [stage.connect().join("room") for _ in range(subscribers)]
    stage.publish_and_wait(*events)
    stage.turn()
    assert stage.answered == list(events)
    for client in clients:
        client.writes = []
    return stage, clients[0]


def writes(stage: Stage, client: Client) -> list[list[str]]:
    """Return the names of events in each write to a client since the last call, with the turn finished."""
    stage.turn()
    data, client.writes = client.writes, []
    return [[message["event"] for message in decode_frames(write)] for write in data]


def test_events_of_publishers_who_were_answered_together_are_one_write() -> None:
    stage, client = started(LARGE, "a", "b", "c")

    stage.publish_and_wait("a2")
    assert writes(stage, client) == []
    stage.publish_and_wait("b2")
    assert writes(stage, client) == []
    stage.publish_and_wait("c2")

    assert writes(stage, client) == [["a2", "b2", "c2"]]
    assert stage.answered[3:] == ["a2", "b2", "c2"]


def test_who_does_not_publish_again_is_waited_for_a_millisecond_at_most() -> None:
    stage, client = started(LARGE, "a", "b")

    stage.publish_and_wait("a2")
    stage.wait(0.0009)
    assert writes(stage, client) == []
    stage.wait(0.0002)

    assert writes(stage, client) == [["a2"]]


def test_the_millisecond_begins_with_the_end_of_the_fan_out() -> None:
    stage, client = started(LARGE, "a", "b")

    stage.now += 0.0011
    stage.publish_and_wait("a2")

    assert writes(stage, client) == [["a2"]]


def test_after_a_wait_that_was_in_vain_one_publisher_goes_at_once() -> None:
    stage, client = started(LARGE, "a", "b")
    stage.publish_and_wait("a2")
    stage.wait(0.0011)
    client.writes = []

    stage.publish_and_wait("a3")

    assert writes(stage, client) == [["a3"]]


@pytest.mark.parametrize(
    ("subscribers", "events"),
    [
        pytest.param(LARGE, ["a"], id="one publisher"),
        pytest.param(SMALL, ["a", "b"], id="a small fan-out"),
        pytest.param(LARGE, [], id="no publisher"),
    ],
)
def test_nobody_is_waited_for_after(subscribers: int, events: list[str]) -> None:
    stage, client = started(subscribers, *events)

    stage.publish_and_wait("next")

    assert writes(stage, client) == [["next"]]


def test_a_fan_out_of_several_turns_is_followed_by_one_for_all_who_wait() -> None:
    stage = GatheringStage()
    stage.node.outbox.chunk = 1
    client, *_ = [stage.connect().join("room") for _ in range(20)]
    stage.takes = 1.0  # so that a turn has time for one client
    stage.publish_and_wait("a", "b")
    stage.one_turn()
    stage.publish_and_wait("c")
    stage.takes = 0.0

    assert writes(stage, client) == [["a", "b"]]
    assert stage.answered == ["a", "b"]
    stage.publish_and_wait("a2")
    assert writes(stage, client) == []
    stage.publish_and_wait("b2")

    assert writes(stage, client) == [["c", "a2", "b2"]]


def test_drained_at_once_all_is_sent_though_publishers_are_waited_for() -> None:
    stage, client = started(LARGE, "a", "b")
    stage.publish_and_wait("a2")
    stage.turn()

    stage.node.outbox.flush()

    assert writes(stage, client) == [["a2"]]
    assert stage.answered[2:] == ["a2"]
    stage.wait(0.0011)
    assert writes(stage, client) == []
