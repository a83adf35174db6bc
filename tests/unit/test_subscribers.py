"""Subscribers of a channel: none, one or many, they are a mapping of connections to user ids."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.core.connection import Connection
from soundpost.core.subscribers import Subscribers

CONNECTIONS = [cast("Connection", object()) for _ in range(4)]
STEPS = st.lists(st.tuples(st.sampled_from(CONNECTIONS), st.sampled_from(["add", "remove"]), st.none() | st.text()))


@given(STEPS)
@pytest.mark.interpreted
def test_they_are_what_a_dict_would_be(steps: list[tuple[Connection, str, str | None]]) -> None:
    subscribers, expected = Subscribers(), dict[Connection, str | None]()
    for connection, step, user_id in steps:
        if step == "add":
            subscribers[connection] = expected[connection] = user_id
        elif connection in expected:
            assert subscribers.pop(connection) == expected.pop(connection)
        else:
            with pytest.raises(KeyError):
                subscribers.pop(connection)
        assert list(subscribers) == list(subscribers.connections) == list(expected)
        assert len(subscribers) == len(expected)
        assert [subscribers.get(each) for each in CONNECTIONS] == [expected.get(each) for each in CONNECTIONS]
        assert [each in subscribers for each in CONNECTIONS] == [each in expected for each in CONNECTIONS]
        assert [subscribers[each] for each in expected] == list(expected.values())


@pytest.mark.interpreted
def test_those_set_aside_come_back_behind_the_others() -> None:
    first, second, third, _ = CONNECTIONS
    subscribers = Subscribers()
    subscribers[first] = "1"
    subscribers.update({second: "2", third: None})

    assert [(each, subscribers[each]) for each in subscribers] == [(first, "1"), (second, "2"), (third, None)]


@pytest.mark.interpreted
def test_the_connections_of_a_large_channel_follow_who_comes_and_goes() -> None:
    members = [cast("Connection", object()) for _ in range(1_500)]
    subscribers, expected = Subscribers(), dict[Connection, str | None]()

    def read() -> list[Connection]:
        assert list(subscribers) == list(expected)
        return list(subscribers.connections)

    for member in members:
        subscribers[member] = expected[member] = None
    assert read() == members
    for member in members[100:600]:
        assert subscribers.pop(member) == expected.pop(member)
        assert read() == list(expected)
    for member in members[300:500]:
        subscribers[member] = expected[member] = None
        assert read() == list(expected)


@pytest.mark.interpreted
def test_who_is_no_subscriber_has_no_user_id() -> None:
    subscribers = Subscribers()
    with pytest.raises(KeyError):
        subscribers[CONNECTIONS[0]]
