"""The endpoint for webhooks that all frameworks share."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from soundpost.broadcasting.settings import settings_from
from soundpost.testing import signed_webhook
from soundpost.webhooks import MemberAdded, Webhooks
from soundpost.webhooks.endpoint import WebhookEndpoint

SETTINGS = settings_from(
    {
        "connections": {
            "soundpost": {"app_id": "1", "key": "app-key", "secret": "app-secret"},
            "pusher": {"driver": "pusher", "app_id": "2", "key": "other-key", "secret": "other-secret"},
        }
    }
)
EVENT = MemberAdded(channel="presence-room.7", user_id="5", id="1-0")


@pytest.fixture
def webhooks() -> Webhooks:
    return Webhooks()


@pytest.fixture
def endpoint(webhooks: Webhooks) -> WebhookEndpoint:
    return WebhookEndpoint(webhooks, lambda: SETTINGS)


@pytest.mark.parametrize(("key", "secret"), [("app-key", "app-secret"), ("other-key", "other-secret")])
def test_each_connection_s_app_may_sign(endpoint: WebhookEndpoint, key: str, secret: str) -> None:
    assert endpoint.respond(*signed_webhook(EVENT, key=key, secret=secret)) == (200, "{}")


def test_a_second_key_of_a_rotation_is_taken(endpoint: WebhookEndpoint, webhooks: Webhooks) -> None:
    request = signed_webhook(EVENT, key="new-key", secret="new-secret")
    assert endpoint.respond(*request).status == 401
    webhooks.secrets["new-key"] = "new-secret"
    assert endpoint.respond(*request).status == 200


async def test_an_event_that_is_being_handled_is_to_come_again(endpoint: WebhookEndpoint, webhooks: Webhooks) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @webhooks.on("member_added")
    async def slow() -> None:
        begun.set()
        await go_on.wait()

    request = signed_webhook(EVENT, key="app-key", secret="app-secret")
    first = asyncio.create_task(endpoint.arespond(*request))
    await begun.wait()
    async with asyncio.timeout(5):
        second = await endpoint.arespond(*request)
    assert second.status == 503
    assert "slow (member_added)" in json.loads(second.body)["error"]
    go_on.set()
    assert (await first).status == 200
    assert (await endpoint.arespond(*request)).status == 200


def test_refusals_are_logged_once_a_minute(endpoint: WebhookEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "soundpost.webhooks")
    for _ in range(3):
        assert endpoint.respond(*signed_webhook(EVENT, key="app-key", secret="wrong")).status == 401
    assert caplog.text.count("a webhook was refused: the signature is not that of the app 'app-key'") == 1
    assert "app-secret" not in caplog.text


def test_an_empty_request_is_taken(endpoint: WebhookEndpoint) -> None:
    assert endpoint.respond(*signed_webhook(key="app-key", secret="app-secret")) == (200, "{}")
