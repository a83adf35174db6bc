"""The auth endpoints of Django: answers, users, denials; under WSGI and ASGI, as function and as coroutine."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import django
import pusher
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.test import AsyncClient, Client, override_settings

from frameworks.django_database import caller, in_transactions, user
from frameworks.django_site.shop.models import Article, Order
from soundpost.broadcasting.authorization import channels

SOCKET_ID: Final = "123.456"
SDK: Final = pusher.Pusher(app_id="1", key="app-key", secret="app-secret")

Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def database() -> Iterator[None]:
    with in_transactions():
        yield


@pytest.fixture(
    params=[
        (Client, "/broadcasting/"),
        (AsyncClient, "/broadcasting/"),
        (Client, "/coroutines/"),
        (AsyncClient, "/coroutines/"),
    ],
    ids=["wsgi", "asgi", "coroutine-under-wsgi", "coroutine-under-asgi"],
)
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask for a channel, as a user (None: a guest)."""
    client_class, prefix = request.param

    def ask(
        channel: str | None,
        who: Any = None,
        *,
        method: str = "post",
        endpoint: str = "auth",
        data: Any = None,
        **more: Any,
    ) -> Any:
        client = client_class(enforce_csrf_checks=True)
        if who is not None:
            client.force_login(who)
        values = {"socket_id": SOCKET_ID, "channel_name": channel}
        if data is None:
            data = {name: value for name, value in values.items() if value is not None}
        if method == "post" and "content_type" not in more:
            more["content_type"] = "application/x-www-form-urlencoded"
            data = "&".join(f"{name}={value}" for name, value in data.items())
        return caller(client, method)(f"{prefix}{endpoint}", data, **more)

    return ask


@pytest.fixture
def ann() -> Any:
    return user("ann")


@pytest.fixture
def order(ann: Any) -> Any:
    return Order.objects.create(customer=ann)


def message(answer: Any) -> str:
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/json"
    text: str = json.loads(answer.content)["message"]
    return text


def test_private_channel_is_signed_byte_for_byte_as_by_the_official_sdk(ask: Ask, ann: Any, order: Any) -> None:
    channel = f"private-orders.{order.pk}"
    answer = ask(channel, ann)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    assert answer.content.decode() == json.dumps(SDK.authenticate(channel, SOCKET_ID), separators=(",", ":"))


def test_presence_channel_tells_the_member_and_its_id_is_text(ask: Ask, ann: Any, order: Any) -> None:
    answer = ask("presence-rooms.den", ann)
    data = json.dumps(
        {"user_id": str(ann.pk), "user_info": {"name": "ann", "orders": 1}}, separators=(",", ":"), ensure_ascii=False
    )
    said = json.loads(answer.content)
    assert said["channel_data"] == data
    expected = SDK.authenticate("presence-rooms.den", SOCKET_ID, json.loads(data))
    if expected["channel_data"] == data:
        assert said["auth"] == expected["auth"]


def test_encrypted_channel_has_its_secret(ask: Ask, ann: Any, order: Any) -> None:
    key = base64.b64encode(b"m" * 32).decode()
    with override_settings(SOUNDPOST={"APP_ID": "1", "KEY": "k", "SECRET": "s", "ENCRYPTION_MASTER_KEY": key}):
        answer = json.loads(ask(f"private-encrypted-orders.{order.pk}", ann).content)
    assert len(base64.b64decode(answer["shared_secret"])) == 32


@pytest.mark.parametrize("how", ["json", "query"])
def test_json_and_query_are_read_too(ask: Ask, ann: Any, order: Any, how: str) -> None:
    channel = f"private-orders.{order.pk}"
    if how == "json":
        data = {"socket_id": SOCKET_ID, "channel_name": channel}
        answer = ask(None, ann, data=data, content_type="application/json")
    else:
        answer = ask(channel, ann, method="get")
    assert json.loads(answer.content) == SDK.authenticate(channel, SOCKET_ID)


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ("private-orders.999", "does not exist"),
        ("private-articles.999", "does not exist"),
        ("private-articles.abc", "not a primary key of Article"),
        ("private-stock", "no permission 'shop.view_article'"),
        ("private-failing.denied", "not on Sundays"),
        ("private-ordres.7", "did you mean"),
        ("presence-orders.7", "is a private route"),
        ("orders.7", "needs no authorization"),
    ],
)
def test_denied_channel_is_403_with_the_reason_for_developers_only(
    ask: Ask, ann: Any, channel: str, reason: str
) -> None:
    with override_settings(DEBUG=True):
        assert reason in message(ask(channel, ann))
    assert message(ask(channel, ann)) == ""


def test_callback_that_fails_is_500_and_its_traceback_is_in_the_log(
    ask: Ask, ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "soundpost.auth"):
        answer = ask("private-failing.now", ann)
    assert (answer.status_code, json.loads(answer.content)) == (500, {"message": ""})
    assert "a secret of the shop" in caplog.text
    assert "Traceback" in caplog.text


def test_guest_is_denied_where_the_route_is_not_for_guests(ask: Ask, order: Any) -> None:
    assert message(ask(f"private-orders.{order.pk}")) == ""
    lobby = json.loads(json.loads(ask("presence-lobby").content)["channel_data"])
    assert lobby["user_id"] == SOCKET_ID


def test_somebody_else_s_order_is_denied(ask: Ask, order: Any) -> None:
    assert message(ask(f"private-orders.{order.pk}", user("bob"))) == ""


def test_model_in_the_pattern_is_fetched(ask: Ask, ann: Any) -> None:
    left, sold = Article.objects.create(stock=3), Article.objects.create(stock=0)
    assert ask(f"private-articles.{left.pk}", ann).status_code == 200
    assert ask(f"private-articles.{sold.pk}", ann).status_code == 403


def test_permission_lets_in(ask: Ask, ann: Any) -> None:
    permission = apps.get_model("auth", "Permission").objects.get(codename="view_article")
    ann.user_permissions.add(permission)
    assert ask("private-stock", ann).status_code == 200


def test_guard_of_rest_framework_finds_the_user_by_their_credentials(ask: Ask, ann: Any) -> None:
    def basic(password: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(f'ann:{password}'.encode()).decode()}"}

    assert ask("private-api.news", headers=basic("password of ann")).status_code == 200
    assert ask("private-api.news", headers=basic("wrong")).status_code == 403
    assert ask("private-api.news", ann).status_code == 200  # the next guard: the session
    assert ask("private-api.news").status_code == 403


def test_pages_of_other_sites_are_denied_and_no_token_is_needed(ask: Ask, ann: Any, order: Any) -> None:
    def status(**headers: str) -> int:
        found: int = ask(f"private-orders.{order.pk}", ann, headers=headers).status_code
        return found

    assert status(Origin="http://testserver") == 200
    assert status(Origin="https://evil.example") == 403
    assert status(**{"Sec-Fetch-Site": "cross-site"}) == 403
    assert status(**{"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.a.proxy"}) == 200
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://*.example.com"]):
        assert status(Origin="https://app.example.com") == 200


def test_sign_in(ask: Ask, ann: Any) -> None:
    answer = json.loads(ask(None, ann, endpoint="user-auth").content)
    assert json.loads(answer["user_data"]) == {"id": str(ann.pk)}
    assert answer["auth"].startswith("app-key:")
    assert message(ask(None, endpoint="user-auth")) == ""


def test_sign_in_with_what_the_application_says(ask: Ask, ann: Any) -> None:
    channels.user(lambda user: {"user_info": {"name": user.username}} if user.is_active else None)
    try:
        answer = json.loads(ask(None, ann, endpoint="user-auth").content)
        assert json.loads(answer["user_data"]) == {"id": str(ann.pk), "user_info": {"name": "ann"}}
    finally:
        channels.user_callback = None


def test_other_methods_are_405(ask: Ask) -> None:
    for endpoint in ("auth", "user-auth"):
        answer = ask(None, method="put", endpoint=endpoint)
        assert answer.status_code == 405
        assert answer["Allow"] == "GET, POST"


def test_malformed_socket_id_is_422(ask: Ask, ann: Any) -> None:
    assert ask(None, ann, data={"socket_id": "x", "channel_name": "private-stock"}).status_code == 422


def test_a_site_where_all_views_want_a_login_answers_guests_in_json() -> None:
    if django.VERSION < (5, 1):
        pytest.skip("LoginRequiredMiddleware came with Django 5.1")
    more = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(MIDDLEWARE=more):
        answer = Client().post("/broadcasting/auth", {"socket_id": SOCKET_ID, "channel_name": "private-stock"})
    assert answer.status_code == 403


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_site_with_atomic_requests_answers(client: Any, ann: Any) -> None:
    """Coroutine views could not: Django refuses them there."""
    made = client()
    made.force_login(ann)
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert caller(made)("/broadcasting/auth", {}, content_type="application/json").status_code == 422
    finally:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = False
