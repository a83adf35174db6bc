"""Watchlists: who of a signed-in client's list is online, and who comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from conformance.protocol.stage import APP, Client, Message, RecordingPeers, Stage, decode_frames
from soundpost.backplane import MemoryRegistry
from soundpost.core.connection import Connection
from soundpost.core.observer import Observer
from soundpost.wire import codes

EVENTS = "pusher_internal:watchlist_events"


def signed_in(stage: Stage, user: str, *watchlist: str) -> Client:
    """Return a client that has read what follows from its sign-in."""
    client = stage.connect()
    client.sign_in({"id": user, "watchlist": list(watchlist)})
    return client


def told(client: Client) -> list[tuple[str, list[str]]]:
    """Return what a client was told of its watchlist since the last reading."""
    frames = [data["events"] for name, data in client.events() if name == EVENTS]
    return [(event["name"], event["user_ids"]) for events in frames for event in events]


def test_the_state_follows_the_sign_in_in_one_message() -> None:
    stage = Stage()
    signed_in(stage, "ann")
    signed_in(stage, "bob")
    client = signed_in(stage, "me", "carl", "ann", "dora", "bob")

    success, state = client.read()

    assert success["event"] == "pusher:signin_success"
    events: list[Message] = [
        {"name": "online", "user_ids": ["ann", "bob"]},
        {"name": "offline", "user_ids": ["carl", "dora"]},
    ]
    assert state == {"event": EVENTS, "data": {"events": events}}


@pytest.mark.parametrize(
    ("watchlist", "expected"),
    [(["ann"], [("online", ["ann"])]), (["bob"], [("offline", ["bob"])]), (["me"], [("online", ["me"])])],
)
def test_a_state_that_nobody_has_is_left_out(watchlist: list[str], expected: list[tuple[str, list[str]]]) -> None:
    stage = Stage()
    signed_in(stage, "ann")
    assert told(signed_in(stage, "me", *watchlist)) == expected


@pytest.mark.parametrize("user", [{"id": "me"}, {"id": "me", "watchlist": []}, {"id": "me", "watchlist": None}])
def test_without_a_watchlist_nothing_is_sent_and_nothing_kept(user: dict[str, Any]) -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in(user)
    assert [name for name, _ in client.events()] == ["pusher:signin_success"]
    assert (stage.app.watchlists, stage.app.watched) == ({}, {})


def test_the_first_connection_of_a_user_and_the_last_one_are_told() -> None:
    stage = Stage()
    client = signed_in(stage, "me", "ann")
    told(client)

    first, second = signed_in(stage, "ann"), signed_in(stage, "ann")
    assert told(client) == [("online", ["ann"])]
    first.vanish()
    assert told(client) == []
    second.vanish()
    assert told(client) == [("offline", ["ann"])]


def test_a_message_of_a_change_has_the_form_of_pusher_js() -> None:
    stage = Stage()
    client = signed_in(stage, "me", "ann")
    client.read()
    signed_in(stage, "ann")
    data = {"events": [{"name": "online", "user_ids": ["ann"]}]}
    assert client.read() == [{"event": EVENTS, "data": data}]


def test_only_those_who_watch_a_user_are_told() -> None:
    stage = Stage()
    watchers = [signed_in(stage, name, "ann", "bob") for name in ("one", "two")]
    other = signed_in(stage, "three", "bob")
    for client in (*watchers, other):
        told(client)
    signed_in(stage, "ann")
    assert [told(client) for client in watchers] == [[("online", ["ann"])]] * 2
    assert told(other) == []


def test_a_user_who_is_back_within_the_grace_has_never_been_away() -> None:
    stage = Stage(presence_grace=5)
    client = signed_in(stage, "me", "ann")
    tab = signed_in(stage, "ann")
    told(client)
    tab.vanish()
    stage.turn()
    stage.wait(4.9)
    tab = signed_in(stage, "ann")
    stage.wait(60)
    assert told(client) == []
    tab.vanish()
    stage.turn()
    stage.wait(4.9)
    assert told(client) == []
    stage.wait(0.2)
    assert told(client) == [("offline", ["ann"])]


def test_a_user_whom_the_server_sends_away_has_ten_seconds() -> None:
    stage = Stage()
    client = signed_in(stage, "me", "ann")
    tabs = [signed_in(stage, "ann"), signed_in(stage, "ann")]
    told(client)
    tabs[0].end(codes.GENERIC_RECONNECT, "")
    stage.turn()
    tabs[1].vanish()  # an instant later, and without a grace of its own
    stage.turn()
    stage.wait(9.9)
    assert told(client) == []
    stage.wait(0.2)
    assert told(client) == [("offline", ["ann"])]


def test_a_user_who_is_put_out_is_offline_at_once() -> None:
    stage = Stage(presence_grace=5)
    client = signed_in(stage, "me", "ann")
    signed_in(stage, "ann").vanish()
    stage.turn()
    told(client)
    stage.registry.terminate(stage.node, "1", "ann")
    assert told(client) == [("offline", ["ann"])]


def test_a_watcher_that_leaves_is_forgotten() -> None:
    stage = Stage()
    client, other = signed_in(stage, "me", "ann", "bob"), signed_in(stage, "you", "bob")
    client.vanish()
    stage.turn()
    assert list(stage.app.watched) == ["bob"]
    other.vanish()
    stage.turn()
    assert (stage.app.watchlists, stage.app.watched) == ({}, {})
    assert stage.registry.users._watchers == {}


class LateAnswers(RecordingPeers):
    """A backplane that answers when the test says so."""

    def __init__(self, registry: MemoryRegistry) -> None:
        super().__init__(registry)
        self.answers: list[Callable[[], None]] = []

    def watch(self, app_id: str, user_ids: list[str], then: Callable[[list[str]], None]) -> None:
        self.answers.append(partial(super().watch, app_id, user_ids, then))

    def answer(self) -> None:
        answers, self.answers = self.answers, []
        for answer in answers:
            answer()


def test_what_comes_before_the_answer_is_of_an_earlier_question() -> None:
    peers = LateAnswers(MemoryRegistry([APP]))
    stage = Stage(peers=peers)
    signed_in(stage, "ann")
    clients = [signed_in(stage, "me", "ann")]
    stage.node.deliver_user_status("1", "ann", False)
    clients.append(signed_in(stage, "you", "ann"))
    assert [told(client) for client in clients] == [[], []]
    peers.answer()
    assert [told(client) for client in clients] == [[("online", ["ann"])]] * 2


def test_a_change_before_the_answer_is_part_of_the_first_message() -> None:
    peers = LateAnswers(MemoryRegistry([APP]))
    stage = Stage(peers=peers)
    first = signed_in(stage, "me", "ann")
    peers.answer()
    second = signed_in(stage, "you", "ann", "bob")
    signed_in(stage, "ann")
    assert told(first) == [("offline", ["ann"]), ("online", ["ann"])]
    assert told(second) == []
    peers.answer()
    assert told(second) == [("online", ["ann"]), ("offline", ["bob"])]


def test_an_answer_for_a_client_that_has_gone_is_dropped() -> None:
    peers = LateAnswers(MemoryRegistry([APP]))
    stage = Stage(peers=peers)
    gone = signed_in(stage, "me", "ann")
    gone.vanish()
    stage.turn()
    peers.answer()
    assert stage.app.watched == {}
    assert told(gone) == []


def test_a_second_sign_in_brings_another_watchlist() -> None:
    stage = Stage()
    client = signed_in(stage, "me", "ann", "bob")
    client.read()
    client.sign_in({"id": "me", "watchlist": ["bob", "carl"]})
    assert told(client) == [("offline", ["bob", "carl"])]
    signed_in(stage, "ann")
    assert told(client) == []
    signed_in(stage, "carl")
    assert told(client) == [("online", ["carl"])]


def test_integers_are_the_same_users_as_their_decimal_strings() -> None:
    stage = Stage()
    signed_in(stage, "7")
    client = stage.connect()
    client.sign_in({"id": "me", "watchlist": [7, "7", 8]})
    assert told(client) == [("online", ["7"]), ("offline", ["8"])]


def test_beyond_the_limit_the_first_are_watched_and_the_client_is_told() -> None:
    stage = Stage()
    client = signed_in(stage, "me", *(f"user-{number}" for number in range(101)))

    success, error, state = client.read()

    assert success["event"] == "pusher:signin_success"
    assert error["data"]["code"] == 4302
    assert error["data"]["message"] == (
        "Watchlist limit exceeded: 101 user ids, the first 100 are watched (max_watchlist_size)"
    )
    (offline,) = state["data"]["events"]
    assert offline["user_ids"] == [f"user-{number}" for number in range(100)]
    assert client.is_open


def test_a_hundred_users_are_within_the_limit_whatever_is_named_twice() -> None:
    names = [f"user-{number}" for number in range(100)]
    assert [name for name, _ in signed_in(Stage(), "me", *names, *names).events()] == ["pusher:signin_success", EVENTS]


@pytest.mark.parametrize("watchlist", ["ann", {"ann": 1}, [None], [1.5], 7])
def test_a_watchlist_that_is_no_list_of_ids_is_told_and_has_no_effect(watchlist: Any) -> None:
    client = Stage().connect()
    client.sign_in({"id": "me", "watchlist": watchlist})
    success, error = client.read()
    assert success["event"] == "pusher:signin_success"
    assert error["data"]["message"].startswith("user_data.watchlist: expected a list of user ids: ")
    assert client.is_open


@pytest.mark.parametrize("wrong", ["", "x" * 129, "\ud83d"])
def test_an_id_that_nobody_can_have_is_told_and_left_out(wrong: str) -> None:
    client = signed_in(Stage(), "me", "ann", wrong)
    success, error, state = client.read()
    assert success["event"] == "pusher:signin_success"
    assert error["data"]["message"].startswith("user_data.watchlist: a user id ")
    assert state["data"]["events"] == [{"name": "offline", "user_ids": ["ann"]}]


def test_observers_see_each_message() -> None:
    class Recorder(Observer):
        def __init__(self) -> None:
            self.sent: list[str] = []

        def message_sent(self, connection: Connection, frame: bytes) -> None:
            self.sent.append(decode_frames(frame)[0]["event"])

    recorder = Recorder()
    stage = Stage(observers=[recorder])
    signed_in(stage, "me", "ann")
    signed_in(stage, "ann")
    assert recorder.sent.count(EVENTS) == 2


def test_apps_have_users_of_their_own() -> None:
    stage = Stage(*(type(Stage().app.settings)(id=app, key=f"key-{app}", secret="app-secret") for app in ("1", "2")))
    client = signed_in(stage, "me", "ann")
    assert told(client) == [("offline", ["ann"])]
    other = stage.connect("2")
    other.sign_in({"id": "ann"})
    assert told(client) == []


def test_users_within_their_grace_stay_online_over_a_restart() -> None:
    before = Stage()
    for user in ("ann", "bob"):
        signed_in(before, user).end(codes.GENERIC_RECONNECT, "")
    before.turn()
    before.now += 2

    after = Stage()
    after.registry.users.take_over(before.registry.users.as_bytes(since=before.now - 1))
    client = signed_in(after, "me", "ann", "bob", "carl")
    assert told(client) == [("online", ["ann", "bob"]), ("offline", ["carl"])]
    signed_in(after, "ann")
    after.wait(8.9)
    assert told(client) == []
    after.wait(0.2)
    assert told(client) == [("offline", ["bob"])]


def test_users_that_cannot_be_read_are_not_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.registry.users.take_over(b"\x00not a list")
    assert list(stage.registry.users.states()) == []
    assert "cannot be read, they are offline" in caplog.text
