"""Events of classes without methods: composed alike whatever a test, an instance or a descriptor replaces."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest

from soundpost import Channel, Event, PrivateChannel
from soundpost.broadcasting.composing import messages_for
from soundpost.broadcasting.declared_events import declaration_of
from soundpost.errors import PayloadError


class OrderPlaced(Event, on=[Channel("orders"), Channel("sales"), Channel("orders")], name="placed"):
    number: int
    customer: str


class OrderShipped(Event, on=PrivateChannel("orders.{number}"), ephemeral=True):
    number: int


def composed(event: Any) -> tuple[tuple[str, ...], str, Any]:
    [message] = messages_for(event, None, ("",))
    return message.channels, message.name, json.loads(message.data)


def test_class_without_methods_is_composed_by_its_declaration() -> None:
    assert declaration_of(OrderPlaced) is not None
    assert composed(OrderPlaced(7, "Ada")) == (("orders", "sales"), "placed", {"number": 7, "customer": "Ada"})


def test_channel_is_filled_from_the_fields_of_each_event() -> None:
    channels = [composed(OrderShipped(number))[0] for number in (1, 2)]
    assert channels == [("private-orders.1",), ("private-orders.2",)]


def test_ephemeral_class_and_the_option_that_wins_over_it() -> None:
    assert messages_for(OrderShipped(1), None, ("",))[0].ephemeral
    assert not messages_for(OrderShipped(1), None, ("",), ephemeral=False)[0].ephemeral


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("broadcast_on", lambda self: "elsewhere", (("elsewhere",), "placed", {"number": 7, "customer": "Ada"})),
        ("broadcast_as", lambda self: "other", (("orders", "sales"), "other", {"number": 7, "customer": "Ada"})),
        ("broadcast_with", lambda self: {"n": 1}, (("orders", "sales"), "placed", {"n": 1})),
        ("__broadcast_name__", "other", (("orders", "sales"), "other", {"number": 7, "customer": "Ada"})),
        ("__broadcast_channels__", (Channel("x"),), (("x",), "placed", {"number": 7, "customer": "Ada"})),
    ],
)
def test_attribute_of_the_class_replaced_after_the_first_event(attribute: str, value: Any, expected: Any) -> None:
    before = composed(OrderPlaced(7, "Ada"))
    with patch.object(OrderPlaced, attribute, value):
        assert composed(OrderPlaced(7, "Ada")) == expected
    assert composed(OrderPlaced(7, "Ada")) == before


def test_method_replaced_on_one_event() -> None:
    event = OrderPlaced(7, "Ada")
    event.broadcast_when = lambda: False  # type: ignore[method-assign]
    assert messages_for(event, None, ("",)) == []


def test_attribute_that_is_no_field_is_not_sent() -> None:
    event = OrderPlaced(7, "Ada")
    event.note = "internal"  # type: ignore[attr-defined]
    assert composed(event)[2] == {"number": 7, "customer": "Ada"}


def test_private_field_is_not_sent() -> None:
    class Paid(Event, on=Channel("orders")):
        number: int
        _secret: str

    assert composed(Paid(7, "hidden"))[2] == {"number": 7}


def test_field_behind_a_descriptor_is_read_through_it() -> None:
    class Upper:
        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, event: Any, owner: type | None = None) -> Any:
            return event.__dict__[self._name].upper() if event is not None else "none"

        def __set__(self, event: Any, value: str) -> None:
            event.__dict__[self._name] = value

    class Paid(Event, on=Channel("orders")):
        customer: Any = Upper()

    assert composed(Paid("Ada"))[2] == {"customer": "ADA"}


def test_field_read_by_the_classs_own_attribute_access() -> None:
    class Paid(Event, on=Channel("orders")):
        customer: str

        def __getattribute__(self, name: str) -> Any:
            return "hidden" if name == "customer" else super().__getattribute__(name)

    assert composed(Paid("Ada"))[2] == {"customer": "hidden"}


def test_model_dump_of_a_class_decides_on_its_data() -> None:
    class Paid(Event, on=Channel("orders")):
        customer: str

        def model_dump(self, **options: Any) -> dict[str, str]:
            return {"name": self.customer}

    assert declaration_of(Paid) is None


def test_event_of_the_base_class_has_no_channel() -> None:
    with pytest.raises(NotImplementedError, match="does not say where it goes"):
        messages_for(Event(), None, ("",))


def test_class_without_a_valid_channel_name_is_refused() -> None:
    class Paid(Event, on=Channel("no spaces")):
        number: int

    with pytest.raises(PayloadError, match=r"event 'Paid': .*no spaces"):
        messages_for(Paid(7), None, ("",))
