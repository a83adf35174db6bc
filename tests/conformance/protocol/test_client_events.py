"""Client events: from a member to the others, data untouched."""

from __future__ import annotations

import json

import pytest

from conformance.protocol.stage import Client, Stage, error_of

ROOM = "private-room"


def pair(stage: Stage, channel: str = ROOM) -> tuple[Client, Client]:
    user = channel.startswith("presence-")
    ann = stage.connect().join(channel, user="1" if user else None)
    bob = stage.connect().join(channel, user="2" if user else None)
    ann.read()
    return ann, bob


def test_others_get_it_and_the_sender_does_not() -> None:
    stage = Stage()
    ann, bob = pair(stage)

    ann.say("client-typing", {"by": "Ann"}, channel=ROOM)

    assert bob.read() == [{"event": "client-typing", "channel": ROOM, "data": {"by": "Ann"}}]
    assert ann.read() == []


@pytest.mark.parametrize("channel", ["private-room", "private-cache-room"])
def test_no_user_id_on_private_channels(channel: str) -> None:
    ann, bob = pair(Stage(), channel)

    ann.say("client-a", 1, channel=channel)

    assert bob.read() == [{"event": "client-a", "channel": channel, "data": 1}]


@pytest.mark.parametrize("channel", ["presence-room", "presence-cache-room"])
def test_user_id_of_the_sender_on_presence_channels(channel: str) -> None:
    ann, bob = pair(Stage(), channel)

    ann.say("client-a", 1, channel=channel)

    assert bob.read() == [{"event": "client-a", "channel": channel, "data": 1, "user_id": "1"}]


def test_user_id_is_a_string_also_for_numbers() -> None:
    stage = Stage()
    ann, bob = stage.connect().join("presence-r", user=1), stage.connect().join("presence-r", user=2)
    ann.read()

    ann.say("client-a", 1, channel="presence-r")

    assert bob.read()[0]["user_id"] == "1"


@pytest.mark.parametrize("channel", ["private-room", "presence-room"])
def test_a_forged_user_id_and_other_fields_are_dropped(channel: str) -> None:
    ann, bob = pair(Stage(), channel)

    ann.say("client-a", 1, channel=channel, user_id="666", channels=["private-other"], socket_id="1.1")

    (message,) = bob.read()
    assert message.get("user_id") == ("1" if channel.startswith("presence-") else None)
    assert set(message) <= {"event", "channel", "data", "user_id"}


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        "[]",
        '{"a":{}}',
        '{"a":[]}',
        "5",
        "1.10",
        "1E5",
        "123456789012345678",
        '"text"',
        '""',
        '"{\\"a\\":1}"',
        "true",
        "null",
        '{"b":1,"a":2}',
        '{ "spaced" :  [ 1 ] }',
        '"\\u00e4"',
        '"ä€😀"',
        '{"a":1,"a":2}',
    ],
)
def test_data_is_forwarded_unchanged(data: str) -> None:
    ann, bob = pair(Stage())

    ann.raw(f'{{"event":"client-a","channel":"{ROOM}","data":{data}}}')

    bob.stage.turn()
    (frame,) = bob.writes
    assert f'"data":{data}}}'.encode() in frame


def test_missing_data_is_null() -> None:
    ann, bob = pair(Stage())

    ann.say("client-a", channel=ROOM)

    assert bob.read() == [{"event": "client-a", "channel": ROOM, "data": None}]
    assert ann.read() == []


@pytest.mark.parametrize("data", ['"\\ud83d"', '{"text":"cut \\ud83d","at":[1,2.5,null,true]}', '"\\uDE00\\uD83D"'])
def test_half_a_character_is_passed_on_too(data: str) -> None:
    """JavaScript writes so what is left of an emoji in a text that was cut."""
    ann, bob = pair(Stage())

    ann.raw(f'{{"event":"client-a","channel":"{ROOM}","data":{data}}}')

    assert bob.read() == [{"event": "client-a", "channel": ROOM, "data": json.loads(data)}]
    assert ann.read() == []


@pytest.mark.parametrize("data", ['{"a":"\\x"}', "01", '{"a":"\\ud800\\x"}', "{" * 3, "[" * 5000 + "]" * 5000, "NaN"])
def test_data_that_would_break_the_message_of_others_is_refused(data: str) -> None:
    ann, bob = pair(Stage())

    ann.raw(f'{{"event":"client-a","channel":"{ROOM}","data":{data}}}')

    assert error_of(ann.read())[0] == 4200
    assert bob.read() == []


@pytest.mark.parametrize("channel", ["room", "cache-room", "private-encrypted-room", "private-encrypted-cache-room"])
def test_only_private_and_presence_channels_take_them(channel: str) -> None:
    ann, bob = pair(Stage(), channel)

    ann.say("client-a", {}, channel=channel)

    code, text = error_of(ann.read())
    assert code == 4301
    assert text.startswith("Client event rejected - only supported on private and presence channels")
    assert ann.close_code is None
    assert bob.read() == []


@pytest.mark.parametrize("channel", [ROOM, "private-nobody-is-here", "", "bad name", "#server-to-user-1"])
def test_a_stranger_is_refused(channel: str) -> None:
    stage = Stage()
    _, bob = pair(stage)
    stranger = stage.connect()

    stranger.say("client-a", {}, channel=channel)

    code, text = error_of(stranger.read())
    assert code == 4009
    assert text.startswith("The client is not a member of the specified channel.")
    assert bob.read() == []


def test_who_has_left_is_a_stranger() -> None:
    ann, bob = pair(Stage())
    ann.say("pusher:unsubscribe", {"channel": ROOM})

    ann.say("client-a", {}, channel=ROOM)

    assert error_of(ann.read())[0] == 4009
    assert bob.read() == []


def test_an_app_can_switch_them_off() -> None:
    ann, bob = pair(Stage(accept_client_events_from="none"))

    ann.say("client-a", {}, channel=ROOM)

    code, text = error_of(ann.read())
    assert code == 4301
    assert text.startswith("The app does not have client messaging enabled.")
    assert bob.read() == []


def test_the_channel_must_be_named() -> None:
    client = Stage().connect()

    client.say("client-a", {})

    code, text = error_of(client.read())
    assert code == 4200
    assert "client-a" in text


def test_ten_a_second_and_the_rest_is_dropped() -> None:
    stage = Stage()
    ann, bob = pair(stage)

    for number in range(12):
        ann.say("client-a", number, channel=ROOM)

    errors = ann.read()
    assert [message["data"]["code"] for message in errors] == [4301, 4301]
    assert "10 a second" in errors[0]["data"]["message"]
    assert [message["data"] for message in bob.read()] == list(range(10))
    assert ann.close_code is None


def test_the_token_bucket_refills_evenly() -> None:
    stage = Stage()
    ann, bob = pair(stage)
    for number in range(11):
        ann.say("client-a", number, channel=ROOM)
    ann.read()
    bob.read()

    stage.now += 0.1
    ann.say("client-a", "one", channel=ROOM)
    ann.say("client-a", "too many", channel=ROOM)
    assert [message["data"] for message in bob.read()] == ["one"]
    stage.now += 60
    for number in range(11):
        ann.say("client-a", number, channel=ROOM)
    assert len(bob.read()) == 10


def test_the_token_bucket_is_each_connections_own_and_the_apps_number() -> None:
    stage = Stage(max_client_events_per_second=1)
    ann, bob = pair(stage)

    ann.say("client-a", 1, channel=ROOM)
    bob.say("client-a", 2, channel=ROOM)

    assert [message["data"] for message in ann.read()] == [2]
    assert [message["data"] for message in bob.read()] == [1]


def test_what_is_refused_for_other_reasons_uses_up_nothing() -> None:
    stage = Stage(max_client_events_per_second=1)
    ann, bob = pair(stage)

    for _ in range(5):
        ann.say("client-a", 1, channel="private-other")
    ann.say("client-a", 1, channel=ROOM)

    assert len(bob.read()) == 1


@pytest.mark.parametrize(("length", "taken"), [(200, True), (201, False)])
def test_the_length_of_the_name_is_limited(length: int, taken: bool) -> None:
    ann, bob = pair(Stage())

    ann.say("client-".ljust(length, "x"), 1, channel=ROOM)

    assert bool(bob.read()) is taken
    assert bool(ann.read()) is not taken


@pytest.mark.parametrize(("size", "taken"), [(50, True), (51, False)])
def test_the_size_of_the_data_is_limited(size: int, taken: bool) -> None:
    ann, bob = pair(Stage(max_event_data_size=50))

    ann.raw(f'{{"event":"client-a","channel":"{ROOM}","data":"{"x" * (size - 2)}"}}')

    assert bool(bob.read()) is taken
    if not taken:
        assert error_of(ann.read())[0] == 4301


def test_names_with_quotes_are_passed_on_safely() -> None:
    ann, bob = pair(Stage())

    ann.say('client-"x"\\', {"a": 1}, channel=ROOM)

    assert bob.read() == [{"event": 'client-"x"\\', "channel": ROOM, "data": {"a": 1}}]


def test_other_nodes_get_the_frame_and_whom_to_skip() -> None:
    stage = Stage()
    ann, _ = pair(stage, "presence-room")

    ann.say("client-a", {"n": 1}, channel="presence-room")

    assert stage.peers.published == [
        (
            "presence-room",
            {"event": "client-a", "channel": "presence-room", "data": {"n": 1}, "user_id": "1"},
            ann.socket_id,
        )
    ]


def test_order_of_client_events_and_application_events_is_kept() -> None:
    stage = Stage()
    ann, bob = pair(stage)

    ann.say("client-1", 1, channel=ROOM)
    stage.publish(ROOM, "2", json.dumps(2))
    ann.say("client-3", 3, channel=ROOM)

    assert [message["event"] for message in bob.read()] == ["client-1", "2", "client-3"]
    assert [message["event"] for message in ann.read()] == ["2"]


def say_in_one_read(client: Client, *events: str, channel: str = ROOM) -> None:
    """Send client events that the transport reads at once."""
    outbox = client.app.node.outbox
    outbox.is_reading = True
    for event in events:
        client.say(event, channel=channel)
    outbox.end_reading()


def test_what_several_clients_send_in_a_turn_is_joined_for_the_others() -> None:
    stage = Stage()
    ann, bob = pair(stage)
    eve = stage.connect().join(ROOM)

    say_in_one_read(ann, "client-a")
    say_in_one_read(bob, "client-b")
    stage.turn()

    assert [len(client.writes) for client in (ann, bob, eve)] == [1, 1, 1]
    assert [message["event"] for message in eve.read()] == ["client-a", "client-b"]


def test_what_was_published_in_the_same_turn_is_not_overtaken() -> None:
    stage = Stage()
    ann, bob = pair(stage)
    bob.read()

    stage.publish(ROOM, "first")
    say_in_one_read(ann, "client-second")

    assert bob.writes == []
    assert [message["event"] for message in bob.read()] == ["first", "client-second"]
