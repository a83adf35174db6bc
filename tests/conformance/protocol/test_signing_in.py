"""Users: signing in, events to one of them, ending their connections."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.protocol.stage import APP, Stage, error_of, subscription_error_of
from soundpost.core import users
from soundpost.core.app_settings import AppSettings

SUCCEEDED = "pusher_internal:subscription_succeeded"


def test_sign_in_is_answered_with_the_user_data_as_sent() -> None:
    client = Stage().connect()
    user_data = '{ "id" : "7", "user_info":{"name":"Ann"},"more":[1]}'

    client.sign_in(user_data)

    assert client.read() == [{"event": "pusher:signin_success", "data": {"user_data": user_data}}]


@pytest.mark.parametrize(("id", "text"), [(7, "7"), (0, "0"), (-1, "-1"), (2**53 + 1, "9007199254740993")])
def test_an_integer_id_signs_in_as_its_decimal_string(id: int, text: str) -> None:
    """pusher-js takes no other id than a string; the rest of ``user_data`` stays as it was written."""
    stage = Stage()
    client = stage.connect()

    client.sign_in(f'{{"id": {id}, "user_info": {{"n":1.50,"half":"\\ud83d"}}, "watchlist": []}}')
    client.say("pusher:subscribe", {"channel": f"#server-to-user-{text}"})

    said = client.read()
    assert [message["event"] for message in said] == ["pusher:signin_success", "pusher_internal:subscription_succeeded"]
    expected = f'{{"id":"{text}","user_info":{{"n":1.50,"half":"\\ud83d"}},"watchlist":[]}}'
    assert said[0]["data"] == {"user_data": expected}
    assert set(stage.app.users) == {text}


def test_a_malformed_id_is_refused_with_what_an_id_is() -> None:
    client = Stage().connect()

    client.sign_in('{"id":null}')

    assert 'user_data needs an "id", a string or an integer' in error_of(client.read())[1]


def test_the_worked_example_of_the_documentation_is_accepted() -> None:
    stage = Stage(AppSettings(id="3", key="278d425bdf160c739803", secret="7ad3773142a6692b25b8"))
    client = stage.connect("3")
    client.socket_id = "1234.1234"
    auth = "278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"

    client.say("pusher:signin", {"auth": auth, "user_data": '{"id":"12345"}'})

    assert client.read()[0]["event"] == "pusher:signin_success"


def test_sign_in_takes_a_string_of_json_too() -> None:
    client = Stage().connect()

    client.say("pusher:signin", json.dumps(client.sign_in_data({"id": "7"})))

    assert client.read()[0]["event"] == "pusher:signin_success"


@pytest.mark.parametrize("auth", ["", "app-key", "app-key:", "app-key:0000", "other-key:0000", ":"])
def test_a_wrong_signature_ends_the_connection_with_4009(auth: str) -> None:
    stage = Stage()
    client = stage.connect()

    client.say("pusher:signin", {"auth": auth, "user_data": '{"id":"7"}'})

    assert error_of(client.read())[0] == 4009
    assert client.close_code == 4009
    assert stage.app.users == {}
    assert stage.app.connections == {}


def test_a_right_signature_with_the_key_of_another_app_is_wrong() -> None:
    client = Stage(APP, AppSettings(id="2", key="other-key", secret="app-secret")).connect("2")
    data = client.sign_in_data({"id": "7"})

    client.say("pusher:signin", data | {"auth": data["auth"].replace("other-key", "app-key")})

    assert client.close_code == 4009


@pytest.mark.parametrize(
    "user_data",
    [
        "",
        "not JSON",
        "[]",
        "{}",
        '{"id":7.5}',
        '{"id":true}',
        '{"id":[7]}',
        '{"id":123456789012345678901234567890}',
        '{"id":"\\ud83d"}',
        '{"id":null}',
        '{"id":""}',
        json.dumps({"id": "x" * 129}),
        json.dumps({"id": "7", "user_info": "x" * 1024}),
        '{"id":"7","user_info":{"a":"\\x"}}',
    ],
)
def test_malformed_user_data_ends_the_connection_with_4009(user_data: str) -> None:
    stage = Stage()
    client = stage.connect()

    client.sign_in(user_data)

    assert error_of(client.read())[0] == 4009
    assert client.close_code == 4009
    assert stage.app.users == {}


def test_signing_in_again_as_the_same_user_is_fine() -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in({"id": "7"})
    client.sign_in({"id": "7", "user_info": {"n": 1}})

    assert [message["event"] for message in client.read()] == ["pusher:signin_success"] * 2
    assert stage.app.users == {"7": {client}}


def test_a_connection_has_one_user() -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in({"id": "7"})
    client.read()

    client.sign_in({"id": "8"})

    assert client.close_code == 4009
    assert "signed in as '7'" in client.close_reason
    client.read()
    assert stage.app.users == {}


def test_users_are_forgotten_with_their_last_connection() -> None:
    stage = Stage()
    first, second = stage.connect(), stage.connect()
    first.sign_in({"id": "7"})
    second.sign_in({"id": "7"})

    first.vanish()
    stage.turn()
    assert stage.app.users == {"7": {second}}
    second.vanish()
    stage.turn()
    assert stage.app.users == {}


def test_the_signed_in_user_gets_its_own_channel() -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in({"id": "7"})
    client.read()

    client.say("pusher:subscribe", {"channel": "#server-to-user-7", "auth": ""})
    assert client.read() == [{"event": SUCCEEDED, "data": "{}", "channel": "#server-to-user-7"}]

    stage.publish("#server-to-user-7", "hello", '{"a":1}')
    assert client.read() == [{"event": "hello", "data": '{"a":1}', "channel": "#server-to-user-7"}]


@pytest.mark.parametrize("id", ["a@b.c", "with space", "日本", "a/b", "x:y", "7" * 128])
def test_user_ids_may_have_characters_that_channel_names_may_not(id: str) -> None:
    client = Stage().connect()
    client.sign_in({"id": id})
    client.read()

    client.say("pusher:subscribe", {"channel": f"#server-to-user-{id}"})

    assert client.read()[0]["event"] == SUCCEEDED


@pytest.mark.parametrize("signed_in", [None, "8", "77", ""])
def test_nobody_else_gets_it(signed_in: str | None) -> None:
    stage = Stage()
    client = stage.connect()
    if signed_in:
        client.sign_in({"id": signed_in})
        client.read()

    client.say("pusher:subscribe", {"channel": "#server-to-user-7", "auth": client.auth("#server-to-user-7")})

    messages = client.read()
    error = subscription_error_of(messages)
    assert (error["channel"], error["type"], error["status"]) == ("#server-to-user-7", "AuthError", 401)
    assert error_of(messages)[0] == 4009
    assert client.close_code is None
    assert "#server-to-user-7" not in stage.app.channels


def test_every_connection_of_a_user_gets_its_events() -> None:
    stage = Stage()
    clients = [stage.connect() for _ in range(3)]
    for client in clients:
        client.sign_in({"id": "7"})
        client.say("pusher:subscribe", {"channel": "#server-to-user-7"})
        client.read()

    stage.publish("#server-to-user-7", "e", socket_id=clients[0].socket_id)

    assert [len(client.read()) for client in clients] == [0, 1, 1]


def test_no_client_events_on_the_channel_of_a_user() -> None:
    client = Stage().connect()
    client.sign_in({"id": "7"})
    client.say("pusher:subscribe", {"channel": "#server-to-user-7"})
    client.read()

    client.say("client-a", {}, channel="#server-to-user-7")

    assert error_of(client.read())[0] == 4301


def test_terminate_ends_all_connections_of_a_user_and_no_others() -> None:
    stage = Stage()
    signed_in, present, bystander = stage.connect(), stage.connect(), stage.connect()
    signed_in.sign_in({"id": "7"})
    present.join("presence-room", user=7)
    bystander.join("presence-room", user=8)
    bystander.join("public")
    for client in (signed_in, present, bystander):
        client.read()

    users.terminate(stage.app, "7")

    for client in (signed_in, present):
        assert error_of(client.read()) == (4009, "You got disconnected by the app.")
        assert client.close_code == 4009
    assert bystander.events() == [("pusher_internal:member_removed", {"user_id": 7})]
    assert bystander.close_code is None
    assert list(stage.app.connections.values()) == [bystander]


def test_terminate_finds_users_present_on_any_channel() -> None:
    stage = Stage()
    client = stage.connect().join("public", "private-a").join("presence-x", user="1").join("presence-y", user="2")

    users.terminate(stage.app, "2")

    client.read()
    assert client.close_code == 4009
    assert stage.app.channels == {}


def test_terminate_says_so_once_to_who_is_signed_in_and_present() -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in({"id": "7"})
    client.join("presence-a", "presence-b", user="7")

    users.terminate(stage.app, "7")

    assert len(client.read()) == 1


def test_terminate_looks_at_nobody_else() -> None:
    """It took 62 ms with 100,000 others on presence channels."""
    stage = Stage(max_presence_members=1_000)
    ann = stage.connect().join("presence-a", "presence-b", user="ann")
    others = [stage.connect().join("presence-a", user=f"user {number}") for number in range(100)]
    looked_at: list[object] = []

    class Counting(dict[Any, Any]):
        def __iter__(self) -> Iterator[Any]:
            looked_at.append(self)
            return super().__iter__()

        def items(self) -> Any:
            looked_at.append(self)
            return super().items()

        def values(self) -> Any:
            looked_at.append(self)
            return super().values()

    stage.app.channels = Counting(stage.app.channels)
    for channel in stage.app.channels.values():
        channel.subscribers._many = Counting({each: channel.subscribers[each] for each in channel.subscribers})
    looked_at.clear()

    users.terminate(stage.app, "ann")

    assert ann.close_code == 4009
    assert looked_at == []
    assert [other.close_code for other in others] == [None] * 100


def test_terminate_lets_others_have_their_turn_between_a_user_s_many_connections() -> None:
    stage = Stage()
    guests = [stage.connect().join("presence-a", user="guest") for _ in range(21)]
    stage.node.clock = itertools.count(stage.now, 0.002).__next__  # each look at the clock takes half a slice

    users.terminate(stage.app, "guest")

    turns = 0
    while any(guest.close_code is None for guest in guests):
        closed = sum(guest.close_code is not None for guest in guests)
        due, stage._soon = stage._soon, []
        for callback in due:
            callback()
        turns += 1
        assert 0 < sum(guest.close_code is not None for guest in guests) - closed <= 3
    assert turns >= 6
    stage.turn()
    assert stage.app.member_connections == {}
    assert stage.app.connections == {}


def test_who_a_connection_is_present_as_is_known_through_all_it_does() -> None:
    stage = Stage(max_presence_members=1)
    client = stage.connect().join("presence-a", "presence-b", user="ann").join("presence-c", user="bob")
    assert stage.app.member_connections == {"ann": {client: 2}, "bob": {client: 1}}
    client.join("presence-b", user="bob")
    assert stage.app.member_connections == {"ann": {client: 1}, "bob": {client: 2}}
    other = stage.connect()
    other.ask("presence-a", {"user_id": "carl"})
    assert "carl" not in stage.app.member_connections, "there was no room"
    client.say("pusher:unsubscribe", {"channel": "presence-c"})
    assert stage.app.member_connections == {"ann": {client: 1}, "bob": {client: 1}}
    client.vanish()
    stage.turn()
    assert stage.app.member_connections == {}


@pytest.mark.parametrize("id", ["9", "", "presence-room"])
def test_terminating_nobody_is_fine(id: str) -> None:
    stage = Stage()
    client = stage.connect().join("public").join("presence-room", user="7")

    users.terminate(stage.app, id)

    client.read()
    assert client.close_code is None


@pytest.mark.parametrize("id", ["a b", "ann@example.com/x", "é", "x" * 128, "7"])
def test_whatever_a_channel_may_be_named_signing_in_is_answered(id: str) -> None:
    stage = Stage(max_channel_name_length=100)
    client = stage.connect()

    client.sign_in({"id": id})
    client.sign_in({"id": id})

    assert [message["event"] for message in client.read()] == ["pusher:signin_success"] * 2
    assert len(client.channels) == (len(id) < 100)


def test_who_leaves_the_channel_of_the_user_gets_no_more() -> None:
    stage = Stage()
    client = stage.connect()
    client.sign_in({"id": "7"})
    client.say("pusher:unsubscribe", {"channel": "#server-to-user-7"})
    client.read()

    stage.publish("#server-to-user-7")

    assert client.read() == []


def test_who_signs_in_is_not_told_of_counts_nor_held_by_the_limit_of_channels() -> None:
    stage = Stage(subscription_count=True, max_subscriptions=1)
    client = stage.connect()
    client.join("room")

    client.sign_in({"id": "7"})
    stage.publish("#server-to-user-7")

    assert [message["event"] for message in client.read()] == ["pusher:signin_success", "e"]
