"""Events as classes: where they go, what they are called, what they carry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from soundpost import (
    Broadcastable,
    Broadcaster,
    Channel,
    Event,
    Message,
    PresenceChannel,
    PrivateChannel,
    SupportsBroadcast,
    UserNotification,
    broadcast,
)
from soundpost.broadcasting.composing import messages_for
from soundpost.errors import ConfigurationError, PayloadError


def sent(event: Any) -> list[tuple[tuple[str, ...], str, str]]:
    return [(message.channels, message.name, message.data) for message in messages_for(event, None, [""])]


class OrderShipped(Event):
    order_id: int
    carrier: str = "DHL"
    eta: datetime | None = None
    _note: str = "internal"

    def broadcast_on(self) -> Channel:
        return PrivateChannel(f"orders.{self.order_id}")


class PriceTick(Event, on=[Channel("prices.{symbol}"), "prices"], name="price.tick", via=("a", "b"), rescue=True):
    symbol: str
    bid: Decimal


def test_fields_are_parameters_and_payload() -> None:
    event = OrderShipped(7, eta=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    assert event == OrderShipped(order_id=7, carrier="DHL", eta=event.eta)
    assert sent(event) == [
        (("private-orders.7",), "OrderShipped", '{"order_id":7,"carrier":"DHL","eta":"2026-01-02T03:04:00+00:00"}')
    ]


def test_constant_things_are_keywords_of_the_class() -> None:
    event = PriceTick("EUR", Decimal("1.10"))
    assert sent(event) == [(("prices.EUR", "prices"), "price.tick", '{"symbol":"EUR","bid":"1.10"}')]
    assert (event.broadcast_via, event.on_error) == (("a", "b"), "log")


def test_keywords_are_inherited_and_overridden() -> None:
    class Base(Event, on="ticks", queue="realtime", after_commit=False, on_error="log"):
        pass

    class Other(Base, on=PresenceChannel("others"), on_error="raise"):
        number: int = 1

    assert sent(Base()) == [(("ticks",), "Base", "{}")]
    assert sent(Other()) == [(("presence-others",), "Other", '{"number":1}')]
    assert (Other.broadcast_queue, Other.after_commit, Other.on_error) == ("realtime", False, "raise")
    assert Base.on_error == "log"


def test_methods_win_over_keywords() -> None:
    class Named(Event, on="a", name="keyword"):
        def broadcast_on(self) -> list[str]:
            return ["b"]

        def broadcast_as(self) -> str:
            return "method"

        def broadcast_with(self) -> dict[str, Any]:
            return {**super().broadcast_with(), "more": True}

    assert sent(Named()) == [(("b",), "method", '{"more":true}')]


def test_an_event_may_decide_not_to_be_sent() -> None:
    class Sometimes(Event, on="a"):
        wanted: bool

        def broadcast_when(self) -> bool:
            return self.wanted

    class Nowhere(Event):
        def broadcast_on(self) -> list[str]:
            return []

    assert len(sent(Sometimes(True))) == 1
    assert sent(Sometimes(False)) == sent(Nowhere()) == []


def test_a_decision_that_is_true_by_mistake_sends_nothing() -> None:
    async def later() -> bool:
        return False

    class Sometimes(Event, on="a"):
        decide: Any

        def broadcast_when(self) -> Any:
            return self.decide()

    for decide in (later, lambda: (False for _ in ()), lambda: later):
        with pytest.raises(PayloadError, match="Sometimes: broadcast_when returned a "):
            sent(Sometimes(decide))


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("broadcast_on", "orders", "str"),
        ("broadcast_as", "placed", "str"),
        ("broadcast_with", property(lambda event: {"a": 1}), "dict"),
        ("broadcast_when", False, "bool"),
    ],
)
def test_an_attribute_in_place_of_a_method_is_named(name: str, value: object, kind: str) -> None:
    event = type("Placed", (Event,), {"broadcast_on": lambda self: "orders", name: value})()
    with (
        broadcast.fake(),
        pytest.raises(PayloadError, match=rf"Placed: {name} is a {kind}: make it a method, def {name}"),
    ):
        broadcast(event)


def test_a_channel_that_wants_a_field_that_is_not_there_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(
        TypeError, match=r"Wrong: the channel 'private-orders\.\{order_idd\}' wants a field 'order_idd'"
    ):

        class Wrong(Event, on=PrivateChannel("orders.{order_idd}")):
            order_id: int

    class ByProperty(Event, on=PrivateChannel("orders.{number}")):
        order_id: int

        @property
        def number(self) -> int:
            return self.order_id * 10

    assert sent(ByProperty(7))[0][0] == ("private-orders.70",)


@pytest.mark.parametrize(
    ("option", "attribute", "wrong", "reason"),
    [
        ("on_error", "on_error", "logs", "on_error 'logs': 'raise' or 'log'"),
        ("after_commit", "after_commit", "no", "after_commit 'no': True or False"),
        ("ephemeral", "ephemeral", "no", "ephemeral 'no': True or False"),
        ("rescue", None, "no", "rescue 'no': True or False"),
        ("queue", "broadcast_queue", 5, "broadcast_queue 5: the name of a queue is expected"),
        ("via", "broadcast_via", 5, "via 5: the name of a connection, or several names, are expected"),
        ("via", "broadcast_via", ["a", None], r"via \['a', None\]: the name of a connection"),
    ],
)
def test_a_wrong_option_is_refused_when_the_class_is_made(
    option: str, attribute: str | None, wrong: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"event Wrong: .*{reason}"):
        type("Wrong", (Event,), {}, on="a", **{option: wrong})
    if attribute is not None:
        with pytest.raises(ConfigurationError, match=f"event Wrong: .*{reason}"):
            type("Wrong", (Event,), {attribute: wrong}, on="a")


def test_a_class_without_a_hash_is_refused_when_it_is_made() -> None:
    class Comparing(type):
        def __eq__(cls, other: object) -> bool:
            return cls is other

    with pytest.raises(ConfigurationError, match="event Odd: its metaclass Comparing has __eq__ without __hash__"):

        class Odd(Broadcastable, metaclass=Comparing, on="a"):
            pass


def test_an_option_may_be_computed_for_each_event() -> None:
    class Bid(Event, on="bids"):
        amount: int

        @property
        def broadcast_queue(self) -> str:  # type: ignore[override]
            return "fast" if self.amount > 1_000 else "slow"

    assert [Bid(amount).broadcast_queue for amount in (1, 5_000)] == ["slow", "fast"]


def test_an_event_that_goes_nowhere_says_how_to_say_where() -> None:
    class Lost(Event):
        pass

    with pytest.raises(NotImplementedError, match=r"Lost does not say where it goes: define broadcast_on\(self\)"):
        sent(Lost())


# Events of other kinds of classes


@dataclass(frozen=True)
class DataclassEvent(Broadcastable, on="orders.{id}", name="dataclass"):
    id: int


class PydanticEvent(pydantic.BaseModel, Broadcastable, on="orders.{id}", name="pydantic"):
    id: int = pydantic.Field(serialization_alias="orderId")
    secret: str = pydantic.Field(default="s", exclude=True)
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


class StructEvent(Broadcastable, msgspec.Struct):
    id: int

    def broadcast_on(self) -> str:
        return f"orders.{self.id}"


@attrs.define
class AttrsEvent(Broadcastable, on="orders.{id}"):
    id: int
    _hidden: int = 1


class PlainEvent(Broadcastable, on="orders.{id}"):
    def __init__(self, id: int) -> None:
        self.id = id
        self._hidden = 1


class BareEvent:
    """Nothing but the protocol."""

    def __init__(self) -> None:
        self.id = 7

    def broadcast_on(self) -> str:
        return "orders.7"


@pytest.mark.parametrize(
    ("event", "name", "data"),
    [
        (DataclassEvent(7), "dataclass", '{"id":7}'),
        (PydanticEvent(id=7), "pydantic", '{"id":7,"at":"2026-01-02T00:00:00Z"}'),
        (StructEvent(7), "StructEvent", '{"id":7}'),
        (AttrsEvent(7), "AttrsEvent", '{"id":7}'),
        (PlainEvent(7), "PlainEvent", '{"id":7}'),
        (BareEvent(), "BareEvent", '{"id":7}'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_events_of_any_class(event: Any, name: str, data: str) -> None:
    assert isinstance(event, SupportsBroadcast)
    assert sent(event) == [(("orders.7",), name, data)]


def test_a_channel_that_cannot_be_named_names_the_event() -> None:
    class Wrong(Broadcastable, on="orders.{nothing}"):
        pass

    with pytest.raises(PayloadError, match=r"event Wrong: its channel cannot be named: .*'nothing'"):
        sent(Wrong())


def test_a_pydantic_event_that_cannot_be_serialised_is_a_payload_error() -> None:
    class Wrong(pydantic.BaseModel, Broadcastable, arbitrary_types_allowed=True):
        thing: object

        def broadcast_on(self) -> str:
            return "orders"

    with pytest.raises(PayloadError, match="event Wrong: its data: Wrong: Unable to serialize unknown type"):
        sent(Wrong(thing=object()))


def test_an_events_class_is_no_event() -> None:
    class OrderShipped(Event, on=Channel("orders")):
        id: int

    with pytest.raises(PayloadError, match=r"OrderShipped is a class: broadcast an event of it, OrderShipped\(…\)"):
        sent(OrderShipped)


def test_what_is_no_event_says_what_to_do() -> None:
    with pytest.raises(PayloadError, match=r"dict is not an event: it has no broadcast_on.*publish\(…\)"):
        sent({"id": 7})


def test_events_broadcast_themselves() -> None:
    with broadcast.fake() as fake:
        OrderShipped(7).broadcast(socket_id="1.2")
    assert fake.assert_broadcast(OrderShipped).excluded == "1.2"


async def test_events_broadcast_themselves_in_an_event_loop() -> None:
    with broadcast.fake() as fake:
        await OrderShipped(7).abroadcast(via="b")
    assert fake.assert_broadcast(OrderShipped).connection == "b"


class TestUserNotification:
    class InvoicePaid(UserNotification):
        amount: Decimal

    def test_laravels_name_and_channel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broadcast, "_settings", Broadcaster().settings)
        [(channels, name, data)] = sent(self.InvoicePaid(7, Decimal("9.90")))
        assert channels == ("private-App.Models.User.7",)
        assert name == "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"
        assert msgspec.json.decode(data) == {
            "id": msgspec.json.decode(data)["id"],
            "type": "InvoicePaid",
            "amount": "9.90",
        }

    def test_each_has_an_id(self) -> None:
        event = self.InvoicePaid(7, Decimal(1))
        assert event.broadcast_with()["id"] != event.broadcast_with()["id"]

    def test_the_channel_can_be_another(self) -> None:
        class Poke(UserNotification):
            notification_channel = "users.{id}"

            def broadcast_type(self) -> str:
                return "poke"

        [(channels, _, data)] = sent(Poke("a7"))
        assert channels == ("private-users.a7",)
        assert msgspec.json.decode(data)["type"] == "poke"


class TestMessage:
    """What queues carry."""

    message = Message(("a", "b"), "tick", '{"ü":1}', "1.2", "reverb", "id-1")

    def test_json_and_back(self) -> None:
        text = '{"c":["a","b"],"n":"tick","d":"{\\"ü\\":1}","s":"1.2","v":"reverb","i":"id-1"}'
        assert self.message.to_json() == text
        assert Message.from_json(text) == self.message
        assert Message.from_json(text.encode()) == self.message

    def test_ids_are_new_and_kept(self) -> None:
        one, other = Message(("a",), "n", "{}"), Message(("a",), "n", "{}")
        assert one.id != other.id
        assert Message.from_dict(one.to_dict()) == one

    def test_a_message_that_no_history_keeps_stays_one(self) -> None:
        ephemeral = Message(("a",), "n", "{}", given_id="id-1", ephemeral=True)
        assert ephemeral.to_json() == '{"c":["a"],"n":"n","d":"{}","v":"","i":"id-1","e":true}'
        assert Message.from_json(ephemeral.to_json()) == ephemeral

    def test_an_encrypted_message_keeps_the_id_of_its_key(self) -> None:
        encrypted = Message(("private-encrypted-a",), "n", "{}", given_id="id-1", key_id="k7")
        assert encrypted.to_json() == '{"c":["private-encrypted-a"],"n":"n","d":"{}","v":"","i":"id-1","k":"k7"}'
        assert Message.from_json(encrypted.to_json()) == encrypted

    @pytest.mark.parametrize(
        "wrong", ["", "[]", "{}", "7", '{"c":["a"],"n":"x","d":"{}"}', '{"c":7,"n":"","d":"","i":""}']
    )
    def test_anything_else_is_refused(self, wrong: str) -> None:
        with pytest.raises(PayloadError, match="not a message of a queue"):
            Message.from_json(wrong)


def test_an_event_may_go_to_channels_of_a_generator() -> None:
    class Many(Event):
        def broadcast_on(self) -> Iterable[str]:
            return (f"orders.{number}" for number in range(3))

    assert sent(Many())[0][0] == ("orders.0", "orders.1", "orders.2")
