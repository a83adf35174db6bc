"""Tests of applications with webhooks: events that are played, and signed requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pusher
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import soundpost.fastapi
from frameworks import django_database  # noqa: F401 - sets Django up
from frameworks.django_process import django_state
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.defaults import TEST_APP
from soundpost.testing import WebhookTester, signed_webhook
from soundpost.webhooks import ClientEvent, MemberAdded, UserOnline, Webhooks
from soundpost.webhooks import default as webhooks


@pytest.fixture
def calls() -> list[Any]:
    return []


def test_events_are_played_by_name_and_fields(calls: list[Any]) -> None:
    own = Webhooks()

    @own.on("client_event", "private-post.{post:int}", event="client-like")
    async def liked(post: int, data: dict[str, int], user_id: str, event: ClientEvent) -> None:
        calls.append((post, data, user_id, event.time_ms > 0, event.id != ""))

    @own.on("client_event")
    def anything(event: ClientEvent) -> None:
        calls.append(event.data)

    tester = WebhookTester(own)
    like: dict[str, Any] = {"channel": "private-post.3", "event": "client-like", "user_id": "5"}
    played = tester.play("client_event", **like, data={"stars": 3})
    assert [name.rpartition(".")[2] for name in played] == ["liked", "anything"]
    assert calls == [(3, {"stars": 3}, "5", True, True), '{"stars":3}']
    assert len(tester.play("client_event", **like, data={"stars": "many"})) == 1
    assert tester.play(UserOnline(user_id="5")) == []
    assert len(asyncio.run(tester.aplay("client_event", **like, data={"stars": 4}))) == 2


def test_an_event_that_is_played_twice_is_no_repetition_and_failures_are_raised(calls: list[Any]) -> None:
    own = Webhooks()
    own.on("user_online")(lambda user_id: calls.append(user_id))
    tester = WebhookTester(own)
    tester.play("user_online", user_id="5")
    tester.play("user_online", user_id="5")
    assert calls == ["5", "5"]

    @own.on("user_online")
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tester.play("user_online", user_id="5")


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("user_onlin", {}, "'user_onlin' is not the name of an event; did you mean 'user_online'"),
        ("user_online", {"user": "5"}, "user_online has no field 'user'; it has id, time_ms, user_id, user_info"),
        ("user_online", {"user_id": [5]}, "Expected `str`, got `array`"),
        ("member_added", {"channel": "presence-a"}, "missing required field `user_id`"),
    ],
)
def test_wrong_events_are_told(name: str, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        WebhookTester(Webhooks()).play(name, **fields)


def test_signed_requests_are_taken_by_the_application_and_by_the_official_sdk(calls: list[Any]) -> None:
    settings = {"app_id": "1", "key": "app-key", "secret": "app-secret"}
    sp = soundpost.fastapi.Soundpost(broadcaster=Broadcaster(settings_from(settings)), webhooks=Webhooks())
    sp.webhooks.on("member_added", "presence-room.{room:int}")(lambda room, user_id: calls.append((room, user_id)))
    app = FastAPI()
    app.include_router(sp.router(user=lambda: None))
    event = MemberAdded(channel="presence-room.7", user_id="5")
    body, headers = signed_webhook(event, event, key="app-key", secret="app-secret")
    assert TestClient(app).post("/broadcasting/webhooks", content=body, headers=headers).status_code == 200
    assert calls == [(7, "5"), (7, "5")]
    sdk = pusher.Pusher(app_id="1", key="app-key", secret="app-secret")
    assert sdk.validate_webhook(headers["X-Pusher-Key"], headers["X-Pusher-Signature"], body.decode()) is not None


def test_the_app_of_tests_signs_where_none_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.testing.webhooks.broadcast", Broadcaster(settings_from({"driver": "null"})))
    _, headers = signed_webhook(UserOnline(user_id="5"))
    assert headers["X-Pusher-Key"] == TEST_APP["key"]


def test_in_django_the_fixture_s_tester_calls_receivers_and_signs_for_the_view(
    soundpost_webhooks: WebhookTester, calls: list[Any]
) -> None:
    from django.test import Client

    from soundpost.django.signals import webhook_received

    def receive(sender: Any, event: Any, **_: Any) -> None:
        calls.append(sender)

    with django_state():
        webhooks.on("user_online")(lambda user_id: calls.append(user_id))
        webhook_received.connect(receive)
        try:
            soundpost_webhooks.play("user_online", user_id="5")
            body, headers = signed_webhook(UserOnline(user_id="6"))
            answer = Client().post("/broadcasting/webhooks", body, content_type="application/json", headers=headers)
        finally:
            webhook_received.disconnect(receive)
    assert answer.status_code == 200
    assert calls == [UserOnline, "5", UserOnline, "6"]


@pytest.mark.parametrize("wrong", [[UserOnline(user_id="5")], {"name": "user_online"}, None, 5])
def test_what_is_no_event_is_named(wrong: Any) -> None:
    with pytest.raises(TypeError, match="each as its own argument"):
        signed_webhook(wrong)
    with pytest.raises(TypeError, match="the name of an event, or an event such as MemberAdded"):
        WebhookTester(Webhooks()).play(wrong)
