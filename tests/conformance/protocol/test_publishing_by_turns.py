"""Publishing: what is queued in one turn of the loop leaves at its end, in one write per subscriber."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest

from conformance.protocol.stage import Client, Stage
from soundpost.backplane import SingleNode
from soundpost.core.app_settings import HistorySettings
from soundpost.core.channel import MAX_WRITE
from soundpost.core.connection import Connection
from soundpost.wire import messages

SUCCEEDED = "pusher_internal:subscription_succeeded"


def names(client: Client) -> list[str]:
    return [message["event"] for message in client.read()]


def test_an_event_reaches_every_subscriber_exactly_as_published() -> None:
    stage = Stage()
    clients = [stage.connect().join("room") for _ in range(3)]

    stage.publish("room", "App\\Events\\Order", '{"a":"ä\\u2028"}')

    for client in clients:
        assert client.read() == [{"event": "App\\Events\\Order", "data": '{"a":"ä\\u2028"}', "channel": "room"}]


@pytest.mark.parametrize("data", ["", "hello", "5", "{", '"', "\u0000", "😀", "x" * 70_000])
def test_data_need_not_be_json(data: str) -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room", "e", data)

    assert client.read() == [{"event": "e", "data": data, "channel": "room"}]


@pytest.mark.parametrize("name", ["pusher:ping", "pusher_internal:member_added", "client-a"])
def test_an_application_may_use_any_event_name(name: str) -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room", name)

    assert names(client) == [name]


def test_nothing_is_written_before_the_turn_ends() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room")

    assert client.writes == []
    stage.turn()
    assert len(client.writes) == 1


def test_events_of_one_turn_are_one_write_in_order() -> None:
    stage = Stage()
    clients = [stage.connect().join("room") for _ in range(3)]

    for number in range(50):
        stage.publish("room", str(number))
    stage.turn()

    assert [len(client.writes) for client in clients] == [1, 1, 1]
    for client in clients:
        assert names(client) == [str(number) for number in range(50)]


def test_subscribers_share_the_same_bytes() -> None:
    seen: list[int] = []

    def deliver(connections: Iterable[Connection], data: bytes) -> None:
        seen.append(id(data))
        for connection in connections:
            connection.write(data)

    stage = Stage(deliver=deliver)
    clients = [stage.connect().join("room") for _ in range(10)]
    stage.publish("room", "a")
    stage.publish("room", "b")

    assert [names(client) for client in clients] == [["a", "b"]] * 10
    assert len(seen) == 1


def test_a_large_burst_is_cut_into_writes_at_the_edges_of_frames() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    for number in range(30):
        stage.publish("room", str(number), "x" * 9_000)
    stage.turn()

    assert len(client.writes) > 1
    assert max(len(data) for data in client.writes) <= MAX_WRITE
    assert names(client) == [str(number) for number in range(30)]


def test_a_frame_larger_than_a_write_goes_alone() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room", "small")
    stage.publish("room", "large", "x" * MAX_WRITE)
    stage.publish("room", "small again")

    assert names(client) == ["small", "large", "small again"]


def test_the_next_turn_is_a_new_write() -> None:
    stage = Stage()
    client = stage.connect().join("room")
    for name in "abc":
        stage.publish("room", name)
        stage.turn()

    assert len(client.writes) == 3
    assert names(client) == ["a", "b", "c"]


def test_each_channel_has_its_order() -> None:
    stage = Stage()
    client = stage.connect().join("a", "b")

    for number in range(10):
        stage.publish("ab"[number % 2], str(number))

    messages = client.read()
    for channel, expected in (("a", "02468"), ("b", "13579")):
        assert "".join(m["event"] for m in messages if m["channel"] == channel) == expected


def test_an_event_for_a_channel_nobody_is_on_is_no_work() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("other")

    assert client.read() == []
    assert list(stage.app.channels) == ["room"]


# socket_id: everybody but one


def test_the_excepted_socket_gets_nothing_and_all_others_do() -> None:
    stage = Stage()
    clients = [stage.connect().join("room") for _ in range(3)]

    stage.publish("room", "e", socket_id=clients[1].socket_id)

    assert [names(client) for client in clients] == [["e"], [], ["e"]]


@pytest.mark.parametrize("socket_id", ["invalid-socket-id", "1.1", "", "0"])
def test_an_unknown_socket_id_is_harmless(socket_id: str) -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room", "e", socket_id=socket_id)

    assert names(client) == ["e"]


def test_the_excepted_socket_may_be_no_subscriber() -> None:
    stage = Stage()
    client, other = stage.connect().join("room"), stage.connect()

    stage.publish("room", "e", socket_id=other.socket_id)

    assert names(client) == ["e"]
    assert other.read() == []


def test_in_one_turn_everybody_gets_what_the_others_sent() -> None:
    stage = Stage()
    clients = [stage.connect().join("room") for _ in range(4)]

    for number, client in enumerate(clients):
        stage.publish("room", str(number), socket_id=client.socket_id)
    stage.publish("room", "all")

    assert ["".join(names(client)) for client in clients] == ["123all", "023all", "013all", "012all"]


def test_the_exception_holds_for_one_event_only() -> None:
    stage = Stage()
    client = stage.connect().join("room")
    stage.publish("room", "1", socket_id=client.socket_id)
    stage.turn()
    stage.publish("room", "2")

    assert names(client) == ["2"]


def test_the_only_subscriber_may_be_the_excepted_one() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room", "1", socket_id=client.socket_id)

    assert client.read() == []


def test_the_excepted_socket_costs_one_write_of_its_own_not_a_check_per_subscriber() -> None:
    calls: list[int] = []

    def deliver(connections: Iterable[Connection], data: bytes) -> None:
        recipients = list(connections)
        calls.append(len(recipients))
        for connection in recipients:
            connection.write(data)

    stage = Stage(deliver=deliver)
    clients = [stage.connect().join("room") for _ in range(100)]
    stage.publish("room", "1", socket_id=clients[0].socket_id)
    stage.turn()
    assert calls == [99]

    calls.clear()
    stage.publish("room", "2", socket_id=clients[0].socket_id)
    stage.publish("room", "3")
    stage.turn()
    assert calls == [99, 1]
    assert names(clients[0]) == ["3"]


# Comings and goings within a turn


def test_who_subscribes_in_the_middle_of_a_turn_gets_what_comes_after() -> None:
    stage = Stage()
    early, late = stage.connect().join("room"), stage.connect()

    stage.publish("room", "before")
    late.ask("room")
    stage.publish("room", "after")

    assert names(late) == [SUCCEEDED, "after"]
    assert names(early) == ["before", "after"]


def test_who_leaves_in_the_middle_of_a_turn_gets_nothing_more() -> None:
    stage = Stage()
    client, other = stage.connect().join("room"), stage.connect().join("room")

    client.say("pusher:unsubscribe", {"channel": "room"})
    stage.publish("room", "after")

    assert client.read() == []
    assert names(other) == ["after"]


def test_leaving_and_coming_back_in_one_turn() -> None:
    stage = Stage()
    client, other = stage.connect().join("room"), stage.connect().join("room")

    stage.publish("room", "1")
    client.say("pusher:unsubscribe", {"channel": "room"})
    stage.publish("room", "2")
    client.ask("room")
    stage.publish("room", "3")

    assert names(client)[-2:] == [SUCCEEDED, "3"]
    assert names(other) == ["1", "2", "3"]


def test_the_last_subscriber_leaving_and_coming_back_in_one_turn() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room", "1")
    client.say("pusher:unsubscribe", {"channel": "room"})
    stage.publish("room", "2")
    client.ask("room")
    stage.publish("room", "3")

    assert names(client) == [SUCCEEDED, "3"]


def test_subscribing_again_in_a_turn_loses_and_doubles_nothing() -> None:
    stage = Stage()
    client = stage.connect().join("room")

    stage.publish("room", "1")
    client.ask("room")
    stage.publish("room", "2")

    assert sorted(names(client)) == ["1", "2", SUCCEEDED]


def test_a_late_subscriber_can_be_excepted_as_well() -> None:
    stage = Stage()
    early, late = stage.connect().join("room"), stage.connect()

    stage.publish("room", "1")
    late.ask("room")
    stage.publish("room", "2", socket_id=late.socket_id)
    stage.publish("room", "3")

    assert names(late) == [SUCCEEDED, "3"]
    assert names(early) == ["1", "2", "3"]


def test_who_is_excepted_before_it_subscribes_gets_what_comes_after() -> None:
    stage = Stage()
    early, late = stage.connect().join("room"), stage.connect()

    stage.publish("room", "1", socket_id=late.socket_id)
    late.ask("room")
    stage.publish("room", "2")

    assert names(late) == [SUCCEEDED, "2"]
    assert names(early) == ["1", "2"]


def test_a_connection_lost_in_the_turn_harms_nobody() -> None:
    stage = Stage()
    clients = [stage.connect().join("room") for _ in range(3)]

    stage.publish("room", "1", socket_id=clients[0].socket_id)
    clients[0].vanish()
    clients[1].vanish()
    stage.publish("room", "2")

    assert names(clients[2]) == ["1", "2"]
    assert list(stage.app.channels["room"].subscribers) == [clients[2]]


def test_a_connection_that_closes_while_it_is_written_to_stays_until_the_flush_is_over() -> None:
    stage = Stage()
    clients = [stage.connect().join("room") for _ in range(5)]

    class Overflowing(Client):
        __slots__ = ()

        def write(self, data: bytes) -> None:
            super().write(data)
            self.close(4100, "too slow")

    slow = Overflowing(stage, stage.app)
    slow.app.connections[slow.socket_id] = slow
    stage.app.channels["room"].add(slow, None)
    slow.channels.append(stage.app.channels["room"])

    stage.publish("room", "1")
    stage.publish("room", "2", socket_id=clients[0].socket_id)

    assert [names(client) for client in clients] == [["1"], *[["1", "2"]] * 4]
    assert slow not in stage.app.channels["room"].subscribers


def test_the_publisher_is_answered_when_its_event_was_sent() -> None:
    stage = Stage()
    client = stage.connect().join("room")
    order: list[str] = []

    stage.node.outbox.after_flush(lambda: order.append("nothing to send"))
    stage.publish("room")
    stage.node.outbox.after_flush(lambda: order.append(f"sent {len(client.writes)}"))
    order.append("turn")
    stage.turn()

    assert order == ["nothing to send", "turn", "sent 1"]


def test_a_random_turn_gives_everybody_exactly_what_was_meant_for_it() -> None:
    """A thousand turns of comings, goings and exceptions, against a model that keeps an inbox per client."""
    choice = random.Random(11)
    stage = Stage()
    clients = [stage.connect() for _ in range(6)]
    inside: dict[Client, bool] = dict.fromkeys(clients, False)
    number = 0
    for _ in range(1000):
        expected: dict[Client, list[str]] = {client: [] for client in clients}
        for _ in range(choice.randrange(1, 12)):
            client = choice.choice(clients)
            action = choice.random()
            if action < 0.2 and not inside[client]:
                client.ask("room")
                inside[client] = True
            elif action < 0.35 and inside[client]:
                client.say("pusher:unsubscribe", {"channel": "room"})
                inside[client] = False
                expected[client].clear()  # what still waited for it is no longer for it
            else:
                number += 1
                excepted = client if action > 0.6 else None
                stage.publish("room", str(number), socket_id=excepted.socket_id if excepted else None)
                for other in clients:
                    if inside[other] and other is not excepted:
                        expected[other].append(str(number))
        for client in clients:
            assert [name for name in names(client) if name != SUCCEEDED] == expected[client]


# Beyond this node


def test_other_nodes_get_the_ready_frame() -> None:
    stage = Stage()
    Stage(peers=SingleNode(stage.registry))
    client = stage.connect()

    stage.publish("room", "e", json.dumps({"a": 1}), socket_id=client.socket_id)

    assert stage.peers.published == [("room", {"event": "e", "data": '{"a": 1}', "channel": "room"}, client.socket_id)]


@pytest.mark.parametrize(
    ("channel", "options"), [("cache-room", {}), ("room", {"history": (HistorySettings(channels=("other",)),)})]
)
def test_a_node_that_is_alone_publishes_what_may_be_kept(channel: str, options: dict[str, Any]) -> None:
    stage = Stage(**options)

    stage.publish(channel)

    assert [name for name, _, _ in stage.peers.published] == [channel]


def test_a_node_that_is_alone_delivers_all_else_itself() -> None:
    stage = Stage()
    ann, bob = stage.connect().join("room"), stage.connect().join("room")
    ann.read()
    bob.read()

    stage.publish("room", "e", socket_id=ann.socket_id)

    assert (names(ann), names(bob)) == ([], ["e"])
    assert stage.peers.published == []


# The last event


@pytest.mark.parametrize("size", [0, 200, 70_000], ids=["2-byte", "4-byte", "10-byte"])
def test_an_event_of_the_server_is_not_the_last_event_of_a_channel(size: int) -> None:
    stage = Stage(max_event_data_size=100_000)
    stage.connect().join("room")
    channel = stage.app.channels["room"]

    stage.publish("room", "e", "x" * size)
    stage.turn()
    channel.queue(messages.member_added("room", b'"7"', b"1" * (size + 1)))
    stage.turn()

    assert b'{"event":"e"' in channel.last_event
