"""Members: each user once, with any number of connections."""

from __future__ import annotations

import json

import pytest

from conformance.protocol.stage import Client, Stage, error_of, members_of, subscription_error_of

ROOM = "presence-room"


def join(client: Client, channel_data: object, channel: str = ROOM) -> list[dict[str, object]]:
    client.ask(channel, channel_data)
    return client.read()


def test_joiner_gets_everybody_with_itself_in_order_of_arrival() -> None:
    stage = Stage()
    stage.connect().join(ROOM, user="2", info={"name": "Bob"})

    messages = join(stage.connect(), {"user_id": "1", "user_info": {"name": "Ann"}})

    assert members_of(messages) == {
        "count": 2,
        "ids": ["2", "1"],
        "hash": {"2": {"name": "Bob"}, "1": {"name": "Ann"}},
    }


def test_others_are_told_of_a_new_member_and_the_joiner_is_not() -> None:
    stage = Stage()
    ann = stage.connect().join(ROOM, user="1")
    bob = stage.connect()

    messages = join(bob, {"user_id": "2", "user_info": {"name": "Bob"}})

    assert [message["event"] for message in messages] == ["pusher_internal:subscription_succeeded"]
    assert ann.read() == [
        {
            "event": "pusher_internal:member_added",
            "data": '{"user_id":"2","user_info":{"name": "Bob"}}',
            "channel": ROOM,
        }
    ]


def test_others_are_told_when_a_member_leaves() -> None:
    stage = Stage()
    ann, bob = stage.connect().join(ROOM, user="1"), stage.connect().join(ROOM, user="2")
    ann.read()

    bob.say("pusher:unsubscribe", {"channel": ROOM})

    assert ann.read() == [{"event": "pusher_internal:member_removed", "data": '{"user_id":"2"}', "channel": ROOM}]
    assert bob.read() == []


def test_others_are_told_when_a_members_connection_is_lost() -> None:
    stage = Stage()
    ann, bob = stage.connect().join(ROOM, user="1"), stage.connect().join(ROOM, user="2")
    ann.read()

    bob.vanish()

    assert ann.events() == [("pusher_internal:member_removed", {"user_id": "2"})]


def test_two_tabs_are_one_member() -> None:
    stage = Stage()
    ann = stage.connect().join(ROOM, user="1")
    tabs = [stage.connect().join(ROOM, user="2") for _ in range(3)]

    assert ann.events() == [("pusher_internal:member_added", {"user_id": "2", "user_info": None})]
    for tab in tabs[:2]:
        tab.vanish()
        assert ann.read() == []
    tabs[2].vanish()
    assert ann.events() == [("pusher_internal:member_removed", {"user_id": "2"})]


def test_a_second_tab_sees_its_user_once() -> None:
    stage = Stage()
    stage.connect().join(ROOM, user="1", info={"n": 1})

    messages = join(stage.connect(), {"user_id": "1", "user_info": {"n": 1}})

    assert members_of(messages) == {"count": 1, "ids": ["1"], "hash": {"1": {"n": 1}}}


def test_a_member_who_came_back_is_announced_again() -> None:
    stage = Stage()
    ann, bob = stage.connect().join(ROOM, user="1"), stage.connect().join(ROOM, user="2")
    bob.say("pusher:unsubscribe", {"channel": ROOM})
    ann.read()

    bob.join(ROOM, user="2")

    assert [name for name, _ in ann.events()] == ["pusher_internal:member_added"]


def test_ids_keep_the_form_the_application_gave_them() -> None:
    stage = Stage()
    stage.connect().join(ROOM, user=1)

    messages = join(stage.connect(), {"user_id": "b"})

    assert members_of(messages) == {"count": 2, "ids": [1, "b"], "hash": {"1": None, "b": None}}


def test_a_number_and_its_decimal_string_are_one_user() -> None:
    stage = Stage()
    watcher = stage.connect().join(ROOM, user="w")
    first, second = stage.connect().join(ROOM, user=1), stage.connect().join(ROOM, user="1")

    assert watcher.events() == [("pusher_internal:member_added", {"user_id": 1, "user_info": None})]
    first.vanish()
    assert watcher.read() == []
    second.vanish()
    assert watcher.events() == [("pusher_internal:member_removed", {"user_id": 1})]


@pytest.mark.parametrize("ids", [["1e1", "10"], ["1", "01"], ["1", "1.0"], ["a", "A"], [" ", "  "]])
def test_strings_that_only_look_alike_are_different_users(ids: list[str]) -> None:
    stage = Stage()
    for id in ids:
        stage.connect().join(ROOM, user=id)

    messages = join(stage.connect(), {"user_id": "last"})

    assert members_of(messages)["count"] == len(ids) + 1


@pytest.mark.parametrize("id", [0, "0", -1, "false", "null"])
def test_ids_that_other_languages_take_for_nothing_are_users(id: str | int) -> None:
    stage = Stage()
    watcher = stage.connect().join(ROOM, user="w")
    first, second = stage.connect().join(ROOM, user=id), stage.connect().join(ROOM, user=id)

    assert watcher.events() == [("pusher_internal:member_added", {"user_id": id, "user_info": None})]
    first.vanish()
    second.vanish()
    assert watcher.events() == [("pusher_internal:member_removed", {"user_id": id})]


@pytest.mark.parametrize("ids", [[0], [0, 1, 2], ["0", "1"], [1]])
def test_hash_is_always_an_object(ids: list[str | int]) -> None:
    stage = Stage()
    for id in ids[:-1]:
        stage.connect().join(ROOM, user=id, info={})

    messages = join(stage.connect(), {"user_id": ids[-1], "user_info": {}})

    assert members_of(messages)["hash"] == {str(id): {} for id in ids}


@pytest.mark.parametrize(
    "info", [{}, [], {"a": []}, {"a": {}}, 5, "text", 'quote " \\ back', None, True, {"ü": "\u2028 €"}, [1.50, 1e30]]
)
def test_user_info_arrives_as_it_was_written(info: object) -> None:
    stage = Stage()
    watcher = stage.connect().join(ROOM, user="w")

    messages = join(stage.connect(), {"user_id": "1", "user_info": info})

    assert members_of(messages)["hash"]["1"] == info
    assert watcher.events() == [("pusher_internal:member_added", {"user_id": "1", "user_info": info})]


def test_missing_user_info_is_null_and_harms_nobody() -> None:
    stage = Stage()
    watcher = stage.connect().join(ROOM, user="w")

    first = join(stage.connect(), '{"user_id":"1"}')
    second = join(stage.connect(), {"user_id": "2", "user_info": {"n": "B"}})

    assert members_of(first)["hash"] == {"w": None, "1": None}
    assert members_of(second)["hash"] == {"w": None, "1": None, "2": {"n": "B"}}
    assert watcher.events()[0] == ("pusher_internal:member_added", {"user_id": "1", "user_info": None})


def test_ids_with_quotes_and_other_alphabets_are_safe_in_the_list() -> None:
    stage = Stage()
    ids = ['a"b', "c\\d", "日本", "e,f", "\u2028", "</script>"]
    watcher = stage.connect().join(ROOM, user=ids[0])

    for id in ids[1:]:
        messages = join(stage.connect(), {"user_id": id})

    assert members_of(messages)["ids"] == ids
    assert [data["user_id"] for _, data in watcher.events()] == ids[1:]


def test_missing_channel_data_is_refused() -> None:
    stage = Stage()
    client = stage.connect()

    client.ask(ROOM)

    messages = client.read()
    assert error_of(messages)[0] == 4009
    assert "channel_data" in subscription_error_of(messages)["error"]
    assert stage.app.channels == {}


@pytest.mark.parametrize(
    "channel_data",
    [
        "not JSON",
        "5",
        '"x"',
        "null",
        "[]",
        "{}",
        '{"user_id":null}',
        '{"user_id":[]}',
        '{"user_id":true}',
        '{"user_id":1.5}',
        '{"user_id":""}',
        '{"user_id":123456789012345678901234567890}',
        '{"user_id":' + "9" * 5000 + "}",
        '{"user_info":{}}',
        '{"user_id":"1","user_info":{"a":"\\x"}}',
        '{"user_id":"1","user_info":' + "[" * 900 + "]" * 899 + "}",
        '{"user_id":"1"',
    ],
)
def test_malformed_channel_data_is_refused_with_its_fault(channel_data: str) -> None:
    stage = Stage()
    client = stage.connect()

    client.ask(ROOM, channel_data)

    messages = client.read()
    assert subscription_error_of(messages)["status"] == 400
    assert error_of(messages)[0] == 4200
    assert "failed to handle" not in error_of(messages)[1]
    assert client.close_code is None
    assert stage.app.channels == {}


def test_a_signed_in_user_needs_no_channel_data() -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in({"id": "7", "user_info": {"name": "Ann"}})
    client.read()

    client.ask(ROOM)

    assert members_of(client.read()) == {"count": 1, "ids": ["7"], "hash": {"7": {"name": "Ann"}}}


def test_channel_data_comes_before_who_signed_in() -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in({"id": "7"})
    client.read()

    assert members_of(join(client, {"user_id": "8"}))["ids"] == ["8"]


def test_a_signed_in_user_needs_a_signature_all_the_same() -> None:
    client = Stage().connect()
    client.sign_in({"id": "7"})
    client.read()

    client.say("pusher:subscribe", {"channel": ROOM})

    assert error_of(client.read())[0] == 4009


def test_the_number_of_members_is_limited_but_not_of_their_tabs() -> None:
    stage = Stage(max_presence_members=2)
    ann, bob = stage.connect().join(ROOM, user="1"), stage.connect().join(ROOM, user="2")

    messages = join(stage.connect(), {"user_id": "3"})

    error = subscription_error_of(messages)
    assert (error["type"], error["status"], error["channel"]) == ("LimitReached", 403, ROOM)
    assert error_of(messages)[0] == 4004
    stage.connect().join(ROOM, user="2")
    stage.connect().join("presence-other", user="3")
    assert [name for name, _ in ann.events()] == ["pusher_internal:member_added"]
    bob.vanish()


def test_a_place_that_is_given_up_can_be_taken() -> None:
    stage = Stage(max_presence_members=1)
    ann = stage.connect().join(ROOM, user="1")
    ann.say("pusher:unsubscribe", {"channel": ROOM})

    stage.connect().join(ROOM, user="2")


@pytest.mark.parametrize(("length", "taken"), [(1, True), (128, True), (129, False)])
def test_the_length_of_a_user_id_is_limited(length: int, taken: bool) -> None:
    messages = join(Stage().connect(), {"user_id": "x" * length})

    assert (messages[0]["event"] == "pusher_internal:subscription_succeeded") is taken
    if not taken:
        assert "128" in error_of(messages)[1]


@pytest.mark.parametrize(("size", "taken"), [(1024, True), (1025, False)])
def test_the_size_of_user_info_is_limited(size: int, taken: bool) -> None:
    info = "x" * (size - 2)

    messages = join(Stage().connect(), json.dumps({"user_id": "1", "user_info": info}))

    assert (messages[0]["event"] == "pusher_internal:subscription_succeeded") is taken
    if not taken:
        assert subscription_error_of(messages)["type"] == "LimitReached"


def test_subscribing_again_as_the_same_user_changes_nothing() -> None:
    stage = Stage()
    watcher, client = stage.connect().join(ROOM, user="w"), stage.connect().join(ROOM, user="1")
    watcher.read()

    assert members_of(join(client, {"user_id": "1"}))["count"] == 2

    assert watcher.read() == []
    client.vanish()
    assert watcher.events() == [("pusher_internal:member_removed", {"user_id": "1"})]


def test_subscribing_again_as_another_user_is_a_change_of_members() -> None:
    stage = Stage()
    watcher, client = stage.connect().join(ROOM, user="w"), stage.connect().join(ROOM, user="1")
    watcher.read()

    assert members_of(join(client, {"user_id": "2"}))["ids"] == ["w", "2"]

    assert watcher.events() == [
        ("pusher_internal:member_removed", {"user_id": "1"}),
        ("pusher_internal:member_added", {"user_id": "2", "user_info": None}),
    ]


def test_those_who_join_in_one_turn_hear_of_each_other_exactly_once() -> None:
    stage = Stage()
    clients = [stage.connect() for _ in range(5)]

    for number, client in enumerate(clients):
        client.ask(ROOM, {"user_id": number})

    for number, client in enumerate(clients):
        first, *others = client.read()
        assert members_of([first])["ids"] == list(range(number + 1))
        assert [json.loads(message["data"])["user_id"] for message in others] == list(range(number + 1, 5))


def test_a_joiner_does_not_hear_of_members_who_left_before_it_came() -> None:
    stage = Stage()
    ann, bob, eve = stage.connect().join(ROOM, user="1"), stage.connect().join(ROOM, user="2"), stage.connect()
    ann.read()

    bob.say("pusher:unsubscribe", {"channel": ROOM})
    eve.ask(ROOM, {"user_id": "3"})

    messages = eve.read()
    assert members_of(messages)["ids"] == ["1", "3"]
    assert len(messages) == 1
    assert [name for name, _ in ann.events()] == ["pusher_internal:member_removed", "pusher_internal:member_added"]


def test_members_of_two_channels_are_apart() -> None:
    stage = Stage()
    ann = stage.connect().join("presence-a", "presence-b", user="1")
    stage.connect().join("presence-b", user="2")

    assert [message["channel"] for message in ann.read()] == ["presence-b"]
