"""``subscription_count``: the number of a channel's connections, sent if the app wants it."""

from __future__ import annotations

import pytest

from conformance.protocol.stage import Client, Stage

COUNT = "pusher_internal:subscription_count"


def counts(client: Client) -> list[int]:
    return [data["subscription_count"] for name, data in client.events() if name == COUNT]


def test_off_by_default() -> None:
    stage = Stage()
    client = stage.connect().join("room")
    stage.connect().join("room")

    assert client.read() == []


@pytest.mark.parametrize("channel", ["room", "private-room", "private-encrypted-room", "cache-room"])
def test_every_change_is_told_to_everybody(channel: str) -> None:
    stage = Stage(subscription_count=True)
    first, second = stage.connect(), stage.connect()

    first.ask(channel)
    assert first.read()[-1] == {"event": COUNT, "data": '{"subscription_count":1}', "channel": channel}
    second.ask(channel)
    assert counts(second) == [2]
    assert counts(first) == [2]
    second.vanish()
    assert counts(first) == [1]


def test_the_joiner_hears_it_after_its_answer() -> None:
    client = Stage(subscription_count=True).connect()

    client.ask("room")

    assert [message["event"] for message in client.read()] == ["pusher_internal:subscription_succeeded", COUNT]


def test_not_on_presence_channels() -> None:
    stage = Stage(subscription_count=True)
    client = stage.connect().join("presence-room", user="1")
    stage.connect().join("presence-room", user="1")

    assert client.read() == []


def test_subscribing_again_is_no_change() -> None:
    stage = Stage(subscription_count=True)
    client = stage.connect().join("room")

    client.ask("room")

    assert counts(client) == []


def test_above_a_hundred_it_is_told_every_few_seconds() -> None:
    stage = Stage(subscription_count=True)
    first, *others = [stage.connect() for _ in range(103)]
    for client in [first, *others[:99]]:
        client.ask("room")
    assert counts(first) == list(range(1, 101))

    for client in others[99:]:
        client.ask("room")
    assert counts(first) == []
    stage.node.housekeep()
    assert counts(first) == [103]
    stage.node.housekeep()
    assert counts(first) == []


def test_back_below_a_hundred_it_is_told_at_once() -> None:
    stage = Stage(subscription_count=True)
    clients = [stage.connect() for _ in range(101)]
    for client in clients:
        client.ask("room")
    counts(clients[0])

    clients[100].vanish()

    assert counts(clients[0]) == [100]


def test_a_channel_that_is_gone_is_not_told_of() -> None:
    stage = Stage(subscription_count=True)
    clients = [stage.connect() for _ in range(101)]
    for client in clients:
        client.ask("room")
    for client in clients:
        client.vanish()
    stage.turn()

    stage.node.housekeep()

    assert stage.registry._apps["1"].counts_due == set()
    assert stage.app.channels == {}
