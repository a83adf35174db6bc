"""Random fan-outs: publishers, joins, leaves and loop turns in any order, against a model of who is to get what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.protocol.stage import Client, Stage, decode_frames
from soundpost.core.connection import Connection
from soundpost.core.node import write_each

ROOMS = ("one", "two")
PUBLISHERS = range(4)
CLIENTS = range(8)
WAIT = 0.001
"""Seconds for which a fan-out waits for publishers at most."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(PUBLISHERS), st.sampled_from(ROOMS), st.none()),
        st.tuples(st.just("publish"), st.sampled_from(PUBLISHERS), st.sampled_from(ROOMS), st.sampled_from(CLIENTS)),
        st.tuples(st.just("change"), st.sampled_from(CLIENTS), st.sampled_from(ROOMS)),
        st.tuples(st.just("ask again"), st.sampled_from(CLIENTS), st.sampled_from(ROOMS)),
        *[st.tuples(st.just("turn"))] * 3,
        st.tuples(st.just("turns")),
        st.tuples(st.just("time"), st.sampled_from((0.0001, 0.0004, 0.002))),
        st.tuples(st.just("flush")),
    ),
    min_size=40,
    max_size=100,
)


class RandomStage(Stage):
    """A node for which a fan-out to three clients is a large one. Each of the publishers waits for its answer."""

    def __init__(self, takes: float, at_once: int, chunk: int) -> None:
        def deliver(connections: Iterable[Connection], data: bytes) -> None:
            write_each(connections, data)
            self.now += takes

        super().__init__(deliver=deliver)
        self.node.outbox.at_once, self.node.outbox.chunk = at_once, chunk
        self.waits: list[float] = []
        self.clients = [self.connect() for _ in CLIENTS]
        self.inside: dict[str, set[Client]] = {room: set() for room in ROOMS}
        self.meant: dict[tuple[Client, str], list[str]] = {(c, room): [] for c in self.clients for room in ROOMS}
        self.seen: dict[tuple[Client, str], list[str]] = {each: [] for each in self.meant}
        self.unanswered: dict[int, str] = {}
        self._numbers = count()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.waits.append(seconds)
        super().call_later(seconds, callback)

    def publish_by(self, publisher: int, room: str, excluded: int | None) -> None:
        if publisher in self.unanswered:  # it waits for its answer
            return
        event = self.unanswered[publisher] = f"{room} {next(self._numbers)}"
        sender = None if excluded is None else self.clients[excluded]
        for client in self.inside[room]:
            if client is not sender:
                self.meant[client, room].append(event)
        self.publish(room, event, socket_id=None if sender is None else sender.socket_id)
        self.node.after_sending(lambda: self._answer(publisher, event))

    def _answer(self, publisher: int, event: str) -> None:
        self.look()
        assert self.unanswered.pop(publisher) == event
        for each, meant in self.meant.items():
            assert (event in self.seen[each]) == (event in meant)

    def change(self, number: int, room: str) -> None:
        client = self.clients[number]
        if client in self.inside[room]:
            self.inside[room].discard(client)
            client.say("pusher:unsubscribe", {"channel": room})
            self.look()
            self.meant[client, room] = self.seen[client, room][:]  # what is on its way is no longer for it
        else:
            self.inside[room].add(client)
            client.ask(room)

    def ask_again(self, number: int, room: str) -> None:
        client = self.clients[number]
        if client in self.inside[room]:
            client.ask(room)
            self.look()
            assert self.seen[client, room] == self.meant[client, room]

    def look(self) -> None:
        for client in self.clients:
            data, client.writes = b"".join(client.writes), []
            for message in decode_frames(data):
                room, _, number = message["event"].partition(" ")
                if number:
                    self.seen[client, room].append(message["event"])


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from((0.0, 1.0)), st.sampled_from((2, 5)), st.sampled_from((1, 2)))
def test_each_event_comes_once_and_in_order_and_each_publisher_is_answered_behind_its_event(
    steps: list[tuple[str, ...]], takes: float, at_once: int, chunk: int
) -> None:
    stage = RandomStage(takes, at_once, chunk)
    act: dict[str, Callable[..., None]] = {
        "publish": stage.publish_by,
        "change": stage.change,
        "ask again": stage.ask_again,
        "turn": stage.one_turn,
        "turns": stage.turn,
        "time": stage.wait,
        "flush": stage.node.outbox.flush,
    }
    for client in CLIENTS:
        stage.change(client, "one")
    for name, *arguments in steps:
        act[name](*arguments)

    stage.turn()
    stage.wait(WAIT)
    stage.look()

    assert stage.seen == stage.meant
    assert not stage.unanswered
    assert all(seconds <= WAIT for seconds in stage.waits)
