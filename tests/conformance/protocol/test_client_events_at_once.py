"""Client events to a channel's only other subscriber: written at once, unless something has to come first."""

from __future__ import annotations

import pytest

from conformance.protocol.stage import Client, Stage
from conformance.protocol.test_client_events import ROOM, pair, say_in_one_read
from conformance.protocol.test_long_fan_outs import SlowStage
from conformance.protocol.test_observing import Recorder
from soundpost.backplane import SingleNode
from soundpost.core.gathered_notices import MemberNotice
from soundpost.wire import messages


@pytest.fixture
def stage() -> Stage:
    return Stage()


def names(client: Client) -> list[str]:
    return [message["event"] for message in client.read()]


@pytest.mark.parametrize("channel", [ROOM, "presence-room"])
def test_the_only_other_has_it_before_the_turn_ends_and_it_is_counted(stage: Stage, channel: str) -> None:
    ann, bob = pair(stage, channel)
    bob.read()
    figures, found = stage.app.figures, stage.app.channels[channel]
    before = figures.deliveries, figures.delivered_bytes, figures.client_events

    say_in_one_read(ann, "client-a", channel=channel)

    (frame,) = bob.writes
    assert (figures.deliveries, figures.delivered_bytes, figures.client_events) == (
        before[0] + 1,
        before[1] + len(frame),
        before[2] + 1,
    )
    assert frame.startswith(found.last_event)
    assert b"client-a" in found.last_event
    assert found.last_event_at > 0
    assert names(bob) == ["client-a"]
    assert ann.read() == []
    assert stage.peers.published == []


def test_subscribers_on_another_node_get_it_too() -> None:
    here = Stage()
    there = Stage(peers=SingleNode(here.registry))
    ann, bob = pair(here)
    eve = there.connect().join(ROOM)

    say_in_one_read(ann, "client-a")

    assert names(eve) == ["client-a"]
    assert names(bob)[-1] == "client-a"


def test_observers_see_that_it_is_queued() -> None:
    recorder = Recorder()
    ann, _ = pair(Stage(observers=[recorder]))
    recorder.calls.clear()

    say_in_one_read(ann, "client-a")

    assert [call[0] for call in recorder.calls] == ["message_received", "event_queued", "client_event"]


def test_a_client_that_had_the_senders_socket_id_before_does_not_get_it(stage: Stage) -> None:
    ann, bob = pair(stage)
    bob.read()
    stage.app.former_connections[ann.socket_id] = [bob]

    say_in_one_read(ann, "client-a")

    assert bob.read() == []


def test_who_takes_compressed_frames_gets_it_compressed(stage: Stage) -> None:
    stage.node.compress = lambda frame: b"compressed"
    ann, bob = stage.connect().join(ROOM), stage.connect()
    bob.takes_compressed = True
    bob.join(ROOM)
    stage.turn()
    bob.writes.clear()

    say_in_one_read(ann, "client-a")

    assert bob.writes == [b"compressed"]


def test_gathered_notices_are_not_overtaken(stage: Stage) -> None:
    ann, bob = pair(stage)
    bob.read()
    stage.app.channels[ROOM].gather(MemberNotice("3", True, messages.member_added(ROOM, b'"3"', b"null")))

    say_in_one_read(ann, "client-a")

    assert names(bob) == ["pusher_internal:member_added", "client-a"]


def test_an_event_on_its_way_is_not_overtaken() -> None:
    stage = SlowStage()
    stage.node.outbox.at_once = stage.node.outbox.chunk = 2
    ann, bob = pair(stage)
    for _ in range(4):
        stage.connect().join("others")
    bob.join("others")
    stage.publish("others", "first")
    stage.one_turn()

    say_in_one_read(ann, "client-second")

    assert names(bob) == ["first", "client-second"]


def test_what_one_read_brought_for_an_other_and_for_several_keeps_its_order(stage: Stage) -> None:
    ann, bob = pair(stage)
    eve = stage.connect()
    for client in (ann, bob, eve):
        client.join("private-others")
        client.read()
    outbox = stage.node.outbox
    outbox.is_reading = True
    ann.say("client-1", channel="private-others")
    ann.say("client-2", channel=ROOM)
    outbox.end_reading()

    assert names(bob) == ["client-1", "client-2"]
