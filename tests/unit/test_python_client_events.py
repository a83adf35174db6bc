"""Events of the client: their data, and how they wait for a reader."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from soundpost.client import Gap
from soundpost.client.event_queue import MAX_BYTES, MAX_WAITING, EventQueue
from soundpost.client.incoming import ReceivedEvent


def event(number: int, channel: str = "orders") -> ReceivedEvent:
    return ReceivedEvent(str(number), channel, None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.client.event_queue._MAX_DELAY", 0.01)


@pytest.mark.parametrize(
    ("raw", "data"),
    [('{"id":1}', {"id": 1}), ("[1]", [1]), ("3", 3), ("null", None), ("plain words", "plain words"), ("", "")],
)
def test_a_string_that_is_json_is_decoded(raw: str, data: Any) -> None:
    assert ReceivedEvent("shipped", "orders", raw).data == data


@pytest.mark.parametrize("raw", [{"on": True}, None, 3])
def test_what_a_client_sent_is_data_as_it_is(raw: Any) -> None:
    assert ReceivedEvent("client-typing", "presence-x", raw).data == raw


async def test_events_come_in_their_order_then_the_end() -> None:
    queue = EventQueue("orders")
    for number in range(3):
        await queue.put(event(number))
    queue.end(None)
    await queue.put(event(4))
    assert [await queue.get() for _ in range(4)] == [event(0), event(1), event(2), None]


async def test_an_error_comes_after_what_waits() -> None:
    queue = EventQueue("orders")
    await queue.put(event(0))
    queue.end(ValueError("over"))
    assert await queue.get() == event(0)
    for _ in range(2):
        with pytest.raises(ValueError, match="over"):
            await queue.get()


async def test_several_readers_share_the_events() -> None:
    queue = EventQueue("orders")
    readers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for number in range(2):
        await queue.put(event(number))
    queue.end(None)
    assert await asyncio.gather(*readers) == [event(0), event(1), None]


async def test_where_nobody_reads_the_newest_events_wait() -> None:
    queue = EventQueue("orders")
    async with asyncio.timeout(0.9):
        for number in range(MAX_WAITING + 3):
            await queue.put(event(number))
    assert queue.missed == 3
    assert await queue.get() == Gap("orders", "overflow")
    assert await queue.get() == event(3)


async def test_where_nobody_reads_no_more_than_16_mebibytes_wait() -> None:
    queue, other = EventQueue("the client"), EventQueue("orders")
    for number in range(100):
        await queue.put(ReceivedEvent(str(number), "orders", None, size=MAX_BYTES // 10))
    assert queue.missed == 89
    queue.move("orders", other)
    assert (queue.missed, other.missed) == (0, 89)
    assert await other.get() == Gap("orders", "overflow")
    assert await other.get() == event(89)
    await queue.put(ReceivedEvent("small", None, None, size=1))
    await queue.put(ReceivedEvent("larger than all", None, None, size=2 * MAX_BYTES))
    assert await queue.get() == ReceivedEvent("small", None, None)
    await other.put(ReceivedEvent("last", "orders", None, size=MAX_BYTES // 10))
    assert other.missed == 89


async def test_a_burst_waits_for_a_reader_who_is_busy() -> None:
    queue = EventQueue("orders")
    read: list[ReceivedEvent | None] = []

    async def reader() -> None:
        while (got := await queue.get()) is not None:
            read.append(got)
            await asyncio.sleep(0)

    reading = asyncio.create_task(reader())
    await asyncio.sleep(0)
    for number in range(3 * MAX_WAITING):
        await queue.put(event(number))
    queue.end(None)
    await reading
    assert len(read) == 3 * MAX_WAITING
    assert queue.missed == 0


@pytest.mark.usefixtures("impatient")
async def test_a_reader_too_far_behind_loses_the_oldest_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue("orders")
    await queue.put(event(0))
    assert await queue.get() == event(0)
    for number in range(1, MAX_WAITING + 6):
        await queue.put(event(number))
    assert queue.missed == 5
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == ["the reader of orders"]
    assert await queue.get() == Gap("orders", "overflow")
    assert await queue.get() == event(6)


@pytest.mark.usefixtures("impatient")
async def test_a_reader_who_has_caught_up_by_half_is_waited_for_again(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue("orders")
    for _ in range(2):
        await queue.put(event(0))
        await queue.get()
        for number in range(MAX_WAITING + 1):
            await queue.put(event(number))
        assert await queue.get() == Gap("orders", "overflow")
        for _ in range(MAX_WAITING):
            await queue.get()
    assert queue.missed == 2
    assert len(caplog.records) == 2


async def test_events_that_wait_move_to_the_reader_of_their_channel() -> None:
    everything, own = EventQueue("the client"), EventQueue("orders")
    for number in range(4):
        await everything.put(event(number, "orders" if number % 2 else "other"))
    everything.move("orders", own)
    assert [await own.get(), await own.get()] == [event(1), event(3)]
    assert [await everything.get(), await everything.get()] == [event(0, "other"), event(2, "other")]
