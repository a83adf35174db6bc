"""Work in slices: everything is done, in order, and the loop turns in between. Time and turns are injected."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from msgspec.json import decode, encode

from conformance.backplane.cluster import names
from conformance.protocol.stage import APP, Stage, members_of
from soundpost.backplane import MemoryRegistry, SingleNode, memory_subscriptions
from soundpost.backplane.hub import Hub
from soundpost.backplane.hub_framing import Message
from soundpost.backplane.hub_messages import KnownRequest, Published
from soundpost.backplane.worker_messages import PublishOnce
from soundpost.core import slices
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.core.history import HistoryPage
from soundpost.core.peers import ChannelsQuery, HistoryQuery, IdempotencyKey, OutgoingEvent, UsersQuery
from soundpost.core.slices import TURN, SliceQueue, TurnBudget, in_slices
from soundpost.server.api.events import post_event
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import Request
from soundpost.wire.messages import event as event_frame


class Loop:
    """A loop that turns when it is told to."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for callback in due:
            callback()


def test_as_much_is_done_in_a_turn_as_there_is_time_for() -> None:
    loop, done = Loop(), list[int]()
    ticks = itertools.count(0, TURN * 0.4)

    in_slices(range(7), done.append, loop.call_soon, then=lambda: done.append(-1), clock=lambda: next(ticks))
    seen = [len(done)]
    while loop.soon:
        loop.turn()
        seen.append(len(done))

    assert seen == [3, 6, 8]
    assert done == [0, 1, 2, 3, 4, 5, 6, -1]


def test_nothing_to_do_is_done_at_once() -> None:
    loop, done = Loop(), list[int]()
    in_slices([], done.append, loop.call_soon, then=lambda: done.append(-1))
    assert (done, loop.soon) == ([-1], [])


def test_work_beyond_the_budget_of_a_turn_waits_in_order() -> None:
    loop, done = Loop(), list[int]()
    now = 0.0

    def work(number: int) -> Callable[[], None]:
        def do() -> None:
            nonlocal now
            now += TURN * 0.6
            done.append(number)

        return do

    budget = TurnBudget(loop.call_soon, clock=lambda: now)
    for number in range(5):
        budget.do(work(number))
    assert done == [0, 1]
    loop.turn()
    budget.do(work(5))
    assert done == [0, 1, 2, 3]
    loop.turn()
    assert done == [0, 1, 2, 3, 4, 5]
    loop.turn()
    assert not loop.soon


def test_a_later_turn_has_its_own_budget() -> None:
    loop, done = Loop(), list[int]()
    budget = TurnBudget(loop.call_soon, clock=lambda: 0.0)
    for number in range(3):
        budget.do(lambda number=number: done.append(number))  # type: ignore[misc]
        loop.turn()
    assert done == [0, 1, 2]
    assert not loop.soon


def test_all_that_shares_a_budget_has_its_turn_within_the_time_of_one() -> None:
    loop, done = Loop(), list[str]()
    now = 0.0

    def work(name: str) -> None:
        nonlocal now
        now += TURN * 0.6
        done.append(name)

    budget = TurnBudget(loop.call_soon, clock=lambda: now)
    for letter in "abc":
        budget.each([letter + "1", letter + "2", letter + "3"], work, then=partial(done.append, letter))
    seen = [len(done)]
    while loop.soon:
        loop.turn()
        seen.append(len(done))

    assert done == ["a1", "a2", "a3", "b1", "c1", "a", "b2", "c2", "b3", "c3", "b", "c"]
    assert seen == [2, 4, 7, 9, 12, 12]


def test_lists_of_items_have_their_turn_one_after_the_other() -> None:
    loop, done = Loop(), list[str]()
    ticks = itertools.count(0, TURN * 0.6)
    queue = SliceQueue(loop.call_soon, clock=lambda: next(ticks))
    for letter in "ab":
        queue.add([letter + "1", letter + "2", letter + "3"], done.append, then=partial(done.append, letter))
    queue.add([], done.append, then=partial(done.append, "c"))
    assert done == ["a1", "a2"]

    while loop.soon:
        loop.turn()
    queue.add(["d1"], done.append, then=partial(done.append, "d"))

    assert done == ["a1", "a2", "a3", "a", "b1", "b2", "b3", "b", "c", "d1", "d"]


def test_an_item_that_fails_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    loop, done = Loop(), list[int]()

    def work(number: int) -> None:
        if number == 1:
            raise KeyError("a fault")
        done.append(number)

    queue = SliceQueue(loop.call_soon, clock=lambda: 0.0)
    for _ in range(2):
        queue.add(range(3), work, then=lambda: done.append(-1))

    assert done == [0, 2, -1] * 2
    assert "could not be handled" in caplog.text


@pytest.mark.interpreted
@pytest.mark.parametrize("over", ["single node", "hub"])
def test_the_kept_events_of_a_large_request_are_published_over_several_turns(
    over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "TURN", 0.0)  # each event takes a whole turn
    loop, answers = Loop(), list[str]()
    app = msgspec.structs.replace(APP, history=(HistorySettings(channels=("*",)),))
    registry = MemoryRegistry([app], call_soon=loop.call_soon)
    publish = to_single_node(app, registry) if over == "single node" else to_hub(registry)
    key = IdempotencyKey("key", "digest")
    events = [OutgoingEvent("room", event_frame("e", "room", "{}"), None, False, id=str(number)) for number in range(3)]

    def kept() -> int:
        pages: list[HistoryPage] = []
        registry.answer(HistoryQuery("1", "room", "", 10, 1_000), pages.append)
        return len(pages[0].events)

    publish(key, events, lambda: answers.append(f"first, with {kept()}"))
    seen = [kept()]
    publish(key, events, lambda: answers.append(f"repeated, with {kept()}"))
    while loop.soon:
        loop.turn()
        seen.append(kept())

    assert seen[:3] == [1, 2, 3]
    assert answers == ["first, with 3", "repeated, with 3"]


Publishing = Callable[[IdempotencyKey, list[OutgoingEvent], Callable[[], None]], None]


def to_single_node(app: AppSettings, registry: MemoryRegistry) -> Publishing:
    node = SingleNode(registry)
    Stage(app, peers=node)
    return lambda key, events, then: node.publish_once("1", key, events, [], lambda reception: then())


def to_hub(registry: MemoryRegistry) -> Publishing:
    thens: list[Callable[[], None]] = []

    def heard(message: Message) -> None:
        if isinstance(message, Published | KnownRequest):
            thens[message.number]()

    worker = Hub(registry).add(heard)

    def publish(key: IdempotencyKey, events: list[OutgoingEvent], then: Callable[[], None]) -> None:
        thens.append(then)
        worker.handle(PublishOnce(len(thens) - 1, "1", key, events, []))

    return publish


def one_by_one(loop: Loop) -> MemoryRegistry:
    """Return a registry that does one thing in each turn of the loop."""
    registry = MemoryRegistry([APP], call_soon=loop.call_soon)
    registry.subscriptions.turn_clock = itertools.count().__next__
    return registry


def two_nodes(registry: MemoryRegistry) -> tuple[Stage, Stage]:
    app = msgspec.structs.replace(APP)
    return Stage(app, peers=SingleNode(registry)), Stage(app, peers=SingleNode(registry))


def channels_of(registry: MemoryRegistry) -> dict[str, dict[str, int]]:
    found: list[bytes] = []
    registry.answer(ChannelsQuery("1", "", ["subscription_count"]), found.append)
    decoded: dict[str, dict[str, int]] = msgspec.json.decode(found[0])
    return decoded


def test_a_node_that_died_leaves_its_channels_over_several_turns_whatever_happens_meanwhile() -> None:
    loop = Loop()
    registry = one_by_one(loop)
    dead, other = two_nodes(registry)
    dead.connect().join("a", "b", "c", "d")
    staying = other.connect().join("c")

    registry.remove_node(dead.node)
    assert {*channels_of(registry)} == {"b", "c", "d"}
    newcomer = other.connect().join("b", "a")
    newcomer.say("pusher:unsubscribe", {"channel": "a"})
    other.publish("c", "e")
    while loop.soon:
        loop.turn()

    assert channels_of(registry) == {"c": {"subscription_count": 1}, "b": {"subscription_count": 1}}
    assert [name for name, _ in staying.events()] == ["e"]


def test_channels_that_a_dead_node_did_not_have_are_looked_at_over_several_turns() -> None:
    loop = Loop()
    registry = one_by_one(loop)
    dead, other = two_nodes(registry)
    other.connect().join("a", "b", "c", "d")

    registry.remove_node(dead.node)
    turns = 0
    while loop.soon:
        loop.turn()
        turns += 1

    assert turns >= 3
    assert {*channels_of(registry)} == {"a", "b", "c", "d"}


@pytest.mark.interpreted
def test_the_members_of_a_node_that_died_leave_one_channel_some_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_subscriptions, "_USERS_AT_ONCE", 2)
    loop = Loop()
    registry = one_by_one(loop)
    dead, other = two_nodes(registry)
    for user in (1, 2, 2, 3, 4, 5):
        dead.connect().join("presence-room", user=user)
    witness = other.connect().join("presence-room", user=6)

    def count() -> int:
        return channels_of(registry)["presence-room"]["subscription_count"]

    registry.remove_node(dead.node)
    counts = [count()]
    other.connect().join("presence-room", user=5)
    while loop.soon:
        loop.turn()
        counts.append(count())

    assert counts[:4] == [4, 3, 2, 2]
    assert len(registry._apps["1"].lingering) == 5
    assert witness.events() == []
    assert registry._apps["1"].occupancy.members == 6


def test_members_of_a_node_that_died_who_come_back_between_two_slices_have_never_left() -> None:
    loop = Loop()
    registry = one_by_one(loop)
    dead, other = two_nodes(registry)
    dead.connect().join("presence-a", "presence-b", user="1")
    witness = other.connect().join("presence-b", user="2")

    registry.remove_node(dead.node)
    other.connect().join("presence-b", user="1")
    while loop.soon:
        loop.turn()

    assert witness.events() == []
    users: list[list[bytes]] = []
    registry.answer(UsersQuery("1", "presence-b"), users.append)
    assert users == [[b'"1"', b'"2"']]


def test_very_many_who_come_to_a_large_presence_channel_have_their_lists_in_turn() -> None:
    loop = Loop()
    registry = one_by_one(loop)
    stage = Stage(msgspec.structs.replace(APP, max_presence_members=1_000), peers=SingleNode(registry))
    registry.reconfigure([stage.app.settings])
    for user in range(501):
        stage.connect().join("presence-room", user=user)
    clients = [stage.connect() for _ in range(4)]
    for user, client in enumerate(clients, 501):
        client.ask("presence-room", {"user_id": user})
    clients[3].vanish()
    stage.turn()

    counts = [sum(bool(client.writes) for client in clients)]
    for _ in range(6):
        loop.turn()
        counts.append(sum(bool(client.writes) for client in clients))
    while loop.soon:
        loop.turn()
    stage.wait(1)

    assert counts[:3] == [1, 2, 3]
    for place, client in enumerate(clients[:3]):
        messages = client.read()
        assert members_of(messages)["count"] == 502 + place
        added = [message for message in messages if message["event"] == "pusher_internal:member_added"]
        assert len(added) == 2 - place
    users: list[list[bytes]] = []
    registry.answer(UsersQuery("1", "presence-room"), users.append)
    assert len(users[0]) == 504


@pytest.mark.interpreted
def test_an_event_to_very_many_channels_is_published_over_several_turns_and_answered_after_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "TURN", 0.0)  # each channel takes a whole turn
    stage = Stage(msgspec.structs.replace(APP, max_channels_per_event=200))
    channels = [f"room-{number}" for number in range(101)]
    first, last = stage.open(), stage.open()
    first.ask(channels[0])
    last.ask(channels[-1])
    stage.turn()
    first.read()
    last.read()
    body = encode({"name": "e", "data": "x", "channels": channels, "info": "subscription_count"})

    answer = post_event(Request(b"POST", b"/apps/1/events", "1.1", b"", body, True), stage.app, {})
    assert isinstance(answer, PendingResponse)
    assert answer.response is None
    stage.turn()

    response = answer.response
    assert response is not None
    assert len(decode(response.body)["channels"]) == 101
    assert [names(first), names(last)] == [["e"], ["e"]]
