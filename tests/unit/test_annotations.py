"""Names in annotations that only type checkers know: Python 3.14 evaluates annotations late, older ones on wish."""

from __future__ import annotations

import sys
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from soundpost.annotations import annotations_of, signature_of
from soundpost.broadcasting.authorization.routes import ChannelRoutes
from soundpost.broadcasting.catalogue import known_events

CODE = """
    from typing import TYPE_CHECKING

    from soundpost import Channel, Event

    if TYPE_CHECKING:
        from nowhere import Customer

    class OrderOf(Event, on=Channel("orders.{order_id}")):
        order_id: int
        customer: Customer

    def may_listen(user: Customer, order_id: int):
        return True
"""
LATE = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = ModuleType("late_names")
    monkeypatch.setitem(sys.modules, "late_names", made)
    exec(compile(LATE + dedent(CODE), "late_names.py", "exec", dont_inherit=True), vars(made))
    return made


def test_signatures_and_annotations_are_read_without_such_a_name(module: Any) -> None:
    assert list(signature_of(module.may_listen).parameters) == ["user", "order_id"]
    assert list(annotations_of(module.OrderOf)) == ["order_id", "customer"]


def test_a_channel_route_takes_a_user_of_such_a_type(module: Any) -> None:
    routes = ChannelRoutes()
    routes.private("orders.{order_id:int}")(module.may_listen)
    (route,) = routes
    assert route.takes_user == "user"


def test_an_event_with_such_a_field_is_listed(module: Any) -> None:
    (event,) = [each for each in known_events() if each.cls is module.OrderOf]
    assert event.fields is not None
    assert (event.fields["order_id"], event.fields["customer"]) == (int, Any)
