"""Member notices of presence channels with more than 500 members: gathered for 50 ms, and sent with one write."""

from __future__ import annotations

import pytest

from conformance.protocol.stage import Client, Stage, members_of
from soundpost.core.member import Member

ROOM = "presence-room"
ADDED, REMOVED = "pusher_internal:member_added", "pusher_internal:member_removed"
SUCCEEDED = "pusher_internal:subscription_succeeded"


def crowded(members: int) -> Stage:
    """Return a node that has a channel with so many members, none of whom has a connection here."""
    stage = Stage(max_presence_members=10_000)
    for number in range(members):
        stage.registry.join(stage.node, "1", ROOM, Member(number, b"null"), lambda snapshot: None)
    return stage


@pytest.fixture
def stage() -> Stage:
    """A node with 600 members on a channel."""
    return crowded(600)


def joined(stage: Stage, user: str) -> Client:
    """Return a connection that has joined, and has read the answer."""
    return stage.connect().join(ROOM, user=user)


def notices(client: Client) -> list[str]:
    """Return the names of a client's messages, each with the user that it is about."""
    return [f"{name.rpartition('_')[2]} {data['user_id']}" for name, data in client.events()]


def writes(client: Client) -> int:
    """Return how many writes a client got since it last read."""
    client.stage.turn()
    return len(client.writes)


@pytest.mark.parametrize(("members", "at_once"), [(499, True), (500, False)])
def test_notices_are_gathered_above_500_members(members: int, at_once: bool) -> None:
    stage = crowded(members - 1)
    watcher = joined(stage, "watcher")
    stage.wait(1)
    watcher.read()

    joined(stage, "ann")

    assert notices(watcher) == (["added ann"] if at_once else [])
    stage.wait(0.05)
    assert notices(watcher) == ([] if at_once else ["added ann"])


def test_one_write_for_all_who_join_within_50_ms(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    stage.wait(0.05)
    watcher.read()

    for number in range(20):
        joined(stage, f"user {number}")
        stage.wait(0.002)
    assert writes(watcher) == 0
    stage.wait(0.02)

    assert writes(watcher) == 1
    assert notices(watcher) == [f"added user {number}" for number in range(20)]


def test_a_notice_waits_no_longer_than_50_ms(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    stage.wait(0.05)
    joined(stage, "ann")
    stage.wait(0.04)
    joined(stage, "bob")
    stage.wait(0.0101)

    assert notices(watcher) == ["added ann", "added bob"]


def test_a_newcomer_is_not_told_of_those_in_its_list(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    joined(stage, "ann")
    bob = stage.connect()
    bob.ask(ROOM, {"user_id": "bob"})
    assert {"watcher", "ann", "bob"} <= set(members_of(bob.read())["ids"])
    joined(stage, "carl")

    stage.wait(0.05)

    assert notices(bob) == ["added carl"]
    assert notices(watcher) == ["added ann", "added bob", "added carl"]


def test_who_came_and_went_is_told_only_to_those_whose_list_has_it(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    ann = joined(stage, "ann")
    bob = joined(stage, "bob")
    ann.say("pusher:unsubscribe", {"channel": ROOM})

    stage.wait(0.05)

    assert notices(watcher) == ["added bob"]
    assert notices(bob) == ["removed ann"]


def test_who_went_and_came_again_is_told_in_this_order_with_the_new_info(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    ann = joined(stage, "ann")
    stage.wait(0.05)
    watcher.read()

    ann.vanish()
    stage.turn()
    stage.connect().join(ROOM, user="ann", info="new")
    stage.wait(0.05)

    assert watcher.events() == [
        (REMOVED, {"user_id": "ann"}),
        (ADDED, {"user_id": "ann", "user_info": "new"}),
    ]


def test_an_event_takes_the_notices_along_in_front_of_it(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    stage.wait(0.05)
    watcher.read()
    ann, bob = joined(stage, "ann"), joined(stage, "bob")

    stage.publish(ROOM, "from ann", socket_id=ann.socket_id)

    assert writes(watcher) == 1
    assert [name for name, _ in watcher.events()] == [ADDED, ADDED, "from ann"]
    assert [name for name, _ in ann.events()] == [ADDED]
    assert [name for name, _ in bob.events()] == ["from ann"]
    stage.wait(0.05)
    assert watcher.read() == ann.read() == bob.read() == []


def test_an_event_in_the_turn_of_a_join_is_for_the_newcomer_too(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    joined(stage, "ann")
    bob = stage.connect()
    bob.ask(ROOM, {"user_id": "bob"})
    stage.publish(ROOM, "e")

    assert [name for name, _ in bob.events()] == [SUCCEEDED, "e"]
    assert [name for name, _ in watcher.events()] == [ADDED, ADDED, "e"]


def test_who_subscribes_again_is_not_told_of_those_in_its_new_list(stage: Stage) -> None:
    watcher = joined(stage, "watcher")
    ann = joined(stage, "ann")
    joined(stage, "bob")

    ann.ask(ROOM, {"user_id": "ann"})

    assert [name for name, _ in ann.events()] == [ADDED, SUCCEEDED]
    stage.wait(0.05)
    assert ann.read() == []
    assert notices(watcher) == ["added ann", "added bob"]


def test_who_leaves_and_joins_again_meanwhile_has_its_list_and_nothing_older(stage: Stage) -> None:
    ann = joined(stage, "ann")
    stage.wait(0.05)
    joined(stage, "bob")
    ann.say("pusher:unsubscribe", {"channel": ROOM})
    ann.join(ROOM, user="ann")
    joined(stage, "carl")

    stage.wait(0.05)

    assert notices(ann) == ["added carl"]


def test_who_has_left_is_told_nothing(stage: Stage) -> None:
    ann = joined(stage, "ann")
    joined(stage, "bob")
    ann.say("pusher:unsubscribe", {"channel": ROOM})

    stage.wait(0.05)

    assert ann.read() == []
