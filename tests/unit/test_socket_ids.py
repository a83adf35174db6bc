"""One rule for socket ids, at every door that one comes through."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.broadcasting.drivers.requests import requests_for
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.broadcasting.socket_id import current_socket_id, socket_id
from soundpost.core.connection import SocketIds
from soundpost.pusher import Pusher
from soundpost.wire.socket_id import fault, is_socket_id
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

NONE = [
    "",
    "undefined",
    "null",
    "x y",
    "1",
    "1.",
    ".1",
    "1.2.3",
    "-1.2",
    "1,2",
    "1e5.2",
    " 1.2",
    "1.2 ",
    "1.2\n",
    "1.2\x00",
    "1.2:private-admin",
    "1.2\r\nX: y",
    "１.２",
    "١.٢",
    "1" * 21 + ".1",
    "1." + "1" * 100_000,
    '1.2 \x81\x05{"a"}',
]
"""Texts that are not socket ids."""


@pytest.mark.parametrize("text", ["1.2", "0.0", "4294967295.4294967295", "9" * 20 + "." + "9" * 20])
def test_digits_a_dot_and_digits_are_one(text: str) -> None:
    assert is_socket_id(text)
    assert fault(text) is None


def test_what_a_server_gives_is_one() -> None:
    ids = SocketIds()
    given = [ids.new() for _ in range(1_000)]
    assert all(map(is_socket_id, given))
    assert len(set(given)) == 1_000


def test_two_nodes_give_different_ones() -> None:
    first, second = SocketIds(), SocketIds()
    assert not {first.new() for _ in range(1_000)} & {second.new() for _ in range(1_000)}


@pytest.mark.parametrize("value", [*NONE, None, 1.2, 12, True, b"1.2", ["1.2"], {}])
def test_nothing_else_is(value: object) -> None:
    assert not is_socket_id(value)
    said = fault(value)
    assert said is not None
    assert said.endswith("expected digits, a dot, digits, as in 123.456")


@given(st.text())
def test_what_is_said_of_another_is_one_short_plain_line(text: str) -> None:
    said = fault(text)
    assert (said is None) == bool(re.fullmatch(r"[0-9]{1,20}\.[0-9]{1,20}", text))
    assert said is None or (said.isascii() or "…" in said)
    assert said is None or (said.replace("…", "").isprintable() and len(said) < 700)


def pusher() -> Pusher:
    return Pusher("1", "key", "secret", host="127.0.0.1", port=1, ssl=False)


def via_pusher_batch(socket_id: str) -> None:
    pusher().trigger_batch([{"channel": "a", "name": "b", "data": "c", "socket_id": socket_id}])


def via_encoded_pusher_batch(socket_id: str) -> None:
    event = {"channel": "a", "name": "b", "data": "c", "socket_id": socket_id}
    pusher().trigger_batch([event], already_encoded=True)


DOORS: list[tuple[Callable[[str], object], type[Exception]]] = [
    (lambda text: pusher().authenticate("private-a", text), ValueError),
    (lambda text: pusher().authenticate_user(text, {"id": "1"}), ValueError),
]


@pytest.mark.parametrize("text", NONE)
@pytest.mark.parametrize(("door", "error"), DOORS)
def test_who_names_a_socket_is_told_before_anything_is_sent(
    door: Callable[[str], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match="not a socket id: expected digits"):
        door(text)


@pytest.mark.parametrize("text", [text for text in NONE if text])
@pytest.mark.parametrize(
    "door", [lambda text: pusher().trigger("a", "b", {}, text), via_pusher_batch, via_encoded_pusher_batch]
)
def test_the_official_interface_refuses_all_but_an_empty_one(door: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match="not a socket id"):
        door(text)


@pytest.mark.parametrize("text", NONE)
def test_a_message_goes_to_everybody_instead(text: str) -> None:
    """A broken socket id, of a browser's header or a queue, loses no event and is not passed on."""
    with socket_id(text):
        assert current_socket_id() is None
    message = Message.from_dict({"c": ["a"], "n": "b", "d": "{}", "s": text, "i": "7"})
    assert message.excluded is None
    settings = ConnectionSettings(app_id="1", key="k", secret="s")
    assert all(b"socket_id" not in request.body for request in requests_for([message], settings))


@pytest.mark.parametrize("value", [1.2, 12, b"1.2", ["1.2"]])
def test_so_does_one_with_a_value_of_another_type(value: Any) -> None:
    assert Message.from_dict({"c": ["a"], "n": "b", "d": "{}", "s": value, "i": "7"}).excluded is None


@pytest.mark.parametrize("text", ["undefined", "", "x y"])
def test_the_shell_command_refuses_it(command_line: CommandLine, text: str) -> None:
    result = command_line.run("trigger", "a", "b", "--socket-id", text)
    assert result.exit_code == 2
    assert "not a socket id" in result.stderr
