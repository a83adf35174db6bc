"""Events in Django: after the commit, models that broadcast, the socket id of the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.db import models, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save
from django.test import AsyncClient, Client, RequestFactory, TestCase

from frameworks.django_database import caller, in_transactions, user, with_commits
from frameworks.django_process import django_state
from frameworks.django_site.shop.events import OrderShipped
from frameworks.django_site.shop.models import Article, Order
from soundpost import Channel, PrivateChannel, broadcast, current_socket_id
from soundpost.broadcasting.message import Message
from soundpost.django import (
    SocketIdMiddleware,
    broadcast_models,
    broadcasts,
    commit_of,
    model_events,
    without_broadcasting,
)
from soundpost.errors import BroadcastError, ConfigurationError, PayloadError

EVENT = OrderShipped(7, "DHL")


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of what was really sent, after commits that are real."""
    names: list[str] = []

    class Memory:
        def deliver(self, messages: list[Message], queue: str) -> None:
            names.extend(message.name for message in messages)

        def close(self) -> None:
            pass

    with with_commits():
        monkeypatch.setattr(broadcast, "_delivery", Memory())
        yield names


@pytest.fixture
def database() -> Iterator[None]:
    with in_transactions():
        yield


# After the commit


def test_without_a_transaction_it_is_sent_at_once(delivered: list[str]) -> None:
    broadcast(EVENT)
    assert delivered == ["OrderShipped"]


def test_it_waits_for_the_outermost_commit(delivered: list[str]) -> None:
    with transaction.atomic():
        with transaction.atomic():
            broadcast(EVENT)
        assert delivered == []
    assert delivered == ["OrderShipped"]


def test_it_is_dropped_with_a_transaction_or_a_savepoint_that_is_rolled_back(delivered: list[str]) -> None:
    with transaction.atomic():
        with suppress(RuntimeError), transaction.atomic():
            broadcast(EVENT)
            raise RuntimeError
        broadcast.publish("orders", "kept")
    assert delivered == ["kept"]


def test_it_need_not_wait(delivered: list[str]) -> None:
    with transaction.atomic():
        broadcast(EVENT, after_commit=False)
        assert delivered == ["OrderShipped"]


def test_it_may_wait_for_another_database(delivered: list[str]) -> None:
    with transaction.atomic(using="archive"):
        broadcast.publish("orders", "default")
        with commit_of("archive"):
            broadcast.publish("orders", "archive")
        assert delivered == ["default"]
    assert delivered == ["default", "archive"]


def test_a_batch_has_what_was_committed_and_nothing_else(delivered: list[str]) -> None:
    with broadcast.batch():
        broadcast.publish("orders", "first")
        with suppress(RuntimeError), transaction.atomic():
            broadcast.publish("orders", "rolled back")
            raise RuntimeError
        with transaction.atomic():
            broadcast.publish("orders", "second")
        assert delivered == []
    assert delivered == ["first", "second"]


def test_a_batch_within_a_transaction_is_sent_after_its_commit(delivered: list[str]) -> None:
    with transaction.atomic():
        with broadcast.batch():
            broadcast.publish("orders", "first")
            with suppress(RuntimeError), transaction.atomic():
                broadcast.publish("orders", "rolled back")
                raise RuntimeError
            broadcast.publish("orders", "second")
            broadcast.publish("orders", "at once", after_commit=False)
        assert delivered == ["at once"]
    assert delivered == ["at once", "first", "second"]


def test_a_batch_of_two_databases_loses_nothing(delivered: list[str]) -> None:
    with transaction.atomic(using="archive"):
        with broadcast.batch(), commit_of("archive"):
            broadcast.publish("orders", "archived")
        assert delivered == []
    assert delivered == ["archived"]


@pytest.fixture
def server_is_away(delivered: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every delivery fail."""

    class Away:
        def deliver(self, messages: list[Message], queue: str) -> None:
            raise BroadcastError("no answer")

        def close(self) -> None:
            pass

    monkeypatch.setattr(broadcast, "_delivery", Away())


@pytest.mark.usefixtures("server_is_away")
def test_a_server_that_is_away_fails_no_transaction(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        broadcast(EVENT)
    assert "not sent: no answer" in caplog.text
    with pytest.raises(BroadcastError):
        broadcast(EVENT)


class InTestCase(TestCase):
    """Events within a ``TestCase``, as applications test them."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(django_state())
        super().setUpClass()

    def test_fake_records_at_call_time(self) -> None:
        with broadcast.fake() as sent:
            broadcast(EVENT, after_commit=True)
            broadcast(EVENT, after_commit=False)
        first, second = sent.sent
        assert first.pending
        assert not second.pending
        sent.assert_broadcast(OrderShipped, times=2, on="private-orders.7")

    def test_a_view_broadcasts(self) -> None:
        Client().get("/login/ann")
        client = Client()
        client.get("/login/ann")
        with broadcast.fake() as sent:
            assert client.post("/orders/7/ship", headers={"X-Socket-ID": "1.2"}).status_code == 204
        assert sent.assert_broadcast(OrderShipped).excluded == "1.2"
        assert sent.assert_broadcast("OrderUpdated").data["model"]["status"] == "shipped"


# X-Socket-ID


@pytest.mark.parametrize("client", [Client, AsyncClient], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("path", ["ship", "ship-async"])
def test_the_request_s_socket_is_left_out_whatever_the_view_is(database: None, client: Any, path: str) -> None:
    made = client()
    made.force_login(user("ann"))
    with broadcast.fake() as sent:
        assert caller(made)(f"/orders/7/{path}", headers={"X-Socket-ID": "12.34"}).status_code == 204
        assert caller(made)(f"/orders/8/{path}", headers={"X-Socket-ID": "forged"}).status_code == 204
    assert [each.excluded for each in sent.of(OrderShipped)] == ["12.34", None]
    assert current_socket_id() is None


def test_middleware_is_what_its_inner_side_is() -> None:
    async def inner(request: Any) -> str | None:
        return current_socket_id()

    request = RequestFactory().get("/", headers={"X-Socket-ID": "1.2"})
    assert SocketIdMiddleware(lambda request: current_socket_id())(request) == "1.2"
    assert async_to_sync(SocketIdMiddleware(inner))(request) == "1.2"


# Models


def test_a_model_tells_what_happens_to_its_objects_and_only_the_fields_named(database: None) -> None:
    with broadcast.fake() as sent:
        order = Order.objects.create(customer=user("ann"), note="secret", total="9.90")
        order.status = "paid"
        order.save()
        pk = order.pk
        order.delete()
    names = ["OrderCreated", "OrderUpdated", "OrderDeleted"]
    assert [each.name for each in sent.sent] == names
    assert [(each.channels, each.pending) for each in sent.sent] == [((f"private-orders.{pk}",), True)] * 3
    assert sent.sent[1].json == (
        f'{{"model":{{"id":{pk},"status":"paid","customer":{order.customer_id},"total":"9.90"}}}}'
    )
    assert sent.sent[2].data["model"]["id"] == pk


def test_objects_of_a_proxy_broadcast_as_those_of_their_model(database: None) -> None:
    meta = type("Meta", (), {"proxy": True, "app_label": "shop"})
    proxy: Any = type("OrderOfToday", (Order,), {"__module__": __name__, "Meta": meta})
    with broadcast.fake() as sent:
        order = proxy.objects.create(customer=user("ann"))
        order.save()
        broadcast_models(proxy.objects.all(), "updated")
        order.delete()
    assert [each.name for each in sent.sent] == ["OrderCreated", "OrderUpdated", "OrderUpdated", "OrderDeleted"]


@pytest.mark.parametrize("decorated", ["before", "after", "a proxy"])
def test_proxies_broadcast_whenever_a_model_or_a_proxy_of_it_is_decorated(database: None, decorated: str) -> None:
    group: Any = apps.get_model("auth", "Group")

    def derived(name: str, base: type) -> Any:
        meta = type("Meta", (), {"proxy": True, "app_label": "shop"})
        return type(f"{name}{decorated.title().replace(' ', '')}", (base,), {"__module__": __name__, "Meta": meta})

    decorate = broadcasts(on="groups", fields=["pk"], name="group.{event}")
    first = derived("First", group)
    chosen = first if decorated == "a proxy" else group
    if decorated != "after":
        decorate(chosen)
    second = derived("Second", first)
    if decorated == "after":
        decorate(chosen)
    try:
        with broadcast.fake() as sent:
            second.objects.create(name=decorated)
        assert [each.name for each in sent.sent] == ["group.created"]
    finally:
        del model_events._rules[chosen]
        for each in (group, first, second):
            post_save.disconnect(sender=each, dispatch_uid="soundpost")
            post_delete.disconnect(sender=each, dispatch_uid="soundpost")


def test_channels_with_attributes_a_name_of_its_own_and_to_others(database: None) -> None:
    article = Article.objects.create(stock=3, picture="violin.png")
    article.stock = F("stock") - 1
    with broadcast.fake() as sent:
        article.save()
    (updated,) = sent.sent
    assert updated.name == "article.updated"
    assert updated.channels == ("articles", f"private-articles.{article.pk}")
    assert updated.data == {"model": {"pk": article.pk, "stock": 2, "picture": "violin.png"}}


def test_deleting_a_queryset_tells_of_each(database: None) -> None:
    for _ in range(2):
        Article.objects.create()
    with broadcast.fake() as sent:
        Article.objects.all().delete()
    assert [each.name for each in sent.sent] == ["article.deleted"] * 2


def test_what_has_no_signals_is_told_by_hand(database: None) -> None:
    ann = user("ann")
    with broadcast.fake() as sent:
        orders = Order.objects.bulk_create([Order(customer=ann), Order(customer=ann)])
        Order.objects.update(status="paid")
        assert sent.sent == []
        broadcast_models(Order.objects.all(), "updated")
        broadcast_models(orders, "created")
        broadcast_models([], "deleted")
    assert [each.name for each in sent.sent] == ["OrderUpdated"] * 2 + ["OrderCreated"] * 2
    with pytest.raises(ConfigurationError, match="User does not broadcast"):
        broadcast_models([ann], "updated")
    with pytest.raises(ConfigurationError, match="not an event of models"):
        broadcast_models(orders, "archived")  # type: ignore[arg-type]


def test_without_broadcasting(database: None) -> None:
    with broadcast.fake() as sent:
        with without_broadcasting():
            Order.objects.create(customer=user("ann"))
        sent.assert_nothing()
        Order.objects.get().save()
        sent.assert_broadcast("OrderUpdated", times=1)


def test_a_model_waits_for_the_transaction_of_its_database(delivered: list[str]) -> None:
    with transaction.atomic(using="archive"):
        article = Article.objects.using("archive").create()
        article.save()
        assert delivered == []
    assert delivered == ["article.updated"]


def test_many_are_sent_together_once_committed(delivered: list[str]) -> None:
    Article.objects.bulk_create([Article(), Article()])
    with transaction.atomic():
        broadcast_models(Article.objects.all(), "updated")
        assert delivered == []
    assert delivered == ["article.updated"] * 2


@pytest.mark.usefixtures("server_is_away")
def test_saving_does_not_fail_with_the_server(caplog: pytest.LogCaptureFixture) -> None:
    Article.objects.create().save()
    assert "not sent: no answer" in caplog.text


def test_an_object_that_is_sent_whole_is_refused(database: None) -> None:
    with broadcast.fake(), pytest.raises(PayloadError, match="User is an ORM object"):
        broadcast.publish("users", "seen", user("ann"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"fields": []}, "fields is empty"),
        ({"fields": ["id", "colour"]}, "'colour' is not a field of it; there are customer"),
        ({"fields": ["id"], "events": ["archived"]}, "'archived' is not an event"),
        ({"fields": ["id"], "name": "{colour}"}, r"may have \{model\}"),
        ({"fields": ["id"], "to_other": True}, "unknown option 'to_other'; did you mean 'to_others'"),
        ({"fields": ["id"], "on": "orders.{colour}"}, r"on has \{colour\}, which is not an attribute of the model"),
        ({"fields": ["id"], "on": 5}, "int is neither a channel nor several"),
        ({"fields": ["id"], "on": PrivateChannel}, r"on is the class PrivateChannel: give PrivateChannel\('name'\)"),
        ({"fields": ["id"]}, "the model has one already"),
    ],
)
def test_wrong_options_are_refused_where_they_stand(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigurationError, match=f"@broadcasts of Order: .*{error}"):
        broadcasts(**{"on": Channel("x"), **options})(Order)


def test_abstract_model_is_refused() -> None:
    class Base(models.Model):
        class Meta:
            abstract = True
            app_label = "shop"

    with pytest.raises(ConfigurationError, match="the model has no table"):
        broadcasts(on=Channel("x"), fields=["id"])(Base)
    assert apps.get_model("shop", "Order") is Order
