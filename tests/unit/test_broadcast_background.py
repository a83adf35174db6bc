"""Sending from a thread of the process."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from soundpost.broadcasting.delivery import background
from soundpost.broadcasting.delivery.background import BackgroundDelivery
from soundpost.broadcasting.delivery.send_queue import SendQueue
from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.failures import Errors
from soundpost.broadcasting.drivers.requests import WrittenBatch
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.retry import RetryPolicy
from soundpost.errors import BroadcastError
from soundpost.wire.json_text import encode
from support.harness import until


class Drivers:
    """Takes messages, or fails as it is told."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.batches: list[list[str]] = []
        self.refused: set[str] = set()
        self.limit: BatchLimit | None = None
        self.limits: list[BatchLimit | None] = []
        self.threads: set[str] = set()
        self.failures: list[Exception] = []
        self.asked = self.tries = 0
        self.open = threading.Event()
        self.open.set()

    def send_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        self.asked += 1
        self.limits.append(limit)
        self.open.wait(20)
        self.tries += 1
        self.threads.add(threading.current_thread().name)
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([message.name for message in messages])
        refused = {
            place: BroadcastError(f"event {message}: refused", 422)
            for place, message in enumerate(messages)
            if message.name in self.refused
        }
        self.sent += [message.name for place, message in enumerate(messages) if place not in refused]
        return refused

    def batch_limit(self, connection: str) -> BatchLimit | None:
        return self.limit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


AWAY = BroadcastError("event tick on a: nothing listens")


@pytest.fixture
def drivers() -> Drivers:
    return Drivers()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delivery(drivers: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundDelivery]:
    monkeypatch.setattr(background, "RETRY_POLICY", RetryPolicy((0.01,)))
    monkeypatch.setattr(background, "FLUSH_TIME", 0.3)
    made = BackgroundDelivery(drivers, max_waiting=100, clock=clock)
    yield made
    drivers.failures.clear()
    drivers.open.set()
    made.close()


def message(name: object) -> Message:
    return Message(("a",), str(name), "{}")


def test_sent_in_order_by_one_thread(delivery: BackgroundDelivery, drivers: Drivers) -> None:
    for number in range(50):
        delivery.deliver([message(number)], "default")
    delivery.close()
    assert drivers.sent == [str(number) for number in range(50)]
    assert drivers.threads == {"soundpost-broadcast"}


async def test_event_loops_are_not_blocked(delivery: BackgroundDelivery, drivers: Drivers) -> None:
    drivers.open.clear()
    await delivery.adeliver([message(1)], "default")
    assert drivers.sent == []
    drivers.open.set()
    until(lambda: drivers.sent == ["1"], "the message")


def test_a_driver_that_cannot_tell_its_limit_is_asked_to_send_all_the_same(
    delivery: BackgroundDelivery, drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: str) -> BatchLimit | None:
        raise OSError("no entropy")

    monkeypatch.setattr(drivers, "batch_limit", fail)
    drivers.open.clear()
    for number in range(3):
        delivery.deliver([message(number)], "default")
    drivers.open.set()
    until(lambda: drivers.sent == ["0", "1", "2"], "the messages")


def test_no_more_than_a_bound_may_wait(delivery: BackgroundDelivery, drivers: Drivers) -> None:
    drivers.open.clear()
    for number in range(10):
        delivery.deliver([message(number)] * 10, "default")
    with pytest.raises(BroadcastError, match="event 10 on a: 100 messages wait to be sent in the background, 100 may"):
        delivery.deliver([message(10)], "default")
    drivers.open.set()
    delivery.close()
    delivery.deliver([message("room again")], "default")
    delivery.close()
    assert drivers.sent[-1] == "room again"
    assert len(drivers.sent) == 101


def test_one_call_may_have_more_than_the_bound_if_nothing_waits(delivery: BackgroundDelivery, drivers: Drivers) -> None:
    drivers.open.clear()
    delivery.deliver([message(number) for number in range(150)], "default")
    with pytest.raises(BroadcastError, match="event 150 on a: 150 messages wait"):
        delivery.deliver([message(150)], "default")
    drivers.open.set()
    delivery.close()
    assert len(drivers.sent) == 150


class InterruptedEntries(deque[Any]):
    """Entries of a queue whose first caller is interrupted as soon as its own has been taken."""

    def append(self, entry: Any) -> None:
        super().append(entry)
        if entry.messages[0].name == "interrupted":
            raise KeyboardInterrupt


def test_a_caller_that_is_interrupted_leaves_no_event_waiting(delivery: BackgroundDelivery, drivers: Drivers) -> None:
    delivery.deliver([message("first")], "default")
    queue = delivery._queue()
    until(lambda: queue.is_idle, "the thread waits")
    queue.entries = InterruptedEntries()
    with pytest.raises(KeyboardInterrupt):
        delivery.deliver([message("interrupted")], "default")
    delivery.deliver([message("next")], "default")
    until(lambda: drivers.sent == ["first", "interrupted", "next"], "all messages")


def test_a_handler_that_publishes_while_the_thread_starts_starts_no_other(
    delivery: BackgroundDelivery, drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def start_under_a_signal(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == 1:
            delivery.deliver([message("of the handler")], "default")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_under_a_signal)
    delivery.deliver([message("of the program")], "default")
    until(lambda: drivers.sent == ["of the handler", "of the program"], "both messages")
    assert len(started) == 1


def test_a_server_that_is_away_is_tried_again_and_the_order_is_kept(
    delivery: BackgroundDelivery, drivers: Drivers
) -> None:
    drivers.failures = [AWAY, BroadcastError("x", 503), BroadcastError("x", 429)]
    for number in range(3):
        delivery.deliver([message(number)], "default")
    until(lambda: drivers.sent == ["0", "1", "2"], "the messages")
    assert drivers.tries == 6


def test_a_server_is_asked_again_when_it_wants_to_be_unless_the_messages_are_given_up_before(
    delivery: BackgroundDelivery, drivers: Drivers, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(queue: Any, seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(SendQueue, "pause", pause)
    for seconds in (7.0, 0.0, 60.0):
        busy = BroadcastError("event tick on a: too many requests", 429)
        busy.retry_after = seconds
        drivers.failures.append(busy)
    delivery.deliver([message("tick")], "default")
    until(lambda: drivers.sent == ["tick"], "the message")
    assert pauses == [7.0, 0.01, 0.01]


def test_what_waited_too_long_is_given_up_and_logged(
    delivery: BackgroundDelivery, drivers: Drivers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    drivers.failures = [AWAY] * 1000
    delivery.deliver([message("old")], "default")
    until(lambda: drivers.tries > 2, "tries")
    clock.now = background.KEEP_TRYING
    until(lambda: "not sent: event tick on a: nothing listens" in caplog.text, "the log")
    drivers.failures.clear()
    delivery.deliver([message("new")], "default")
    until(lambda: drivers.sent == ["new"], "the next message")


@pytest.mark.parametrize("error", [BroadcastError("event tick on a: refused", 401), ValueError("a driver's mistake")])
def test_what_would_fail_again_is_logged_and_the_next_is_sent(
    delivery: BackgroundDelivery, drivers: Drivers, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    drivers.failures = [error]
    delivery.deliver([message("lost")], "default")
    delivery.deliver([message("next")], "default")
    until(lambda: drivers.sent == ["next"], "the next message")
    assert "not sent: " in caplog.text
    assert str(error) in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_broken_handler_of_the_log_stops_no_later_message(delivery: BackgroundDelivery, drivers: Drivers) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            background.log.removeHandler(self)
            raise RuntimeError("the disk is full")

    drivers.limit, drivers.refused = BatchLimit(5, 1_000), {"wrong"}
    background.log.addHandler(Broken())
    delivery.deliver([message("right"), message("wrong")], "default")
    until(lambda: delivery._queue().thread is None, "the end of the thread")
    delivery.deliver([message("next")], "default")
    until(lambda: drivers.batches == [["right", "wrong"], ["next"]], "the next message, and no other again")


def test_the_end_does_not_wait_for_ever_and_says_what_is_lost(
    delivery: BackgroundDelivery, drivers: Drivers, caplog: pytest.LogCaptureFixture
) -> None:
    drivers.failures = [AWAY] * 100_000
    delivery.deliver([message("first"), message("second")], "default")
    until(lambda: drivers.tries > 0, "a try")
    before = drivers.tries
    delivery.close()
    assert "2 message(s) were not sent before the end: first on a, second on a" in caplog.text
    assert 1 <= drivers.tries - before < 100, "it was tried again, but not without a pause"


class TestBatches:
    """Messages that wait go together, where the server takes large batches."""

    @pytest.fixture(autouse=True)
    def _large(self, drivers: Drivers) -> None:
        drivers.limit = BatchLimit(5, 1_000)
        drivers.open.clear()

    def send(self, delivery: BackgroundDelivery, drivers: Drivers, *names: object) -> None:
        """Have the first one be under way while the others come, and wait until all are sent."""
        for number, name in enumerate(names):
            delivery.deliver([message(name)], "default")
            if not number:
                until(lambda: delivery._queue().thread is not None, "the thread")
                until(lambda: drivers.asked > 0, "the first batch")
        drivers.open.set()
        delivery.close()

    def test_as_many_as_the_server_takes(self, delivery: BackgroundDelivery, drivers: Drivers) -> None:
        self.send(delivery, drivers, *"abcdefgh")

        assert drivers.batches == [["a"], ["b", "c", "d", "e", "f"], ["g", "h"]]

    def test_a_refused_message_is_named_and_takes_no_other_with_it(
        self, delivery: BackgroundDelivery, drivers: Drivers, caplog: pytest.LogCaptureFixture
    ) -> None:
        drivers.refused = {"c"}
        self.send(delivery, drivers, *"abcd")

        assert drivers.sent == ["a", "b", "d"]
        assert [record.message for record in caplog.records] == ["not sent: event c on a: refused"]

    def test_a_batch_that_is_tried_again_stays_as_it_was(self, delivery: BackgroundDelivery, drivers: Drivers) -> None:
        drivers.failures = [AWAY]
        self.send(delivery, drivers, *"abcd")

        assert drivers.batches == [["a"], ["b", "c", "d"]]
        assert drivers.asked == 3

    def test_a_batch_that_is_tried_again_has_the_limit_of_before(
        self, delivery: BackgroundDelivery, drivers: Drivers
    ) -> None:
        drivers.limit = None
        drivers.failures = [AWAY]
        delivery.deliver([message(name) for name in "abc"], "default")
        until(lambda: drivers.asked > 0, "the first attempt")
        drivers.limit = BatchLimit(5, 1_000)
        drivers.open.set()
        delivery.close()

        assert drivers.limits == [None, None]

    def test_a_batch_has_as_many_long_texts_as_fit_in_one_request(
        self, delivery: BackgroundDelivery, drivers: Drivers
    ) -> None:
        drivers.limit = BatchLimit(50, 10_000)
        delivery.deliver([message("first")], "default")
        until(lambda: drivers.asked > 0, "the first batch")
        for number in range(40):
            delivery.deliver([Message(("a",), f"{number:02}", json.dumps('"' * 200))], "default")
        drivers.open.set()
        delivery.close()

        size = len(encode({"name": "39", "data": json.dumps('"' * 200), "channel": "a"}))
        most = (10_000 - len('{"batch":[]}') + 1) // (size + 1)
        assert len(drivers.batches[1]) == most < 40

    def test_short_messages_go_together_again_after_long_ones_that_take_more_bytes_than_characters(
        self, delivery: BackgroundDelivery, drivers: Drivers
    ) -> None:
        drivers.limit = BatchLimit(50, 9_000)
        delivery.deliver([message("first")], "default")
        until(lambda: drivers.asked > 0, "the first batch")
        for name in ("long", "longer"):
            delivery.deliver([Message(("a",), name, json.dumps("信" * 2_500, ensure_ascii=False))], "default")
        drivers.open.set()
        until(lambda: len(drivers.sent) == 3, "the long ones")
        drivers.open.clear()
        asked = drivers.asked
        delivery.deliver([message("next")], "default")
        until(lambda: drivers.asked > asked, "the next batch")
        for number in range(40):
            delivery.deliver([Message(("a",), f"{number:02}", '{"a":1}')], "default")
        drivers.open.set()
        delivery.close()

        assert [len(batch) for batch in drivers.batches] == [1, 1, 1, 1, 40]

    def test_a_later_batch_of_like_messages_is_written_once_for_its_size(
        self, delivery: BackgroundDelivery, drivers: Drivers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drivers.limit = BatchLimit(50, 10_000)
        tried: list[int] = []

        def of(messages: Iterable[Message]) -> WrittenBatch:
            batch = write(messages)
            tried.append(len(batch))
            return batch

        write = WrittenBatch.of
        monkeypatch.setattr(WrittenBatch, "of", of)
        delivery.deliver([message("first")], "default")
        until(lambda: drivers.asked > 0, "the first batch")
        for number in range(60):
            delivery.deliver([Message(("a",), f"{number:02}", json.dumps('"' * 200))], "default")
        drivers.open.set()
        delivery.close()

        sent = [len(batch) for batch in drivers.batches[1:]]
        assert sent[0] == sent[1] == tried[-len(sent) + 1]
        assert len(tried) == len(sent) + 1

    def test_messages_of_another_connection_are_no_part_of_it(
        self, delivery: BackgroundDelivery, drivers: Drivers
    ) -> None:
        delivery.deliver([message("a")], "default")
        until(lambda: drivers.asked > 0, "the first batch")
        for name, connection in (("b", ""), ("c", "other"), ("d", "other"), ("e", "")):
            delivery.deliver([Message(("a",), name, "{}", connection=connection)], "default")
        drivers.open.set()
        delivery.close()

        assert drivers.batches == [["a"], ["b"], ["c", "d"], ["e"]]

    def test_messages_of_different_times_are_not_given_up_together(
        self, delivery: BackgroundDelivery, drivers: Drivers, clock: Clock
    ) -> None:
        delivery.deliver([message("a")], "default")
        until(lambda: drivers.asked > 0, "the first batch")
        for name in "bcd":
            clock.now += 0.6
            delivery.deliver([message(name)], "default")
        drivers.open.set()
        delivery.close()

        assert drivers.batches == [["a"], ["b", "c"], ["d"]]
