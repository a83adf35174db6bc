"""From an event to messages: names checked, split as servers want it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from soundpost import EncryptedPrivateChannel, PrivateChannel
from soundpost.broadcasting.composing import compose
from soundpost.broadcasting.drivers.requests import requests_for
from soundpost.broadcasting.message import Message, shown
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import PayloadError


def composed(channels: Any, name: str = "tick", data: Any = None) -> list[Message]:
    return compose(channels, name, data, None, [""])


def test_a_message_for_all_channels() -> None:
    (message,) = compose([PrivateChannel("a"), "b"], "tick", {"id": 7}, "1.2", ["reverb"])
    assert (message.channels, message.name, message.data) == (("private-a", "b"), "tick", '{"id":7}')
    assert (message.excluded, message.connection) == ("1.2", "reverb")


@pytest.mark.parametrize(
    ("data", "text"), [(None, "{}"), ({}, "{}"), ([], "[]"), (7, "7"), ("x", '"x"'), (False, "false")]
)
def test_data_of_any_kind(data: Any, text: str) -> None:
    assert composed("a", data=data)[0].data == text


def test_more_than_a_hundred_channels_are_split() -> None:
    names = [f"channel-{number}" for number in range(250)]
    messages = composed(names)
    assert [len(message.channels) for message in messages] == [100, 100, 50]
    assert [name for message in messages for name in message.channels] == names
    assert len({message.id for message in messages}) == 3


def test_encrypted_channels_have_messages_to_themselves() -> None:
    messages = composed(["a", EncryptedPrivateChannel("x"), "b", EncryptedPrivateChannel("y").cached()])
    assert [message.channels for message in messages] == [
        ("a", "b"),
        ("private-encrypted-x",),
        ("private-encrypted-cache-y",),
    ]


def test_each_connection_gets_its_own() -> None:
    assert [(each.connection, each.channels) for each in compose(["a"], "n", None, None, ["x", "y"])] == [
        ("x", ("a",)),
        ("y", ("a",)),
    ]


def test_no_channel_is_no_message() -> None:
    assert composed([]) == []


@pytest.mark.parametrize(
    ("channels", "name", "reason"),
    [
        ("no channel", "tick", "event 'tick': channel name 'no channel' has a character other than"),
        (["a", ""], "tick", "event 'tick': channel name is empty"),
        ("x" * 201, "tick", "event 'tick': channel name of 201 characters: at most 200"),
        ("a", "", "event '' on a: an event's name is a text of 1 to 200 characters"),
        ("a", "x" * 201, "an event's name is a text of 1 to 200 characters"),
        ("a", "\ud800", "an event's name is a text of 1 to 200 characters"),
        ("a", 7, "event 7 on a: an event's name is a text"),
        (
            "a",
            "soundpost:gap",
            "event on a: event name 'soundpost:gap': names that begin with pusher:, pusher_internal",
        ),
        ("a", "pusher:error", "event on a: event name 'pusher:error': names that begin with"),
        (7, "tick", ""),
    ],
)
def test_names_that_no_server_takes(channels: Any, name: Any, reason: str) -> None:
    with pytest.raises((PayloadError, TypeError)) as caught:
        composed(channels, name)
    assert reason in str(caught.value)


def test_a_few_channels_are_shown() -> None:
    assert shown(["a", "b"]) == "a, b"
    assert shown(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


class TestRequests:
    """Messages as requests of the API."""

    settings = ConnectionSettings(app_id="1", key="k", secret="s")

    def test_neighbours_share_a_batch_of_ten(self) -> None:
        messages = [Message(("a",), f"n{number}", "{}") for number in range(25)]
        requests = list(requests_for(messages, self.settings))
        assert [(request.path, len(request.messages), request.behind) for request in requests] == [
            ("/batch_events", 10, 15),
            ("/batch_events", 10, 5),
            ("/batch_events", 5, 0),
        ]

    def test_a_message_to_several_channels_goes_alone_and_in_its_place(self) -> None:
        messages = [Message(("a",), "1", "{}"), Message(("a", "b"), "2", "{}"), Message(("a",), "3", "{}", "1.2")]
        requests = list(requests_for(messages, self.settings))
        assert [(request.path, request.body) for request in requests] == [
            ("/events", b'{"name":"1","data":"{}","channels":["a"]}'),
            ("/events", b'{"name":"2","data":"{}","channels":["a","b"]}'),
            ("/events", b'{"name":"3","data":"{}","socket_id":"1.2","channels":["a"]}'),
        ]

    def test_reverb_takes_small_requests_only(self) -> None:
        messages = [Message(("a",), "n", '"' + "x" * 4000 + '"') for _ in range(5)]
        reverb = ConnectionSettings(driver="reverb", app_id="1", key="k", secret="s")
        assert [len(request.messages) for request in requests_for(messages, reverb)] == [2, 2, 1]
        assert all(len(request.body) < 10_000 for request in requests_for(messages, reverb))
        assert [len(request.messages) for request in requests_for(messages, self.settings)] == [5]

    def test_bytes_count_and_not_characters(self) -> None:
        messages = [Message(("a",), "n", '"' + "ä" * 2000 + '"') for _ in range(4)]
        reverb = ConnectionSettings(driver="reverb", app_id="1", key="k", secret="s")
        assert all(len(request.body) < 10_000 for request in requests_for(messages, reverb))

    def test_half_a_character_in_a_batch_becomes_its_escape(self) -> None:
        messages = [Message(("a",), "1", "\ud83d", "1.2"), Message(("a",), "2", "{}")]
        (request,) = requests_for(messages, self.settings)
        assert json.loads(request.body) == {
            "batch": [
                {"name": "1", "data": "\ud83d", "socket_id": "1.2", "channel": "a"},
                {"name": "2", "data": "{}", "channel": "a"},
            ]
        }

    def test_the_same_messages_have_the_same_key(self) -> None:
        messages = [Message(("a",), "n", "{}") for _ in range(3)]
        first, again = (next(iter(requests_for(messages, self.settings))) for _ in range(2))
        assert first.headers == again.headers == {"Idempotency-Key": f"{messages[0].id}+3"}
        (single,) = requests_for(messages[:1], self.settings)
        assert single.headers == {"Idempotency-Key": messages[0].id}

    @pytest.mark.parametrize(
        ("options", "field"), [({"ephemeral": True}, b'"ephemeral":true'), ({"key_id": "k7"}, b'"key_id":"k7"')]
    )
    def test_only_a_soundpost_server_is_told_what_concerns_histories(
        self, options: dict[str, Any], field: bytes
    ) -> None:
        messages = [Message(("a",), "n", "{}", **options)]
        (request,) = requests_for(messages, self.settings)
        assert request.body == b'{"name":"n","data":"{}",%b,"channels":["a"]}' % field
        for driver in ("reverb", "pusher"):
            other = ConnectionSettings(driver=driver, app_id="1", key="k", secret="s")
            (request,) = requests_for(messages, other)
            assert request.body == b'{"name":"n","data":"{}","channels":["a"]}'
