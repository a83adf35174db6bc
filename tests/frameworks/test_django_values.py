"""Django's own values in names, ids and data: models, ``request.user``, choices, translations, querysets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from frameworks.django_database import in_transactions, user
from frameworks.django_site.shop.models import Order
from soundpost import Event, PrivateChannel, broadcast, register_serializer
from soundpost.broadcasting.authorization.users import id_of
from soundpost.errors import PayloadError
from soundpost.values.serializers import unregister_serializer


class Status(models.TextChoices):
    PAID = "paid", "Has been paid"


class Changed(Event, on=PrivateChannel("orders.{order}.{status}"), name="changed"):
    order: Any
    status: Any

    def broadcast_with(self) -> Any:
        return {"status": self.status, "label": Status.PAID.label}  # type: ignore[attr-defined]


@pytest.fixture
def ann() -> Iterator[Any]:
    with in_transactions():
        yield user("ann")


@pytest.fixture
def order(ann: Any) -> Any:
    return Order.objects.create(customer=ann)


def test_a_model_is_its_primary_key_and_a_choice_its_value(order: Any) -> None:
    with broadcast.fake() as sent:
        broadcast(Changed(order, Status.PAID))
        broadcast(Changed(SimpleLazyObject(lambda: order), gettext_lazy("paid")))
    assert [each.channels for each in sent.sent] == [(f"private-orders.{order.pk}.paid",)] * 2
    assert sent.sent[0].data == {"status": "paid", "label": "Has been paid"}


def test_a_model_that_is_not_saved_has_no_name(ann: Any) -> None:
    with pytest.raises(PayloadError, match="order: this Order has no primary key yet: save it first"):
        broadcast(Changed(Order(customer=ann), Status.PAID))


def test_to_the_user_of_the_request(ann: Any) -> None:
    """Address the user by the key of the sign-in, not by the username."""
    request_user = SimpleLazyObject(lambda: ann)
    with broadcast.fake() as sent:
        broadcast.to_user(request_user, "Poke")
        broadcast.to_user(ann, "Poke")
        broadcast.to_user(ann.pk, "Poke")
    assert {each.channels for each in sent.sent} == {(f"#server-to-user-{id_of(request_user)}",)}
    assert id_of(ann) == str(ann.pk)


def test_a_lazy_text_is_one_channel(ann: Any) -> None:
    with broadcast.fake() as sent:
        broadcast.publish(gettext_lazy("news"), gettext_lazy("Told"), {gettext_lazy("to"): mark_safe("all")})
    assert [(each.channels, each.name, each.data) for each in sent.sent] == [(("news",), "Told", {"to": "all"})]


def test_what_is_registered_for_a_model_is_found_behind_a_proxy(ann: Any) -> None:
    register_serializer(type(ann), lambda found: {"id": found.pk})
    try:
        with broadcast.fake() as sent:
            broadcast.publish("news", "Told", {"by": SimpleLazyObject(lambda: ann)})
        assert sent.sent[0].data == {"by": {"id": ann.pk}}
    finally:
        unregister_serializer(type(ann))


def test_a_model_behind_a_proxy_is_never_sent_whole(ann: Any) -> None:
    with pytest.raises(PayloadError, match="by: User is an ORM object, and is never sent whole"):
        broadcast.publish("news", "Told", {"by": SimpleLazyObject(lambda: ann)})


@pytest.mark.parametrize(
    ("rows", "call"),
    [
        (lambda: Order.objects.all(), 'name the fields that browsers may see: list(….values("id", …))'),
        (lambda: Order.objects, 'name the fields that browsers may see: list(….values("id", …))'),
        (lambda: Order.objects.values("id"), "make it a list: list(….values(…))"),
        (lambda: Order.objects.values_list("id", flat=True), "make it a list: list(….values(…))"),
    ],
)
def test_querysets_name_the_call_that_is_meant(ann: Any, rows: Any, call: str) -> None:
    with pytest.raises(PayloadError) as caught:
        broadcast.publish("news", "Told", {"orders": rows()})
    assert str(caught.value).endswith(call)
