"""The grace of members on one node, to the moment, and its way into the next process of a restart."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

import msgspec
import pytest

from conformance.protocol.stage import APP, Client, Stage, members_of
from soundpost.backplane import MemoryRegistry
from soundpost.core.peers import UsersQuery
from soundpost.core.presence_grace import RECONNECT_GRACE
from soundpost.wire import codes

ROOM = "presence-room"


def joined(stage: Stage, user: str, info: object = None) -> Client:
    """Return a connection that has joined, and has read the answer."""
    return stage.connect().join(ROOM, user=user, info=info)


def send_away(client: Client) -> None:
    """Have the server close a connection."""
    client.end(codes.GENERIC_RECONNECT, "Come back")
    client.stage.turn()


def users(registry: MemoryRegistry) -> list[bytes]:
    """Return the ids of the members of the room."""
    found: list[list[bytes]] = []
    registry.answer(UsersQuery("1", ROOM), found.append)
    return found[0]


def test_a_member_that_is_sent_away_stays_for_ten_seconds() -> None:
    stage = Stage()
    watcher = joined(stage, "watcher")
    send_away(joined(stage, "ann"))
    watcher.read()

    stage.wait(9.9)
    assert watcher.read() == []
    stage.wait(0.2)
    assert [name for name, _ in watcher.events()] == ["pusher_internal:member_removed"]


def test_presence_grace_is_kept_to_the_moment_too() -> None:
    stage = Stage(presence_grace=3)
    watcher = joined(stage, "watcher")
    joined(stage, "ann").vanish()
    watcher.read()

    stage.wait(2.9)
    assert watcher.read() == []
    stage.wait(0.2)
    assert [name for name, _ in watcher.events()] == ["pusher_internal:member_removed"]


def test_a_presence_grace_beyond_ten_seconds_is_for_those_that_are_sent_away_too() -> None:
    stage = Stage(presence_grace=30)
    watcher = joined(stage, "watcher")
    send_away(joined(stage, "ann"))
    watcher.read()

    stage.wait(29)
    assert watcher.read() == []
    stage.wait(2)
    assert len(watcher.read()) == 1


def test_each_lingering_member_leaves_at_its_own_time_whatever_the_order() -> None:
    stage = Stage(presence_grace=1)
    watcher = joined(stage, "watcher")
    first, second, third = (joined(stage, user) for user in ("ann", "bob", "carl"))
    send_away(first)  # until 10
    stage.wait(3)
    second.vanish()  # until 4
    stage.turn()
    send_away(third)  # until 13
    watcher.read()

    left = []
    for _ in range(14):
        stage.wait(1)
        left.append([data["user_id"] for _, data in watcher.events()])

    assert left == [["bob"], [], [], [], [], [], ["ann"], [], [], ["carl"], [], [], [], []]


def test_who_comes_back_and_is_sent_away_again_has_the_whole_grace_again() -> None:
    stage = Stage()
    watcher = joined(stage, "watcher")
    send_away(joined(stage, "ann"))
    stage.wait(9)
    send_away(joined(stage, "ann"))
    watcher.read()

    stage.wait(9)
    assert watcher.read() == []
    stage.wait(1.1)
    assert len(watcher.read()) == 1


def test_very_many_lingering_members_leave_a_part_in_each_turn() -> None:
    """2,000 notices made at once would stop the loop for some 20 ms."""
    stage = Stage(max_presence_members=10_000)
    soon: list[object] = []
    registry = stage.registry
    for number in range(2_000):
        send_away(joined(stage, f"user {number}"))
    registry.graces._call_soon = soon.append

    stage.wait(10.1)

    assert len(users(registry)) == 1_800
    assert soon == [registry.graces.end_due]


def test_a_user_who_lingers_on_very_many_channels_leaves_a_part_of_them_in_each_turn_if_terminated() -> None:
    stage = Stage()
    rooms = [f"presence-{number}" for number in range(4)]
    client = stage.connect()
    for room in rooms:
        client.ask(room, {"user_id": "ann"})
    send_away(client)
    registry, soon = stage.registry, list[Callable[[], None]]()
    registry.graces.turn_clock, registry.graces._call_soon = itertools.count().__next__, soon.append
    entry = registry._apps["1"]

    registry.graces.end_of_user("1", "ann")
    assert len(entry.lingering) == 3
    back = stage.connect()
    back.ask(next(iter(entry.lingering.channels)), {"user_id": "ann"})
    while soon:
        soon.pop(0)()

    assert (len(entry.lingering), entry.occupancy.members) == (0, 1)


def test_nothing_is_kept_of_connections_that_are_gone() -> None:
    stage = Stage()
    for user in ("ann", "bob"):
        send_away(joined(stage, user))
    client = stage.connect()
    send_away(client)
    client.end(codes.GENERIC_RECONNECT, "Once more")
    stage.turn()

    assert stage.app.graces == {}


def test_lingering_members_are_handed_over_with_the_rest_of_their_grace() -> None:
    stage = Stage()
    watcher = joined(stage, "watcher", {"w": 1})
    send_away(joined(stage, "7", {"name": "seven"}))
    stage.wait(4)
    began = stage.now
    send_away(watcher)
    stage.wait(3)  # what the end of the process takes

    after = Stage()
    after.now = 5_000.0
    after.registry.graces.take_over(stage.registry.graces.as_bytes(since=began))

    bob = after.connect()
    bob.ask(ROOM, {"user_id": "bob"})
    assert members_of(bob.read())["hash"] == {"7": {"name": "seven"}, "watcher": {"w": 1}, "bob": None}
    joined(after, "watcher", {"w": 1})
    assert bob.read() == []
    after.wait(5.9)
    assert bob.read() == []
    after.wait(0.2)
    assert [data for _, data in bob.events()] == [{"user_id": "7"}]
    after.wait(60)
    assert bob.read() == []
    assert RECONNECT_GRACE == 10


def test_an_id_is_handed_over_as_the_application_wrote_it() -> None:
    stage = Stage()
    client = stage.connect().join(ROOM, user=7)
    send_away(client)

    after = Stage()
    after.registry.graces.take_over(stage.registry.graces.as_bytes(since=stage.now))

    assert users(after.registry) == [b"7"]


@pytest.mark.parametrize("change", [{"enabled": False}, {"id": "2"}])
def test_lingering_members_of_apps_that_are_not_served_any_more_are_not_taken_over(change: dict[str, object]) -> None:
    stage = Stage()
    send_away(joined(stage, "ann"))
    data = stage.registry.graces.as_bytes(since=stage.now)

    after = MemoryRegistry([msgspec.structs.replace(APP, **change)])
    after.graces.take_over(data)

    assert not any(len(entry.lingering) for entry in after._apps.values())


def test_members_that_cannot_be_read_are_not_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    with caplog.at_level(logging.WARNING):
        stage.registry.graces.take_over(b"\x00not a list")

    assert users(stage.registry) == []
    assert "they leave at once" in caplog.text


def test_the_lingering_members_of_an_app_that_is_disabled_leave_at_once() -> None:
    stage = Stage()
    send_away(joined(stage, "ann"))

    stage.registry.reconfigure([msgspec.structs.replace(APP, enabled=False)])

    assert users(stage.registry) == []
