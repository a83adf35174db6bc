"""Fan-outs that take several turns of the loop: what happens between two slices changes nobody's order or share."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import partial

import pytest

from conformance.protocol.stage import Client, Stage, decode_frames
from soundpost.core.connection import Connection
from soundpost.core.node import write_each
from soundpost.wire import messages

SUCCEEDED = "pusher_internal:subscription_succeeded"


class SlowStage(Stage):
    """A node that needs a turn of the loop for every two deliveries."""

    def __init__(self) -> None:
        self.takes = 1.0
        """Seconds for two deliveries."""

        def deliver(connections: Iterable[Connection], data: bytes) -> None:
            write_each(connections, data)
            self.now += self.takes

        super().__init__(deliver=deliver)


@pytest.fixture
def stage() -> SlowStage:
    found = SlowStage()
    found.node.outbox.at_once = found.node.outbox.chunk = 2
    return found


def joined(stage: SlowStage, count: int, *channels: str) -> list[Client]:
    return [stage.connect().join(*channels) for _ in range(count)]


def got(client: Client) -> list[str]:
    """Names of what was written to a client so far, without finishing the turn."""
    data, client.writes = b"".join(client.writes), []
    return [message["event"] for message in decode_frames(data)]


def test_two_are_sent_an_event_in_a_turn_and_all_in_the_end(stage: SlowStage) -> None:
    clients = joined(stage, 5, "room")

    stage.publish("room", "a")
    reached = []
    for _ in range(4):
        stage.one_turn()
        reached.append(sum(bool(client.writes) for client in clients))

    assert reached == [2, 4, 5, 5]
    assert [got(client) for client in clients] == [["a"]] * 5


def test_writes_of_callbacks_before_share_the_time_of_their_turn(stage: SlowStage) -> None:
    stage.takes = 0.003  # so that a turn of 4 ms has time for four deliveries
    clients = joined(stage, 11, "room")
    outbox, subscribers = stage.node.outbox, stage.app.channels["room"].subscribers.connections
    stage.publish("room", "before")
    stage.turn()
    for client in clients:
        client.writes = []
    reached = []

    outbox.write("source", subscribers, messages.event("a", "room", "{}"))
    reached.append(sum(bool(client.writes) for client in clients))
    for _ in range(3):
        stage.one_turn()
        reached.append(sum(bool(client.writes) for client in clients))

    assert reached == [4, 6, 10, 11]


def test_what_is_published_meanwhile_follows_in_order_and_in_one_write(stage: SlowStage) -> None:
    clients = joined(stage, 6, "room")

    stage.publish("room", "a")
    stage.one_turn()
    stage.publish("room", "b")
    stage.publish("room", "c")
    stage.turn()

    assert [len(client.writes) for client in clients] == [2] * 6
    assert [got(client) for client in clients] == [["a", "b", "c"]] * 6


def test_channels_of_a_later_turn_do_not_overtake_those_before(stage: SlowStage) -> None:
    clients = joined(stage, 5, "one", "two")

    stage.publish("one", "a")
    stage.publish("two", "b")
    stage.one_turn()
    stage.publish("one", "c")
    stage.publish("two", "d")
    stage.turn()

    for client in clients:
        assert got(client) == ["a", "b", "c", "d"]


def test_the_publisher_is_answered_once_all_slices_are_sent(stage: SlowStage) -> None:
    clients = joined(stage, 5, "room")
    answers: list[int] = []

    stage.publish("room", "a")
    stage.node.outbox.after_flush(lambda: answers.append(sum(bool(client.writes) for client in clients)))
    stage.one_turn()
    stage.node.outbox.after_flush(lambda: answers.append(-1))
    assert answers == []
    stage.turn()

    assert answers == [5, -1]


def test_who_leaves_between_two_slices_gets_nothing_more_and_who_comes_nothing_of_before(stage: SlowStage) -> None:
    clients = joined(stage, 6, "room")

    stage.publish("room", "a")
    stage.one_turn()
    clients[5].say("pusher:unsubscribe", {"channel": "room"})
    late = stage.connect()
    late.ask("room")
    stage.turn()

    assert got(clients[5]) == []
    assert got(late) == [SUCCEEDED]
    assert got(clients[4]) == ["a"]


def test_who_comes_back_between_two_slices_gets_no_event_from_before(stage: SlowStage) -> None:
    clients = joined(stage, 6, "cache-room")

    stage.publish("cache-room", "a")
    stage.one_turn()
    clients[5].say("pusher:unsubscribe", {"channel": "cache-room"})
    clients[5].ask("cache-room")
    stage.publish("cache-room", "b")
    stage.turn()

    assert got(clients[5]) == [SUCCEEDED, "a", "b"]


def test_who_subscribes_again_between_two_slices_gets_the_event_first_and_once(stage: SlowStage) -> None:
    clients = joined(stage, 6, "room")

    stage.publish("room", "a")
    stage.one_turn()
    stage.publish("room", "b")
    clients[5].ask("room")
    stage.turn()

    assert got(clients[5]) == ["a", "b", SUCCEEDED]
    assert got(clients[4]) == ["a", "b"]


def test_a_sender_is_left_out_of_its_event_over_all_slices(stage: SlowStage) -> None:
    clients = joined(stage, 6, "room")

    stage.publish("room", "a", socket_id=clients[3].socket_id)
    stage.turn()

    assert [got(client) for client in clients] == [["a"]] * 3 + [[]] + [["a"]] * 2


def test_a_connection_that_is_lost_between_two_slices_disturbs_nobody(stage: SlowStage) -> None:
    clients = joined(stage, 6, "room")

    stage.publish("room", "a")
    stage.one_turn()
    clients[4].vanish()
    stage.turn()

    assert [got(client) for client in clients] == [["a"]] * 4 + [[]] + [["a"]]
    assert clients[4] not in stage.app.channels["room"].subscribers


def test_long_frames_go_to_fewer_in_a_turn(stage: SlowStage) -> None:
    stage.node.outbox.chunk = 4
    clients = joined(stage, 4, "room")

    stage.publish("room", "a", '"' + "x" * 3_000 + '"')
    stage.one_turn()

    assert sum(bool(client.writes) for client in clients) == 2


def test_more_than_can_be_delivered_is_not_read_on_but_sent_first(stage: SlowStage) -> None:
    stage.node.outbox.most_waiting = 3
    clients = joined(stage, 9, "room")

    stage.publish("room", "a")
    stage.one_turn()
    for number in range(4):
        stage.publish("room", str(number))
    stage.one_turn()

    assert all(client.writes for client in clients)


def test_everything_leaves_at_once_where_it_must(stage: SlowStage) -> None:
    clients = joined(stage, 5, "room", "other")

    stage.publish("room", "a")
    stage.one_turn()
    stage.publish("other", "b")
    stage.node.outbox.flush()

    assert [got(client) for client in clients] == [["a", "b"]] * 5


class FaultError(Exception):
    """Fault that nobody expects."""


def test_the_fault_of_one_channel_silences_no_other_and_leaves_no_publisher_without_answer() -> None:
    faults = [FaultError()]

    def deliver(connections: Iterable[Connection], data: bytes) -> None:
        if b"broken" in data and faults:
            raise faults.pop()
        write_each(connections, data)

    stage = Stage(deliver=deliver)
    client = stage.connect().join("broken", "well")
    answers: list[str] = []
    for channel in ("broken", "well"):
        stage.publish(channel, "a")
        stage.node.outbox.after_flush(partial(answers.append, channel))
    with pytest.raises(FaultError):
        stage.turn()
    stage.turn()
    assert [message["channel"] for message in client.read()] == ["well"]
    assert answers == ["broken", "well"]

    stage.publish("broken", "b")
    stage.publish("well", "b")

    assert [message["channel"] for message in client.read()] == ["broken", "well"]


def test_the_fault_of_an_answer_keeps_no_other_publisher_waiting() -> None:
    def fail() -> None:
        raise FaultError

    stage = Stage()
    client = stage.connect().join("room")
    answers: list[str] = []
    stage.publish("room", "a")
    stage.node.outbox.after_flush(fail)
    stage.node.outbox.after_flush(partial(answers.append, "b"))
    with pytest.raises(FaultError):
        stage.turn()
    stage.turn()

    assert [message["event"] for message in client.read()] == ["a"]
    assert answers == ["b"]


def test_random_slices_give_everybody_exactly_what_was_meant_for_it(stage: SlowStage) -> None:
    """Comings, goings and publishes between slices, against a model that keeps what each client is to get in order."""
    choice = random.Random(18)
    clients = [stage.connect() for _ in range(7)]
    inside: dict[Client, set[str]] = {client: set() for client in clients}
    meant: dict[Client, list[str]] = {client: [] for client in clients}
    seen: dict[Client, list[str]] = {client: [] for client in clients}

    def look() -> None:
        for client in clients:
            seen[client] += [name for name in got(client) if name != SUCCEEDED]

    for number in range(3_000):
        client, room = choice.choice(clients), choice.choice(("one", "two"))
        action = choice.random()
        if action < 0.15 and room not in inside[client]:
            client.ask(room)
            inside[client].add(room)
        elif action < 0.25 and room in inside[client]:
            client.say("pusher:unsubscribe", {"channel": room})
            inside[client].discard(room)
            # what is still on its way to it from this channel is no longer for it
            meant[client] = [name for name in meant[client] if name in seen[client] or not name.startswith(room)]
        elif action < 0.6:
            stage.publish(room, f"{room} {number}")
            for other in clients:
                if room in inside[other]:
                    meant[other].append(f"{room} {number}")
        else:
            stage.one_turn()
        look()
    stage.turn()
    look()
    for client in clients:
        for room in ("one", "two"):
            expected = [name for name in meant[client] if name.startswith(room)]
            assert [name for name in seen[client] if name.startswith(room)] == expected
            assert len(expected) > 100


def test_two_of_those_who_watch_a_user_are_told_in_a_turn_and_nobody_who_watches_no_more(stage: SlowStage) -> None:
    joined(stage, 1, "room")
    stage.publish("room", "a")
    stage.turn()
    watchers = [stage.connect() for _ in range(5)]
    for number, watcher in enumerate(watchers):
        watcher.sign_in({"id": f"watcher-{number}", "watchlist": ["ann"]})
        stage.turn()
        got(watcher)

    stage.node.deliver_user_status("1", "ann", True)
    stage.one_turn()
    told = [got(watcher) for watcher in watchers]
    watchers[4].vanish()
    stage.turn()

    assert [bool(events) for events in told] == [True, True, True, True, False]
    assert [got(watcher) for watcher in watchers] == [[], [], [], [], []]
