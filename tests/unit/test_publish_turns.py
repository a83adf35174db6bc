"""Callers that publish at the same time: one request after the other, each with all that waited for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.failures import Errors
from soundpost.broadcasting.drivers.turns import TaskTurns, ThreadTurns, Turn, Turns, _Signal
from soundpost.broadcasting.message import Message
from soundpost.errors import BroadcastError
from support.harness import until

LIMIT = BatchLimit(5, 1_000)


def messages(*names: str, data: str = "{}") -> list[Message]:
    return [Message(("a",), name, data) for name in names]


def limit() -> BatchLimit:
    return LIMIT


class TestTurns:
    """The order of turns, and the bounds, without threads."""

    def waiting(self, *turns: Turn, most: int = 100) -> Turns:
        made = Turns(max_wait=3.0, most=most)
        for turn in turns:
            made.add(turn)
        return made

    def test_all_that_wait_share_a_request(self) -> None:
        turns = [Turn(messages(name), 0.0) for name in "abc"]
        own = self.waiting(*turns)

        assert own.take(LIMIT, 1.0) == turns
        assert own.is_busy
        assert own.take(LIMIT, 1.0) == []
        assert not own.is_busy

    def test_no_more_events_than_a_batch_takes(self) -> None:
        turns = [Turn(messages(*names), 0.0) for names in ("ab", "cd", "ef", "g")]
        own = self.waiting(*turns)

        assert own.take(LIMIT, 0.0) == turns[:2]
        assert own.take(LIMIT, 0.0) == turns[2:]

    def test_no_more_bytes_than_a_batch_takes(self) -> None:
        turns = [Turn(messages("a", data="x" * 600), 0.0) for _ in range(2)]
        own = self.waiting(*turns)

        assert own.take(LIMIT, 0.0) == turns[:1]

    def test_quotes_are_counted_as_they_are_written(self) -> None:
        turns = [Turn(messages("a", data='"' * 300), 0.0) for _ in range(2)]
        own = self.waiting(*turns)

        assert own.take(LIMIT, 0.0) == turns[:1]

    def test_a_message_to_several_channels_shares_no_request_with_other_callers(self) -> None:
        several = Turn([Message(("a", "b"), "both", "{}")], 0.0)
        turns = [Turn(messages("a"), 0.0), several, Turn(messages("b"), 0.0)]
        own = self.waiting(*turns)

        assert [own.take(LIMIT, 0.0) for _ in turns] == [[turn] for turn in turns]

    def test_a_turn_that_is_larger_than_a_batch_is_taken_alone(self) -> None:
        turns = [Turn(messages(*"abcdefgh"), 0.0), Turn(messages("i"), 0.0)]
        own = self.waiting(*turns)

        assert own.take(LIMIT, 0.0) == turns[:1]

    def test_who_has_waited_too_long_gets_an_error(self) -> None:
        late, in_time = Turn(messages("a"), 0.0), Turn(messages("b"), 2.0)
        own = self.waiting(late, in_time)

        assert own.take(LIMIT, 3.5) == [in_time]
        assert late.is_done
        assert str(late.error) == "event a on a: no answer to earlier events in 3 s"

    def test_no_more_messages_than_a_bound_may_wait(self) -> None:
        own = self.waiting(Turn(messages("a", "b"), 0.0), most=3)

        with pytest.raises(BroadcastError, match=r"event c on a and 1 more: 2 messages wait .* 3 may"):
            own.add(Turn(messages("c", "d"), 0.0))
        own.add(Turn(messages("c"), 0.0))
        own.take(LIMIT, 0.0)
        own.add(Turn(messages("c", "d", "e"), 0.0))

    def test_who_is_gone_is_not_sent(self) -> None:
        gone, stays = Turn(messages("a"), 0.0), Turn(messages("b"), 0.0)
        own = self.waiting(gone, stays)

        own.withdraw(gone)
        assert own.take(LIMIT, 0.0) == [stays]
        own.withdraw(stays)


class Server:
    """Takes batches, each when it is told to; refuses, or fails."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.answered = threading.Semaphore(0)
        self.refused: set[str] = set()
        self.failures: list[BaseException] = []

    def take(self, batch: list[Message], limit: BatchLimit) -> Errors:
        self.batches.append([message.name for message in batch])
        assert self.answered.acquire(timeout=20)
        if self.failures:
            raise self.failures.pop(0)
        refused = [(place, each) for place, each in enumerate(batch) if each.name in self.refused]
        return {place: BroadcastError(f"event {each}: refused", 422, reason="refused") for place, each in refused}

    async def atake(self, batch: list[Message], limit: BatchLimit) -> Errors:
        return await asyncio.to_thread(self.take, batch, limit)


class InterruptedWait(_Signal):
    """A sign during the first wait for which a handler of signals runs."""

    handlers: ClassVar[list[Callable[[], None]]] = []

    def wait(self, seconds: float = -1) -> bool:
        if self.handlers:
            self.handlers.pop()()
        return super().wait(seconds)


def interrupted(wake: Callable[[], object], *, woken_first: bool) -> Callable[[], None]:
    """Return a function that wakes, but is interrupted when it is first called."""
    calls: list[bool] = []

    def call() -> None:
        calls.append(True)
        if len(calls) > 1 or woken_first:
            wake()
        if len(calls) == 1:
            raise KeyboardInterrupt

    return call


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.answered.release(100)


class TestThreads:
    """The first thread of those that wait sends for all."""

    @pytest.fixture
    def turns(self, server: Server) -> ThreadTurns:
        return ThreadTurns(server.take, limit, 3.0)

    @pytest.fixture
    def call(self, turns: ThreadTurns, server: Server) -> Iterator[Callable[[str], Future[None]]]:
        """Call from a thread of its own, and return when the call waits."""

        def publish(name: str, future: Future[None]) -> None:
            try:
                turns.publish(messages(name))
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)

        def call(name: str) -> Future[None]:
            before = len(server.batches) + len(turns._turns)
            future: Future[None] = Future()
            # A thread that nobody wakes fails its test, and does not hold up all of them.
            threading.Thread(target=publish, args=(name, future), daemon=True).start()
            until(lambda: len(server.batches) + len(turns._turns) > before, "the call")
            return future

        yield call
        server.answered.release(100)

    def test_a_call_that_is_alone_goes_at_once(self, server: Server, turns: ThreadTurns) -> None:
        server.answered.release(2)
        turns.publish(messages("a"))
        turns.publish(messages("b"))

        assert server.batches == [["a"], ["b"]]

    def test_what_comes_meanwhile_goes_together(self, server: Server, call: Callable[[str], Future[None]]) -> None:
        futures = [call(name) for name in "abcdefgh"]

        server.answered.release(3)
        for future in futures:
            future.result(20)

        assert server.batches == [["a"], ["b", "c", "d", "e", "f"], ["g", "h"]]

    def test_each_caller_has_its_own_error(self, server: Server, call: Callable[[str], Future[None]]) -> None:
        server.refused = {"c"}
        futures = {name: call(name) for name in "abcd"}
        server.answered.release(2)

        assert str(futures["c"].exception(20)) == "event c on a: refused"
        assert [futures[name].exception(20) for name in "abd"] == [None] * 3

    def test_a_failure_is_told_to_all_of_the_batch_and_to_nobody_else(
        self, server: Server, call: Callable[[str], Future[None]]
    ) -> None:
        futures = {name: call(name) for name in "abc"}
        server.answered.release()
        assert futures["a"].result(20) is None
        server.failures = [BroadcastError("event b on a and 1 more: away", 503, reason="away")]
        server.answered.release()

        for name in "bc":
            error = futures[name].exception(20)
            assert isinstance(error, BroadcastError)
            assert (str(error), error.status) == (f"event {name} on a: away", 503)
        server.answered.release()
        call("d").result(20)

    def test_a_thread_that_is_stopped_leaves_the_others_with_an_error(
        self, server: Server, call: Callable[[str], Future[None]]
    ) -> None:
        futures = {name: call(name) for name in "abc"}
        server.answered.release()
        assert futures["a"].result(20) is None
        server.failures = [SystemExit(1)]
        server.answered.release()

        kinds = sorted(type(futures[name].exception(20)).__name__ for name in "bc")
        assert kinds == ["BroadcastError", "SystemExit"]
        server.answered.release()
        call("d").result(20)

    @pytest.mark.parametrize("woken_first", [False, True])
    def test_a_thread_that_is_stopped_as_it_hands_on_stops_no_other(self, server: Server, woken_first: bool) -> None:
        turns = ThreadTurns(server.take, limit, max_wait=40)
        with ThreadPoolExecutor(3) as pool:
            futures = []
            for number, name in enumerate("abc"):
                futures.append(pool.submit(turns.publish, messages(name)))
                until(lambda n=number: len(server.batches) + len(turns._turns) == n + 1, "the call")  # type: ignore[misc]
            following = turns._turns._waiting[0]
            following.wake = interrupted(following.wake, woken_first=woken_first)
            server.answered.release(100)

            assert isinstance(futures[0].exception(20), KeyboardInterrupt)
            assert [future.result(20) for future in futures[1:]] == [None, None]
        assert server.batches == [["a"], ["b", "c"]]

    def test_a_thread_that_waits_too_long_gets_an_error(self, server: Server) -> None:
        turns = ThreadTurns(server.take, limit, 0.05)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(turns.publish, messages("a"))
            until(lambda: server.batches == [["a"]], "the first request")
            second = pool.submit(turns.publish, messages("b"))

            assert "no answer to earlier events in 0.05 s" in str(second.exception(20))
            server.answered.release(2)
            assert first.result(20) is None
            turns.publish(messages("c"))
        assert server.batches == [["a"], ["c"]]

    def test_a_thread_that_is_interrupted_as_its_turn_comes_hands_it_on(
        self,
        server: Server,
        turns: ThreadTurns,
        call: Callable[[str], Future[None]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        third_waits = threading.Event()

        def interrupt() -> None:
            assert third_waits.wait(20)
            server.answered.release()
            assert first.result(20) is None  # it has handed on its turn
            raise KeyboardInterrupt

        def publish_second() -> None:
            monkeypatch.setattr("soundpost.broadcasting.drivers.turns._Signal", InterruptedWait)
            turns.publish(messages("b"))

        monkeypatch.setattr(InterruptedWait, "handlers", [interrupt])
        first = call("a")
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(publish_second)
            until(lambda: not InterruptedWait.handlers, "the second call")
            third = call("c")
            third_waits.set()
            assert isinstance(second.exception(20), KeyboardInterrupt)
        server.answered.release()
        assert third.result(20) is None
        assert server.batches == [["a"], ["c"]]

    def test_a_thread_that_is_interrupted_while_it_gathers_others_leaves_them_with_an_error_or_their_turn(
        self,
        server: Server,
        turns: ThreadTurns,
        call: Callable[[str], Future[None]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def most_bytes_of(message: Message) -> int:
            if message.name == "d" and not interrupts:
                interrupts.append("d")
                raise KeyboardInterrupt
            return 1

        interrupts: list[str] = []
        monkeypatch.setattr("soundpost.broadcasting.drivers.turns.most_bytes_of", most_bytes_of)
        futures = {name: call(name) for name in "abcd"}
        server.answered.release(2)
        assert [type(futures[name].exception(20)) for name in "abcd"] == [
            type(None),
            KeyboardInterrupt,
            BroadcastError,
            type(None),
        ]
        assert server.batches == [["a"], ["d"]]

    def test_a_handler_may_publish_in_the_midst_of_a_request(self, server: Server) -> None:
        def take(batch: list[Message], limit: BatchLimit) -> Errors:
            if batch[0].name == "a":
                turns.publish(messages("of a handler"))
            return server.take(batch, limit)

        turns = ThreadTurns(take, limit, 3.0)
        server.answered.release(2)
        turns.publish(messages("a"))

        assert server.batches == [["of a handler"], ["a"]]


class TestTasks:
    """A task that is alone sends by itself; those that wait share a request."""

    @pytest.fixture
    def turns(self, server: Server) -> TaskTurns:
        return TaskTurns(server.atake, limit, 3.0)

    async def called(self, turns: TaskTurns, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(turns.publish(messages(name)))
        await asyncio.sleep(0)
        return task

    async def test_a_call_that_is_alone_goes_at_once(self, server: Server, turns: TaskTurns) -> None:
        server.answered.release(2)
        await turns.publish(messages("a"))
        await turns.publish(messages("b"))

        assert server.batches == [["a"], ["b"]]

    async def test_what_comes_meanwhile_goes_together(self, server: Server, turns: TaskTurns) -> None:
        tasks = [await self.called(turns, name) for name in "abcdefgh"]
        server.answered.release(3)
        await asyncio.gather(*tasks)

        assert server.batches == [["a"], ["b", "c", "d", "e", "f"], ["g", "h"]]

    async def test_each_caller_has_its_own_error(self, server: Server, turns: TaskTurns) -> None:
        server.refused = {"c"}
        tasks = [await self.called(turns, name) for name in "abcd"]
        server.answered.release(2)
        errors = await asyncio.gather(*tasks, return_exceptions=True)

        assert [error and str(error) for error in errors] == [None, None, "event c on a: refused", None]

    async def test_the_error_of_a_call_names_all_its_events_that_were_refused(
        self, server: Server, turns: TaskTurns
    ) -> None:
        server.refused = {"a", "c", "d"}
        server.answered.release()
        with pytest.raises(BroadcastError) as found:
            await turns.publish(messages("a", "b", "c", "d"))

        assert str(found.value) == "event a on a: refused; also refused: event c on a, event d on a"
        assert found.value.status == 422

    @pytest.mark.parametrize("failure", [BroadcastError("x: away", 503, reason="away"), RuntimeError("away")])
    async def test_a_failure_is_told_to_all_of_the_batch(
        self, server: Server, turns: TaskTurns, failure: Exception
    ) -> None:
        tasks = [await self.called(turns, name) for name in "abc"]
        server.answered.release()
        await tasks[0]
        server.failures = [failure]
        server.answered.release()
        errors: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)

        assert errors[0] is None
        assert [type(error) for error in errors[1:]] == [BroadcastError] * 2
        assert str(errors[2]).startswith("event c on a: ")
        assert "away" in str(errors[2])
        server.answered.release()
        await turns.publish(messages("d"))

    async def test_a_task_factory_need_not_know_of_contexts(self, server: Server, turns: TaskTurns) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
        tasks = [await self.called(turns, name) for name in "abc"]
        server.answered.release(2)
        await asyncio.gather(*tasks)

        assert server.batches == [["a"], ["b", "c"]]

    async def test_the_error_of_a_call_alone_tells_what_was_sent_before(self, server: Server, turns: TaskTurns) -> None:
        first, second = [await self.called(turns, name) for name in "ab"]
        server.answered.release()
        await first
        server.failures = [BroadcastError("event e7 on a and 9 more: away", 503, reason="away")]
        server.answered.release()

        with pytest.raises(BroadcastError, match="event e7 on a and 9 more: away"):
            await second

    async def test_a_caller_that_is_cancelled_takes_nobody_with_it(self, server: Server, turns: TaskTurns) -> None:
        first, second, third = [await self.called(turns, name) for name in "abc"]
        second.cancel()
        await asyncio.wait([second])
        server.answered.release(2)
        await asyncio.gather(first, third)

        assert server.batches == [["a"], ["c"]]

    async def test_a_cancelled_first_caller_leaves_the_others_their_turn(
        self, server: Server, turns: TaskTurns
    ) -> None:
        first, second = [await self.called(turns, name) for name in "ab"]
        first.cancel()
        await asyncio.wait([first])
        server.answered.release(2)
        await second

        assert server.batches[-1] == ["b"]

    async def test_nobody_waits_for_a_task_that_was_cancelled(self, server: Server, turns: TaskTurns) -> None:
        tasks = [await self.called(turns, name) for name in "abcdefgh"]
        server.answered.release()
        await tasks[0]
        await asyncio.to_thread(until, lambda: len(server.batches) == 2, "the second request")
        assert turns._sender is not None
        turns._sender.cancel()
        errors = await asyncio.gather(*tasks, return_exceptions=True)

        reason = "the task that sends it was cancelled, as all tasks are when an event loop ends"
        assert {str(error).partition(": ")[2] for error in errors[1:]} == {reason}
        server.answered.release(2)
        await turns.publish(messages("i"))

    def test_no_loop_is_kept(self, server: Server, turns: TaskTurns) -> None:
        async def run() -> None:
            tasks = [await self.called(turns, name) for name in "abc"]
            server.answered.release(2)
            await asyncio.gather(*tasks)

        asyncio.run(run())

        assert turns._sender is None


def test_a_handler_may_publish_while_its_thread_waits_for_its_turn(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = ThreadTurns(server.take, limit, max_wait=20)
    monkeypatch.setattr(InterruptedWait, "handlers", [lambda: turns.publish(messages("of the handler"))])
    with ThreadPoolExecutor() as pool:
        first = pool.submit(turns.publish, messages("first"))
        until(lambda: server.batches == [["first"]], "the first request")

        def publish_second() -> None:
            monkeypatch.setattr("soundpost.broadcasting.drivers.turns._Signal", InterruptedWait)
            turns.publish(messages("second"))

        second = pool.submit(publish_second)
        until(lambda: server.batches[1:] == [["of the handler"]], "that of the handler")
        server.answered.release(3)
        first.result(20)
        second.result(20)
    assert server.batches[2:] == [["second"]]
