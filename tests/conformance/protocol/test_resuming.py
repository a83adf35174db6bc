"""Resumption: a client that comes back gets what it missed, or is told that something is missing."""

from __future__ import annotations

import json

import pytest

from conformance.protocol.resuming import SUCCEEDED, app, connect, publish, subscribe
from conformance.protocol.stage import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage(app())


def test_stock_clients_see_the_position_of_an_event_and_nothing_else(stage: Stage) -> None:
    client = connect(stage)
    assert subscribe(client, "news") == [{"event": SUCCEEDED, "data": "{}", "channel": "news"}]
    publish(stage, "news", "a")
    (event,) = client.read()
    assert list(event) == ["event", "data", "channel", "position"]


def test_a_client_that_was_away_gets_what_it_missed_and_then_what_is_new(stage: Stage) -> None:
    client = connect(stage)
    (answer,) = subscribe(client, "news", resume="")
    assert set(answer) == {"event", "data", "channel", "position"}
    publish(stage, "news", "a")
    (event,) = client.read()
    client.vanish()
    publish(stage, "news", "b", "c")
    back = connect(stage)
    answer, *missed = subscribe(back, "news", resume=event["position"])
    assert (answer["resumed"], answer["position"]) == (2, event["position"])
    assert [message["event"] for message in missed] == ["b", "c"]
    publish(stage, "news", "d")
    assert [message["event"] for message in back.read()] == ["d"]


def test_nothing_is_doubled_that_was_published_in_the_same_turn(stage: Stage) -> None:
    client = connect(stage)
    (answer,) = subscribe(client, "news", resume="")
    client.vanish()
    publish(stage, "news", "a")
    back, other = connect(stage), connect(stage)
    subscribe(other, "news")
    back.say("pusher:subscribe", {"channel": "news", "resume": answer["position"]})
    publish(stage, "news", "b")
    assert [message["event"] for message in back.read()] == [SUCCEEDED, "a", "b"]
    assert [message["event"] for message in other.read()] == ["b"]


@pytest.mark.parametrize("number", [5, 6])
def test_a_gap_is_told_exactly_where_something_is_missing(stage: Stage, number: int) -> None:
    client = connect(stage)
    (answer,) = subscribe(client, "news", resume="")
    client.vanish()
    publish(stage, "news", *"abcdefgh"[:number])
    answer, *missed = subscribe(connect(stage), "news", resume=answer["position"])
    if number == 5:
        assert (answer["resumed"], len(missed)) == (5, 5)
    else:
        assert (answer["gap"], answer.get("resumed"), missed) == ("number", None, [])
        publish(stage, "news", "z")
        again = subscribe(connect(stage), "news", resume=answer["position"])
        assert [message["event"] for message in again] == [SUCCEEDED, "z"]


@pytest.mark.parametrize(("resume", "gap"), [("?", "unknown"), ("other.1", "generation")])
def test_a_place_that_cannot_be_known_is_a_gap(stage: Stage, resume: str, gap: str) -> None:
    publish(stage, "news", "a")
    (answer,) = subscribe(connect(stage), "news", resume=resume)
    assert answer["gap"] == gap


def test_an_own_event_does_not_come_back_after_a_reconnect(stage: Stage) -> None:
    client = connect(stage)
    (answer,) = subscribe(client, "news", resume="")
    publish(stage, "news", "mine", socket_id=client.socket_id)
    publish(stage, "news", "other")
    client.vanish()
    back = subscribe(connect(stage), "news", resume=answer["position"], was=[client.socket_id])
    assert [message["event"] for message in back] == [SUCCEEDED, "other"]
    without = subscribe(connect(stage), "news", resume=answer["position"])
    assert [message["event"] for message in without] == [SUCCEEDED, "mine", "other"]


def test_an_own_event_that_arrives_late_does_not_come_either(stage: Stage) -> None:
    client = connect(stage)
    (answer,) = subscribe(client, "news", resume="")
    client.vanish()
    back = connect(stage)
    subscribe(back, "news", resume=answer["position"], was=[client.socket_id])
    publish(stage, "news", "mine", socket_id=client.socket_id)
    publish(stage, "news", "other")
    assert [message["event"] for message in back.read()] == ["other"]
    back.vanish()
    stage.turn()
    assert stage.app.former_connections == {}


def test_rewind_begins_with_the_last_events(stage: Stage) -> None:
    publish(stage, "long", *"abcdef")
    answer, *events = subscribe(connect(stage), "long", resume="", rewind=2)
    assert [message["event"] for message in events] == ["e", "f"]
    assert "resumed" not in answer
    same = subscribe(connect(stage), "long", resume=answer["position"])
    assert [message["event"] for message in same] == [SUCCEEDED, "e", "f"]
    refused = subscribe(connect(stage), "long", resume="", rewind=21)
    assert "at most 20" in json.dumps(refused)


def test_a_cache_channel_with_history_is_rewind_by_one(stage: Stage) -> None:
    publish(stage, "cache-kept", "a", "b")
    client = connect(stage)
    answer, last = subscribe(client, "cache-kept", resume="")
    assert last["event"] == "b"
    assert int(answer["position"].split(".")[1]) < int(last["position"].split(".")[1])
    assert len(subscribe(connect(stage), "cache-kept", resume=last["position"])) == 1


def test_a_replay_larger_than_the_output_buffer_comes_in_pieces(stage: Stage) -> None:
    (answer,) = subscribe(connect(stage), "long", resume="")
    for number in range(300):
        stage.publish("long", str(number), "x" * 9_000)
    back = connect(stage)
    back.say("pusher:subscribe", {"channel": "long", "resume": answer["position"]})
    got: list[str] = []
    turns = 0
    while len(got) < 301:
        publish(stage, "long", f"live {turns}")
        pieces, back.writes = back.writes, []
        assert sum(map(len, pieces)) < 100_000
        back.writes = pieces
        got += [message["event"] for message in back.read()]
        turns += 1
        assert turns < 400
    assert got[1:301] == [str(number) for number in range(300)]
    rest = [message["event"] for message in back.read()]
    assert got[301:] + rest == [f"live {number}" for number in range(turns)][: len(got[301:] + rest)]


def test_member_notices_come_while_the_history_is_read(stage: Stage) -> None:
    channel = "presence-room"
    client = connect(stage)
    member = json.dumps({"user_id": "1"})
    signed = {"auth": client.auth(channel, member), "channel_data": member}
    (answer,) = subscribe(client, channel, resume="", **signed)
    publish(stage, channel, "a")
    assert [message["event"] for message in client.read()] == ["a"]
    client.say("pusher:subscribe", {"channel": channel, "resume": answer["position"], **signed})
    connect(stage).ask(channel, {"user_id": "2"})
    assert sorted(message["event"] for message in client.read()) == sorted(
        [SUCCEEDED, "a", "pusher_internal:member_added"]
    )


def test_an_own_last_event_does_not_come_back_after_a_gap_either(stage: Stage) -> None:
    client = connect(stage)
    subscribe(client, "cache-kept", resume="")
    publish(stage, "cache-kept", "mine", socket_id=client.socket_id)
    client.vanish()
    answer, *missed = subscribe(connect(stage), "cache-kept", resume="other.1", was=[client.socket_id])
    assert (answer["gap"], missed) == ("generation", [])
    answer, *missed = subscribe(connect(stage), "cache-kept", resume="other.1")
    assert (answer["gap"], [message["event"] for message in missed]) == ("generation", ["mine"])
