"""Events for other hosts: sent at once, or kept in their order, up to a size and an age."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.backplane.redis import publish_queue as module
from soundpost.backplane.redis.publish_queue import Outbox, Publication


class Wire:
    """What was sent, and who waits for the answer."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.waiting: list[Callable[[Any], None]] = []
        self.now = 0.0

    def send(self, publication: Publication, then: Callable[[Any], None]) -> None:
        self.sent.append(publication.arguments[1].decode())
        self.waiting.append(then)

    def answer(self, value: Any = 1) -> None:
        """Answer all that was sent up to now."""
        waiting, self.waiting = self.waiting, []
        for then in waiting:
            then(value)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def outbox(wire: Wire) -> Outbox:
    return Outbox(wire.send, lambda: wire.now)


def put(outbox: Outbox, name: str) -> list[bool]:
    answers: list[bool] = []
    outbox.send(Publication(b"1:0", b"", (b"channel", name.encode())), answers.append)
    return answers


def test_events_wait_until_they_can_flow(outbox: Outbox, wire: Wire) -> None:
    assert put(outbox, "a") == [False]
    outbox.open()
    wire.answer()
    answers = put(outbox, "b")
    assert wire.sent == ["a", "b"]
    assert answers == []
    wire.answer()
    assert answers == [True]


def test_what_was_not_answered_is_sent_again_before_what_came_after_it(outbox: Outbox, wire: Wire) -> None:
    outbox.open()
    answers = put(outbox, "a") + put(outbox, "b")
    outbox.shut()
    put(outbox, "c")
    wire.answer(ConnectionError("lost"))
    assert len(outbox) == 3
    outbox.open()
    assert wire.sent == ["a", "b", "a", "b", "c"]
    assert answers == []


def test_many_that_wait_are_sent_in_portions_and_what_is_new_behind_them(outbox: Outbox, wire: Wire) -> None:
    reached: list[int] = []
    outbox.on_flow = lambda: reached.append(len(wire.sent))
    names = [str(number) for number in range(2 * module.PORTION + 3)]
    for name in names:
        put(outbox, name)
    outbox.open()
    assert len(wire.sent) == module.PORTION
    assert put(outbox, "new") == [False]
    for _ in range(3):
        assert not outbox.flows
        wire.answer()
    assert outbox.flows
    assert wire.sent == [*names, "new"]
    assert reached == [len(names) + 1]
    assert put(outbox, "newer") == []


def test_a_connection_lost_in_a_portion_loses_nothing_and_changes_no_order(outbox: Outbox, wire: Wire) -> None:
    names = [f"{number:04}" for number in range(module.PORTION + 10)]
    for name in names:
        put(outbox, name)
    outbox.open()
    wire.answer(ConnectionError("lost"))
    outbox.shut()
    assert len(outbox) == len(names)
    wire.sent.clear()
    outbox.open()
    wire.answer()
    wire.answer()
    assert wire.sent == names
    assert not len(outbox)


def test_what_redis_refuses_is_offered_again_when_it_was_away_and_holds_nothing_up(
    outbox: Outbox, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    put(outbox, "a")
    outbox.open()
    wire.answer(hiredis.ReplyError("OOM command not allowed"))
    assert outbox.flows
    assert "Redis refuses events, which wait: OOM" in caplog.text
    put(outbox, "b")
    assert wire.sent == ["a", "b"]
    wire.answer()
    outbox.shut()
    put(outbox, "c")
    outbox.open()
    assert wire.sent == ["a", "b", "a", "c"]


def test_old_events_and_those_beyond_the_size_are_lost_and_counted(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(outbox, "a")
    monkeypatch.setattr(module, "MAX_BYTES", 2 * outbox._size)
    put(outbox, "b")
    put(outbox, "c")
    assert outbox.lost == 1
    wire.now = module.MAX_AGE + 1
    put(outbox, "d")
    outbox.open()
    assert wire.sent == ["d"]
    assert outbox.lost == 3
    assert "3 event(s) for other hosts were lost" in caplog.text


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40), st.lists(st.binary(), max_size=7))))
def test_what_waits_comes_back_whatever_is_in_it(events: list[tuple[bytes, bytes, list[bytes]]]) -> None:
    sent = []
    outbox = Outbox(lambda publication, then: sent.append((publication, then)), lambda: 0.0)
    publications = [Publication(bucket, script, tuple(arguments)) for bucket, script, arguments in events]
    for each in publications:
        outbox.send(each, lambda taken: None)
    outbox.open()
    assert [publication for publication, _ in sent] == publications
    assert outbox._size == 0


_FILL = """
import resource, sys
from soundpost.backplane.redis.publish_queue import MAX_BYTES, Outbox, Publication
from soundpost.backplane.redis import messages

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

sent = []
outbox = Outbox(lambda publication, then: sent.append(then), lambda: 0.0)
before = resident()
size = int(sys.argv[1])
for number in range(900_000 if size < 1_000 else 20_000):
    data = messages.event(b"0123456789abcdef", number, None, b"%d" % number + b"x" * size)
    outbox.send(Publication(b"1:%d" % (number % 16), b"", (b"orders.%d" % number, data)), lambda taken: None)
full = resident()
outbox.open()
most = resident()
while sent:
    sent.pop()(1)
    most = max(most, resident()) if len(sent) % 64 == 0 else most
assert outbox.flows
print((full - before) / MAX_BYTES, (most - before) / MAX_BYTES, outbox.lost)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read as Linux tells it")
@pytest.mark.parametrize("size", [0, 30, 300, 10_000])
def test_what_waits_takes_the_memory_it_may_and_no_more(size: int) -> None:
    """900,000 events of a few bytes took 578 MiB once, where 32 were promised."""
    done = subprocess.run([sys.executable, "-c", _FILL, str(size)], capture_output=True, text=True, check=True)
    waiting, sending, lost = map(float, done.stdout.split())
    assert lost > 0
    assert 0.5 < waiting < 1.3
    assert sending < 1.3
