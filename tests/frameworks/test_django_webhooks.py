"""Webhooks in Django: the signal, models, transactions, the cache as memory, ``webhooks.py`` and system checks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.cache import caches
from django.db import connections
from django.test import Client, override_settings

from frameworks.django_database import in_transactions, user, with_commits
from frameworks.django_site.shop.models import Order
from soundpost.django import SeenInCache, autodiscovery
from soundpost.django.signals import webhook_received
from soundpost.errors import RouteError
from soundpost.webhooks import MemberAdded, UserOnline, Webhooks
from soundpost.webhooks import default as webhooks
from soundpost.wire.webhook_request import webhook_headers

NO_URLS = ModuleType("no_urls_for_webhooks")
vars(NO_URLS)["urlpatterns"] = []
MEMBER = {"name": "member_added", "channel": "presence-order.1", "user_id": "5"}
ONLINE = {"name": "user_online", "user_id": "5"}


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest) -> Iterator[None]:
    with with_commits() if "commits" in request.node.name else in_transactions():
        yield


def send(*events: dict[str, Any]) -> Any:
    """Send events, numbered, as the server does."""
    numbered = [{**each, "id": f"7-{number}"} for number, each in enumerate(events)]
    body = json.dumps({"time_ms": int(time.time() * 1000), "events": numbered}).encode()
    headers = webhook_headers("app-key", "app-secret", body, "1", {})
    client = Client(enforce_csrf_checks=True, headers=headers)
    return client.post("/broadcasting/webhooks", body, content_type="application/json")


class TestSignal:
    def test_receivers_get_each_event_by_its_class(self) -> None:
        got: list[Any] = []

        def receive(sender: Any, event: Any, **_: Any) -> None:
            got.append((sender, event.user_id))

        webhook_received.connect(receive, sender=UserOnline)
        try:
            assert send(MEMBER, ONLINE).status_code == 200
            assert send(MEMBER, ONLINE).status_code == 200
        finally:
            webhook_received.disconnect(receive, sender=UserOnline)
        assert got == [(UserOnline, "5")]

    def test_a_receiver_that_raises_is_called_again(self) -> None:
        got: list[str] = []

        def receive(event: Any, **_: Any) -> None:
            got.append(event.name)
            if len(got) == 1:
                raise ValueError("no database")

        webhook_received.connect(receive, sender=MemberAdded)
        try:
            assert send(MEMBER).status_code == 500
            assert send(MEMBER).status_code == 200
            assert send(MEMBER).status_code == 200
        finally:
            webhook_received.disconnect(receive, sender=MemberAdded)
        assert got == ["member_added", "member_added"]


class TestHandlers:
    def test_a_parameter_of_the_pattern_may_be_a_model(self) -> None:
        order = Order.objects.create(customer=user("ann"))
        got: list[Any] = []

        @webhooks.on("member_added", "presence-order.{order:int}")
        def joined(order: Order, user_id: str) -> None:
            got.append((order, user_id))

        @webhooks.on("member_added", "presence-order.{order:int}")
        async def joined_too(order: Order) -> None:
            got.append(order)

        channels = [f"presence-order.{order.pk}", "presence-order.999"]
        assert send(*({**MEMBER, "channel": channel} for channel in channels)).status_code == 200
        assert got == [(order, "5"), order]

    def test_a_failed_handler_undoes_nothing_of_another_with_commits(self) -> None:
        user("taken")

        @webhooks.on("user_online")
        def fails() -> None:
            user("taken")

        @webhooks.on("user_online")
        def works(user_id: str) -> None:
            user(f"user {user_id}")

        settings = connections["default"].settings_dict
        settings["ATOMIC_REQUESTS"] = True
        try:
            assert send(ONLINE).status_code == 500
        finally:
            settings["ATOMIC_REQUESTS"] = False
        assert {each.get_username() for each in get_user_model().objects.all()} == {"taken", "user 5"}

    def test_only_post(self) -> None:
        assert Client().get("/broadcasting/webhooks").status_code == 405

    def test_the_cache_remembers_for_all_processes(self) -> None:
        calls: list[str] = []
        cache = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "webhooks"}}
        with override_settings(CACHES=cache):
            caches["default"].clear()
            for process in (Webhooks(seen=SeenInCache()), Webhooks(seen=SeenInCache())):

                @process.on("user_online")
                def online(user_id: str) -> None:
                    calls.append(user_id)

                assert process.handle([UserOnline(user_id="5", id="9-1")]) == []
        assert calls == ["5"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file with the handlers of an app that is installed in the test."""
    (tmp_path / "kiosk").mkdir()
    (tmp_path / "kiosk" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "kiosk" / "webhooks.py"
    for name in [name for name in sys.modules if name.partition(".")[0] == "kiosk"]:
        del sys.modules[name]
    autodiscovery.webhook_failures.clear()


def findings(**settings: Any) -> dict[str, str]:
    with override_settings(**settings):
        return {str(each.id): f"{each.msg} {each.hint}" for each in checks.run_checks(tags=["soundpost"])}


def install() -> dict[str, str]:
    return findings(INSTALLED_APPS=["soundpost.django", "frameworks.django_site.shop", "kiosk"])


HANDLER = "from soundpost import webhooks\n@webhooks.on({name!r})\ndef opened(user_id): pass\n"


class TestModule:
    def test_handlers_in_webhooks_py_are_known(self, module: Path) -> None:
        module.write_text(HANDLER.format(name="user_online"))
        assert install() == {}
        assert [each.name for each in webhooks] == ["kiosk.webhooks.opened"]

    def test_a_wrong_decorator_is_told(self, module: Path, caplog: pytest.LogCaptureFixture) -> None:
        module.write_text(HANDLER.format(name="user_online") + HANDLER.format(name="user_onlin"))
        found = install()
        assert list(found) == ["soundpost.E008"]
        assert "did you mean 'user_online'? Until then no handler of this module is called" in found["soundpost.E008"]
        assert len(webhooks) == 0
        assert isinstance(autodiscovery.webhook_failures["kiosk.webhooks"], RouteError)
        assert "Traceback" in caplog.text

    def test_a_module_that_cannot_be_imported_is_told(self, module: Path) -> None:
        module.write_text("import nothing_of_this_name")
        assert "kiosk.webhooks cannot be imported" in install()["soundpost.E009"]

    def test_handlers_that_the_server_does_not_know_of_are_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("URL", "APP_ID", "APP_KEY", "APP_SECRET", "HOST", "PORT"):
            monkeypatch.delenv(f"SOUNDPOST_{name}", raising=False)
        app = '[[apps]]\nid = "1"\nkey = "app-key"\nsecret = "app-secret"\n'
        endpoint = '[[apps.webhooks]]\nurl = "http://127.0.0.1:8000/broadcasting/webhooks"\n'

        def found(toml: str) -> dict[str, str]:
            (tmp_path / "soundpost.toml").write_text(app + toml)
            with override_settings(BASE_DIR=tmp_path):
                return findings()

        webhooks.on("member_added")(lambda user_id: None)
        webhooks.on("user_online")(lambda user_id: None)
        told = found("")
        assert list(told) == ["soundpost.W011"]
        says = told["soundpost.W011"]
        assert "for member_added, user_online, and no endpoint of the app '1' in soundpost.toml gets" in says
        assert f'{endpoint}events = ["member_added", "user_online"]' in says
        assert "webhooks for user_online, and no" in found(endpoint)["soundpost.W011"]
        assert found(endpoint + 'events = ["member_added", "user_online"]') == {}
        webhooks.clear()
        assert found("") == {}
        webhooks.on("*")(lambda event: None)
        assert "webhooks for all events, and no" in found("")["soundpost.W011"]
        assert found(endpoint) == {}

    def test_handlers_without_a_url_are_told(self) -> None:
        webhooks.on("user_online")(lambda user_id: None)
        assert findings() == {}
        found = findings(ROOT_URLCONF=NO_URLS)
        assert 'include("soundpost.django.urls")' in found["soundpost.W010"]
        embedded = {"APP_ID": "1", "KEY": "app-key", "SECRET": "app-secret", "DRIVER": "embedded"}
        assert "soundpost.W010" not in findings(ROOT_URLCONF=NO_URLS, SOUNDPOST=embedded)
