"""A tail of one node: what it shows, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from conformance.protocol.stage import Client, Stage
from soundpost.core import tail
from soundpost.core.inspection import StartTail, TailLine, TailLines
from soundpost.core.node_inspection import MAX_TAILS
from soundpost.core.tail_lines import Words, words_of


class Shown:
    """A tail, and the lines that it has sent."""

    def __init__(self, stage: Stage, tail_id: str = "t", **fields: str) -> None:
        self._stage = stage
        self.lines: list[TailLine] = []
        self.left_out = 0
        stage.node.start_tail(StartTail(app_id="1", tail_id=tail_id, **fields), self._take)

    def _take(self, lines: TailLines) -> None:
        self.lines += lines.lines
        self.left_out += lines.left_out

    def read(self) -> list[TailLine]:
        """Return the lines since the last reading."""
        self._stage.turn()
        self._stage.wait(0.3)
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages that tails have decoded."""
    found: list[bytes] = []

    def decode(payload: bytes) -> Words:
        found.append(payload)
        return words_of(payload)

    monkeypatch.setattr(tail, "words_of", decode)
    return found


def test_of_ten_thousand_events_a_tail_decodes_the_hundred_that_it_shows(stage: Stage, decoded: list[bytes]) -> None:
    shown = Shown(stage, channel="room")
    stage.connect().join("room", "other")

    for _ in range(5_000):
        stage.publish("room")
        stage.publish("other")

    assert len(shown.read()) == 100
    assert shown.left_out == 5_001 + 1 - 100  # and the subscription with its answer
    assert len(decoded) == 100


UNSEEN: list[tuple[str, dict[str, str], Callable[[Stage, Client], None]]] = [
    ("another channel", {"channel": "room"}, lambda stage, client: stage.publish("other")),
    ("another user", {"user_id": "ann"}, lambda stage, client: stage.publish("room")),
    ("another socket", {"socket_id": "1.2"}, lambda stage, client: stage.publish("room")),
    ("another user's message", {"user_id": "ann"}, lambda stage, client: client.say("pusher:ping")),
    ("a message about another channel", {"channel": "room"}, lambda stage, client: client.ask("other")),
    ("a ping", {}, lambda stage, client: client.say("pusher:ping")),
]


@pytest.mark.parametrize(("fields", "act"), [case[1:] for case in UNSEEN], ids=[case[0] for case in UNSEEN])
def test_what_a_tail_does_not_show_is_not_decoded(
    stage: Stage, decoded: list[bytes], fields: dict[str, str], act: Callable[[Stage, Client], None]
) -> None:
    client = stage.connect().join("room")
    shown = Shown(stage, **fields)

    act(stage, client)

    assert shown.read() == []
    assert decoded == []


def test_a_socket_is_shown_what_it_sends_and_gets_pings_too(stage: Stage) -> None:
    client, other = stage.connect().join("room"), stage.connect().join("room")
    shown = Shown(stage, socket_id=client.socket_id)

    client.say("pusher:ping")
    other.say("pusher:ping")
    stage.publish("room", "for both")
    stage.publish("room", "for the other", socket_id=client.socket_id)

    assert [(line.what, line.event) for line in shown.read()] == [
        ("received", "pusher:ping"),
        ("sent", "pusher:pong"),
        ("broadcast", "for both"),
    ]


def test_a_client_event_is_not_shown_as_one_for_its_sender(stage: Stage) -> None:
    ann, bob = (stage.connect().join("presence-room", user=user) for user in ("ann", "bob"))
    shown = Shown(stage, user_id="ann")

    for client in (ann, bob):
        client.say("client-hello", {}, channel="presence-room")

    assert [(line.what, line.socket_id) for line in shown.read()] == [("received", ann.socket_id), ("broadcast", "")]


def test_two_tails_run_beside_each_other(stage: Stage) -> None:
    first, second = Shown(stage, "1", channel="room"), Shown(stage, "2", channel="other")
    stage.connect().join("room", "other")
    first.read(), second.read()

    stage.publish("room", "a")
    stage.publish("other", "b")
    stage.node.stop_tail("1")

    assert [line.event for line in second.read()] == ["b"]
    assert len(stage.node.observers) == 1


def test_one_tail_more_than_a_node_may_have_says_so_and_costs_nothing(stage: Stage) -> None:
    for number in range(MAX_TAILS):
        Shown(stage, str(number))

    last = Shown(stage, "last")

    assert "close one of the others" in last.lines[0].detail
    assert len(stage.node.observers) == MAX_TAILS


def test_no_signature_is_shown(stage: Stage) -> None:
    shown = Shown(stage)
    client = stage.connect().join("private-room")
    client.sign_in({"id": "ann"})
    signatures = [client.auth("private-room"), client.sign_in_data({"id": "ann"})["auth"]]

    text = json.dumps([line.data + line.detail for line in shown.read()])

    assert "pusher:subscribe" not in text
    assert not [signature for signature in signatures if signature.partition(":")[2] in text]


def test_a_slow_client_a_gap_and_a_resumption_are_shown(stage: Stage) -> None:
    shown = Shown(stage)
    client = stage.connect().join("room")
    shown.read()
    (observer,) = stage.node.observers
    room = stage.app.channels["room"]

    observer.output_overflowed(client)
    observer.gap_sent(client, room, "age")
    observer.subscription_resumed(client, room, 1)

    found = [(line.what, line.channel, line.detail) for line in shown.read()]
    assert found[1:] == [("gap", "room", "age"), ("resumed", "room", "1 event follows")]
    assert found[0][0] == "refused"
    assert "read too slowly" in found[0][2]
