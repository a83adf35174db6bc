"""What would have been sent, for tests of applications."""

from __future__ import annotations

from typing import Any

import pytest

from soundpost import Broadcaster, EncryptedPrivateChannel, Event, PrivateChannel
from soundpost.broadcasting.fake import Fake
from soundpost.errors import PayloadError


class OrderShipped(Event, on=PrivateChannel("orders.{id}")):
    id: int
    carrier: str = "DHL"


class OrderCancelled(OrderShipped):
    pass


@pytest.fixture
def broadcaster(monkeypatch: pytest.MonkeyPatch) -> Broadcaster:
    """Not configured: tests need no server, no settings and no secret."""
    return Broadcaster()


def failure(check: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*args, **options)
    return str(caught.value)


def test_nothing_needs_to_be_configured(broadcaster: Broadcaster) -> None:
    with broadcaster.fake() as sent:
        broadcaster(OrderShipped(7), via="any", socket_id="1.2")
    shipped = sent.assert_broadcast(OrderShipped, times=1, on="private-orders.7")
    assert (shipped.name, shipped.channels, shipped.data) == (
        "OrderShipped",
        ("private-orders.7",),
        {"id": 7, "carrier": "DHL"},
    )
    assert (shipped.json, shipped.excluded, shipped.connection, shipped.pending) == (
        '{"id":7,"carrier":"DHL"}',
        "1.2",
        "any",
        False,
    )
    assert shipped.event == OrderShipped(7)


async def test_asynchronous_code_too(broadcaster: Broadcaster) -> None:
    with broadcaster.fake() as sent:
        await broadcaster.abroadcast(OrderShipped(7))
        await broadcaster.apublish("ticks", "tick", 1)
        broadcaster.publish("ticks", "tick", 2)
    assert sent.assert_broadcast("tick", times=2).data == 2


def test_by_class_name_channel_and_condition(broadcaster: Broadcaster) -> None:
    with broadcaster.fake() as sent:
        broadcaster(OrderShipped(7))
        broadcaster(OrderCancelled(8))
        broadcaster.publish(["a", "b"], "tick")
    assert len(sent.of(OrderShipped)) == 2, "subclasses too"
    assert len(sent.of("OrderShipped")) == 1, "names only by themselves"
    assert sent.of(OrderShipped, where=lambda each: each.data["id"] == 8)[0].name == "OrderCancelled"
    assert sent.of("tick", on=["b", "a"]) == sent.of("tick", on="a") != []
    assert not sent.of("tick", on=["a", "c"])
    assert sent.of(OrderShipped, on=PrivateChannel("orders.7"))


def test_failures_say_what_there_was(broadcaster: Broadcaster) -> None:
    with broadcaster.fake() as sent:
        assert failure(sent.assert_broadcast, OrderShipped) == "OrderShipped was not broadcast, but there was nothing"
        broadcaster(OrderShipped(7))
    there_was = 'there was OrderShipped on private-orders.7: {"id":7,"carrier":"DHL"}'
    assert failure(sent.assert_broadcast, "tick", on="a") == f"tick on a was not broadcast, but {there_was}"
    assert failure(sent.assert_broadcast, OrderShipped, times=2) == (
        f"OrderShipped was not broadcast 2 time(s), but 1 time(s); {there_was}"
    )
    assert failure(sent.assert_broadcast, OrderShipped, where=lambda each: False) == (
        f"OrderShipped where asked was not broadcast, but {there_was}"
    )
    assert failure(sent.assert_not_broadcast, OrderShipped) == (
        'OrderShipped was broadcast: OrderShipped on private-orders.7: {"id":7,"carrier":"DHL"}'
    )
    assert failure(sent.assert_nothing) == f"something was broadcast: {there_was}"
    assert "private-orders.7" in failure(sent.assert_nothing_else)


def test_nothing_else_is_what_no_assertion_asked_for(broadcaster: Broadcaster) -> None:
    with broadcaster.fake() as sent:
        sent.assert_nothing()
        broadcaster(OrderShipped(7))
        broadcaster.publish("a", "tick")
        sent.assert_broadcast(OrderShipped)
        sent.assert_not_broadcast(OrderCancelled)
        assert failure(sent.assert_nothing_else) == "also broadcast: tick on a: {}"
        sent.assert_broadcast("tick")
        sent.assert_nothing_else()


def test_no_times_is_another_assertion() -> None:
    with pytest.raises(ValueError, match="use assert_not_broadcast"):
        Fake().assert_broadcast("tick", times=0)


def test_one_event_is_one_however_it_is_split(broadcaster: Broadcaster) -> None:
    names = [f"a{number}" for number in range(150)]
    with broadcaster.fake() as sent:
        broadcaster.publish([*names, EncryptedPrivateChannel("x")], "tick", {"id": 7})
        broadcaster.publish("a", "tock", via=["one", "two"])
    (tick,) = sent.of("tick")
    assert tick.channels == (*names, "private-encrypted-x")
    assert tick.data == {"id": 7}, "not encrypted, to be looked at"
    assert [each.connection for each in sent.of("tock")] == ["one", "two"]


def test_what_could_not_be_sent_fails_here_too(broadcaster: Broadcaster) -> None:
    with broadcaster.fake() as sent:
        with pytest.raises(PayloadError, match="event 'tick' on a: id: "):
            broadcaster.publish("a", "tick", {"id": object()})
        with pytest.raises(PayloadError, match="has a character other than"):
            broadcaster.publish("no channel", "tick")
        with pytest.raises(PayloadError, match="event tick on a: its data has 10253 bytes, a server takes 10240"):
            broadcaster.publish("a", "tick", {"text": "x" * 10_242})
        sent.assert_nothing()
    with broadcaster.fake(max_data=20_000) as sent:
        broadcaster.publish("a", "tick", {"text": "x" * 10_242})


def test_fakes_within_fakes_and_afterwards(broadcaster: Broadcaster) -> None:
    with broadcaster.fake() as outer:
        with broadcaster.fake() as inner:
            broadcaster.publish("a", "inner")
        broadcaster.publish("a", "outer")
    assert [each.name for each in inner.sent] == ["inner"]
    assert [each.name for each in outer.sent] == ["outer"]
    broadcaster.configure(driver="memory")
    broadcaster.publish("a", "real")
    assert len(outer.sent) == 1


def test_it_is_of_use_by_itself() -> None:
    Fake().assert_nothing()
