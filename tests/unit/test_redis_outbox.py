"""Events for other hosts: sent at once, or kept in their order, up to a size and an age."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from soundpost.backplane.redis import outbox as module
from soundpost.backplane.redis.outbox import Command, Outbox


class Wire:
    """What was sent, and who waits for the answer."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.waiting: list[Callable[[Any], None]] = []
        self.now = 0.0

    def send(self, bucket: bytes, command: Command, then: Callable[[Any], None]) -> None:
        self.sent.append(command[0])
        self.waiting.append(then)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def outbox(wire: Wire) -> Outbox:
    return Outbox(wire.send, lambda: wire.now)


def put(outbox: Outbox, name: str, size: int = 10) -> list[bool]:
    answers: list[bool] = []
    outbox.send(b"1:0", lambda: (name,), size, answers.append)
    return answers


def test_events_wait_until_they_can_flow(outbox: Outbox, wire: Wire) -> None:
    assert put(outbox, "a") == [False]
    outbox.open()
    answers = put(outbox, "b")
    assert wire.sent == ["a", "b"]
    assert answers == []
    wire.waiting[1](1)
    assert answers == [True]


def test_what_was_not_answered_is_sent_again_before_what_came_after_it(outbox: Outbox, wire: Wire) -> None:
    outbox.open()
    answers = put(outbox, "a") + put(outbox, "b")
    outbox.shut()
    put(outbox, "c")
    for then in wire.waiting:
        then(ConnectionError("lost"))
    assert len(outbox) == 3
    outbox.open()
    assert wire.sent == ["a", "b", "a", "b", "c"]
    assert answers == []


def test_old_events_and_those_beyond_the_size_are_lost_and_counted(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 25)
    for name in "abc":
        put(outbox, name)
    assert outbox.lost == 1
    wire.now = module.MAX_AGE + 1
    put(outbox, "d")
    outbox.open()
    assert wire.sent == ["d"]
    assert outbox.lost == 3
    assert "3 event(s) for other hosts were lost" in caplog.text
