"""What ``broadcast`` does with an event: whom it leaves out, through what it goes, when, and what if it fails."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from soundpost import Broadcaster, Event, SocketIdMiddleware, current_socket_id
from soundpost.broadcasting.drivers.offline import MemoryDriver
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.broadcasting.socket_id import socket_id
from soundpost.errors import BroadcastError, ConfigurationError, PayloadError


class Tick(Event, on="ticks"):
    number: int = 0


class Recorder:
    """A delivery that writes down what it is given; it can be told to fail."""

    def __init__(self) -> None:
        self.jobs: list[tuple[list[Message], str]] = []
        self.failure: Exception | None = None

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.jobs.append((list(messages), queue))

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        await asyncio.sleep(0)
        self.deliver(messages, queue)

    def close(self) -> None:
        pass

    @property
    def names(self) -> list[list[str]]:
        return [[message.name for message in messages] for messages, _ in self.jobs]

    @property
    def messages(self) -> list[Message]:
        return [message for messages, _ in self.jobs for message in messages]


@pytest.fixture
def delivery() -> Recorder:
    return Recorder()


@pytest.fixture
def broadcaster(delivery: Recorder) -> Broadcaster:
    made = Broadcaster()
    made.configure(connections={"main": {"driver": "null"}, "other": {"driver": "null"}})
    made._delivery = delivery
    return made


class TestLeavingOut:
    """``to_others``, and the request's ``X-Socket-ID``."""

    def test_the_request_s_own_browser(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        broadcaster(Tick(), to_others=True)
        with socket_id("123.456"):
            broadcaster(Tick(), to_others=True)
            broadcaster(Tick())
            broadcaster.publish("a", "b", to_others=True)
        assert [message.excluded for message in delivery.messages] == [None, "123.456", None, "123.456"]
        assert current_socket_id() is None

    def test_another_browser_by_its_id(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        with socket_id("123.456"):
            broadcaster(Tick(), socket_id="7.8", to_others=True)
        assert delivery.messages[0].excluded == "7.8"

    @pytest.mark.parametrize("forged", ["x", "1.2.3", "1.2\r\n", "1" * 30 + ".1", "", "-1.2", "１.２"])
    def test_an_id_that_can_be_none_is_left_out(
        self, broadcaster: Broadcaster, delivery: Recorder, caplog: pytest.LogCaptureFixture, forged: str
    ) -> None:
        with caplog.at_level(logging.DEBUG, logger="soundpost"), socket_id(forged):
            broadcaster(Tick(), to_others=True)
        broadcaster(Tick(), socket_id=forged)
        assert [message.excluded for message in delivery.messages] == [None, None]
        assert not forged or "is not a socket id and is left out" in caplog.text

    def test_threads_and_tasks_with_a_copied_context_know_it(
        self, broadcaster: Broadcaster, delivery: Recorder
    ) -> None:
        async def in_a_task() -> None:
            await asyncio.create_task(broadcaster.abroadcast(Tick(1), to_others=True))
            await asyncio.to_thread(broadcaster, Tick(2), to_others=True)

        with socket_id("1.2"), ThreadPoolExecutor(1) as threads:
            asyncio.run(in_a_task())
            threads.submit(copy_context().run, lambda: broadcaster(Tick(3), to_others=True)).result()
            threads.submit(broadcaster, Tick(4), to_others=True).result()
        assert [message.excluded for message in delivery.messages] == ["1.2", "1.2", "1.2", None]

    async def test_requests_at_the_same_time_do_not_mix(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(0.01 if scope["path"] == "/slow" else 0)
            await broadcaster.apublish("a", scope["path"], to_others=True)

        served = SocketIdMiddleware(app)

        async def request(path: str, *headers: tuple[bytes, bytes], type: str = "http") -> None:
            scope = {"type": type, "path": path, "headers": list(headers)}
            await served(scope, None, None)  # type: ignore[arg-type]

        await asyncio.gather(
            request("/slow", (b"x-socket-id", b"1.1")),
            request("/fast", (b"accept", b"*/*"), (b"x-socket-id", b"2.2")),
            request("/none"),
            request("/forged", (b"x-socket-id", b"\xff")),
            request("/lifespan", (b"x-socket-id", b"3.3"), type="lifespan"),
        )
        assert {message.name: message.excluded for message in delivery.messages} == {
            "/slow": "1.1",
            "/fast": "2.2",
            "/none": None,
            "/forged": None,
            "/lifespan": None,
        }


class TestWrongOptions:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"on_error": "logs"}, "on_error 'logs': 'raise' or 'log'"),
            ({"ephemeral": "no"}, "ephemeral 'no': True or False"),
            ({"to_others": "no"}, "to_others 'no': True or False"),
            ({"queue": 5}, "queue 5: the name of a queue is expected"),
            ({"via": 5}, "via 5: the name of a connection, or several names, are expected"),
            ({"socket_id": 5}, "socket_id 5: text such as '1234.5678' is expected"),
            ({"session": 5}, "session is of type int: a session of SQLAlchemy is expected"),
        ],
    )
    async def test_every_call_refuses_them(
        self, broadcaster: Broadcaster, delivery: Recorder, options: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=reason):
            broadcaster(Tick(), **options)
        with pytest.raises(ConfigurationError, match=reason):
            broadcaster.publish("ticks", "Tick", **options)
        with pytest.raises(ConfigurationError, match=reason):
            broadcaster.to_user(1, "Tick", **options)
        with pytest.raises(ConfigurationError, match=reason):
            await broadcaster.abroadcast(Tick(), **options)
        with pytest.raises(ConfigurationError, match=reason):
            await broadcaster.apublish("ticks", "Tick", **options)
        assert delivery.messages == []

    def test_of_a_transaction(self, broadcaster: Broadcaster) -> None:
        with pytest.raises(ConfigurationError, match="after_commit 'no': True or False"):
            broadcaster(Tick(), after_commit="no")  # type: ignore[arg-type]

    def test_of_the_fake(self, broadcaster: Broadcaster) -> None:
        with pytest.raises(ConfigurationError, match="max_data 'a': a number of bytes"), broadcaster.fake(max_data="a"):
            pass

    def test_settings_of_another_type(self) -> None:
        with pytest.raises(ConfigurationError, match=r"Broadcaster\(dict\): .*configure\(…\) takes a dict"):
            Broadcaster({"driver": "log"})  # type: ignore[arg-type]


class TestConnectionsAndQueues:
    def test_the_default_connection_and_queue(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        broadcaster(Tick())
        assert delivery.messages[0].connection == ""
        assert delivery.jobs[0][1] == "default"

    def test_what_is_said_wins_over_the_class_and_that_over_settings(
        self, broadcaster: Broadcaster, delivery: Recorder
    ) -> None:
        class Slow(Tick, via="other", queue="slow"):
            pass

        broadcaster(Slow())
        broadcaster(Slow(), via="main", queue="fast")
        broadcaster(Slow(), via=["main", "other"])
        assert [[message.connection for message in messages] for messages, _ in delivery.jobs] == [
            ["other"],
            ["main"],
            ["main", "other"],
        ]
        assert [queue for _, queue in delivery.jobs] == ["slow", "fast", "slow"]

    def test_a_connection_that_is_not_there(self, broadcaster: Broadcaster) -> None:
        with pytest.raises(ConfigurationError, match="no connection is named 'nope': there are main, other"):
            broadcaster(Tick(), via="nope")

    def test_to_a_user(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        broadcaster.to_user(7, "poke", {"by": 8}, queue="fast")
        asyncio.run(broadcaster.ato_user("a b", "poke"))
        assert [message.channels for message in delivery.messages] == [("#server-to-user-7",), ("#server-to-user-a b",)]
        assert delivery.jobs[0][1] == "fast"

    def test_settings_as_an_object_with_changes(self) -> None:
        broadcaster = Broadcaster()
        broadcaster.configure(BroadcastSettings(), on_error="log")
        assert broadcaster.settings.on_error == "log"


class TestBatches:
    def test_sent_together_at_the_end(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        with broadcaster.batch():
            broadcaster(Tick(1))
            broadcaster.publish("a", "second")
            assert delivery.jobs == []
        assert delivery.names == [["Tick", "second"]]
        broadcaster(Tick())
        assert len(delivery.jobs) == 2

    async def test_asynchronous(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        async with broadcaster.abatch():
            await broadcaster.abroadcast(Tick(1))
            await broadcaster.apublish("a", "second")
            assert delivery.jobs == []
        assert delivery.names == [["Tick", "second"]]

    async def test_nothing_is_sent_if_the_block_fails(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        def fail() -> None:
            with broadcaster.batch():
                broadcaster(Tick())
                raise ZeroDivisionError

        async def afail() -> None:
            async with broadcaster.abatch():
                await broadcaster.abroadcast(Tick())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        with pytest.raises(ZeroDivisionError):
            await afail()
        assert delivery.jobs == []
        broadcaster(Tick())
        assert len(delivery.jobs) == 1

    def test_an_event_that_cannot_be_sent_is_told_where_it_stands(
        self, broadcaster: Broadcaster, delivery: Recorder
    ) -> None:
        with broadcaster.batch():
            with pytest.raises(PayloadError):
                broadcaster.publish("a", "b", object())
            broadcaster.publish("a", "b")
        assert delivery.names == [["b"]]

    def test_neighbours_for_other_queues_go_apart_and_in_order(
        self, broadcaster: Broadcaster, delivery: Recorder
    ) -> None:
        with broadcaster.batch():
            for name, queue in [("1", "x"), ("2", "x"), ("3", "y"), ("4", "x")]:
                broadcaster.publish("a", name, queue=queue)
        assert delivery.names == [["1", "2"], ["3"], ["4"]]

    def test_a_batch_in_a_batch_is_sent_when_it_ends(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        with broadcaster.batch():
            broadcaster.publish("a", "outer")
            with broadcaster.batch():
                broadcaster.publish("a", "inner")
        assert delivery.names == [["inner"], ["outer"]]

    def test_threads_have_batches_of_their_own(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        with broadcaster.batch():
            thread = threading.Thread(target=broadcaster.publish, args=("a", "elsewhere"))
            thread.start()
            thread.join()
            assert delivery.names == [["elsewhere"]]

    def test_an_empty_one_sends_nothing(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        with broadcaster.batch():
            pass
        assert delivery.jobs == []


class Transactions:
    """A database, of which there is only the transaction."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] | None = None

    def begin(self) -> None:
        self.waiting = []

    def commit(self) -> None:
        waiting, self.waiting = self.waiting or [], None
        for send in waiting:
            send()

    def is_open(self) -> bool:
        return self.waiting is not None

    def defer(self, send: Callable[[], None]) -> bool:
        if self.waiting is None:
            return False
        self.waiting.append(send)
        return True


class TestAfterCommit:
    @pytest.fixture
    def transactions(self, broadcaster: Broadcaster) -> Transactions:
        transactions = Transactions()
        broadcaster.transactions = transactions
        return transactions

    def test_without_a_transaction_it_is_sent_at_once(
        self, broadcaster: Broadcaster, delivery: Recorder, transactions: Transactions
    ) -> None:
        broadcaster(Tick())
        assert len(delivery.jobs) == 1

    def test_it_waits_and_carries_what_was_true_when_it_was_broadcast(
        self, broadcaster: Broadcaster, delivery: Recorder, transactions: Transactions
    ) -> None:
        tick = Tick(1)
        transactions.begin()
        with socket_id("1.2"):
            broadcaster(tick, to_others=True)
        tick.number = 2
        assert delivery.jobs == []
        transactions.commit()
        (message,) = delivery.messages
        assert (message.data, message.excluded) == ('{"number":1}', "1.2")

    def test_payloads_are_checked_at_once(self, broadcaster: Broadcaster, transactions: Transactions) -> None:
        transactions.begin()
        with pytest.raises(PayloadError):
            broadcaster.publish("a", "b", object())

    def test_event_call_and_settings_may_say_otherwise(
        self, broadcaster: Broadcaster, delivery: Recorder, transactions: Transactions
    ) -> None:
        class Urgent(Tick, after_commit=False):
            pass

        transactions.begin()
        broadcaster(Urgent())
        broadcaster(Tick(), after_commit=False)
        assert len(delivery.jobs) == 2
        broadcaster(Urgent(), after_commit=True)
        assert len(delivery.jobs) == 2
        broadcaster.configure(driver="null", after_commit=False)
        broadcaster._delivery = delivery
        broadcaster(Tick())
        assert len(delivery.jobs) == 3
        transactions.commit()
        assert len(delivery.jobs) == 4

    def test_a_batch_waits_as_a_whole(
        self, broadcaster: Broadcaster, delivery: Recorder, transactions: Transactions
    ) -> None:
        transactions.begin()
        with broadcaster.batch():
            broadcaster(Tick(1))
            broadcaster(Tick(2))
        assert delivery.jobs == []
        transactions.commit()
        assert delivery.names == [["Tick", "Tick"]]

    def test_failures_after_the_commit_are_logged(
        self,
        broadcaster: Broadcaster,
        delivery: Recorder,
        transactions: Transactions,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        delivery.failure = BroadcastError("event Tick on ticks: nothing listens")
        transactions.begin()
        broadcaster(Tick(), on_error="raise")
        transactions.commit()
        assert "not sent: event Tick on ticks: nothing listens" in caplog.text

    def test_the_fake_knows_that_it_waits(self, broadcaster: Broadcaster, transactions: Transactions) -> None:
        with broadcaster.fake() as fake:
            broadcaster(Tick(1))
            transactions.begin()
            broadcaster(Tick(2))
            broadcaster(Tick(3), after_commit=False)
        assert [sent.pending for sent in fake.sent] == [False, True, False]
        assert transactions.waiting == []


async def test_a_name_and_data_without_an_event_are_told_of_publish(broadcaster: Broadcaster) -> None:
    publish: Any = broadcaster
    with pytest.raises(TypeError, match=r"takes one object, the event: .*, use publish\('orders', name, data\)"):
        publish("orders", "OrderShipped", {"id": 7})
    with pytest.raises(TypeError, match=r"use apublish\(channels, name, data\)"):
        await publish.abroadcast(Tick(), "OrderShipped")


class TestFailures:
    """``on_error``: of the call, else of the class, else of the settings."""

    failure = BroadcastError("event Tick on ticks: nothing listens", 0)

    def test_raised_if_nothing_else_is_said(self, broadcaster: Broadcaster, delivery: Recorder) -> None:
        delivery.failure = self.failure
        with pytest.raises(BroadcastError, match="nothing listens"):
            broadcaster(Tick())

    async def test_logged_if_the_class_or_the_call_says_so(
        self, broadcaster: Broadcaster, delivery: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Rescued(Tick, rescue=True):
            pass

        delivery.failure = self.failure
        broadcaster(Rescued())
        broadcaster(Tick(), on_error="log")
        await broadcaster.abroadcast(Rescued())
        await broadcaster.apublish("a", "b", on_error="log")
        assert caplog.text.count("not sent: event Tick on ticks: nothing listens") == 4
        with pytest.raises(BroadcastError):
            broadcaster(Rescued(), on_error="raise")

    def test_logged_if_the_settings_say_so(
        self, broadcaster: Broadcaster, delivery: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        broadcaster.configure(driver="null", on_error="log")
        broadcaster._delivery = delivery
        delivery.failure = self.failure
        broadcaster(Tick())
        assert "not sent" in caplog.text

    def test_mistakes_of_the_application_are_always_raised(self, broadcaster: Broadcaster) -> None:
        with pytest.raises(PayloadError):
            broadcaster.publish("a", "b", object(), on_error="log")

    async def test_blocking_an_event_loop_is_refused_with_a_hint(self) -> None:
        broadcaster = Broadcaster()
        broadcaster.configure(app_id="1", key="k", secret="s", port=1)
        with pytest.raises(
            BroadcastError, match=r"event Tick on ticks: broadcast\(\) would block .* 'await abroadcast"
        ):
            broadcaster(Tick())
        broadcaster.configure(driver="memory")
        broadcaster(Tick())
        driver = broadcaster.drivers.of("")
        assert isinstance(driver, MemoryDriver)
        assert len(driver.sent) == 1


def test_offline_drivers(caplog: pytest.LogCaptureFixture) -> None:
    broadcaster = Broadcaster()
    broadcaster.configure(
        connections={"log": {"driver": "log"}, "null": {"driver": "null"}, "memory": {"driver": "memory"}}
    )
    with caplog.at_level(logging.INFO):
        broadcaster.publish(["a", "b"], "tick", {"id": 7}, via=["log", "null", "memory"])
        asyncio.run(broadcaster.apublish("a", "tock", via=["null", "memory"]))
    assert 'event tick on a, b: {"id":7}' in caplog.text
    memory = broadcaster.drivers.of("memory")
    assert isinstance(memory, MemoryDriver)
    assert [message.name for message in memory.sent] == ["tick", "tock"]
    broadcaster.close()
    asyncio.run(broadcaster.aclose())


def test_pinned_settings_hold_whatever_is_configured() -> None:
    broadcaster = Broadcaster()
    pinned = BroadcastSettings(queue="pinned")
    with broadcaster.pinned(pinned):
        broadcaster.configure(driver="null", queue="configured")
        assert broadcaster.settings is pinned
    assert broadcaster.settings.queue == "configured"
