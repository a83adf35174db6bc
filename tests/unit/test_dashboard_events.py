"""Requests of operators that end in an error: events that wait, and endpoints that are none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from soundpost.backplane import SingleNode
from soundpost.core.app_settings import WebhookSettings
from support.dashboards import staged
from support.raw_socket import DEFAULT_APP


async def test_an_event_that_waits_for_other_hosts_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.server.dashboard.event_creator._MAX_WAIT", 0.01)
    async with staged() as stage:
        peers = stage.daemon.operators_node.peers
        assert isinstance(peers, SingleNode)
        peers._barrier.begin()  # an event of which nothing is heard any more
        operator = await stage.operator()
        await operator.log_in()
        answer = await operator.send("POST", "/api/apps/1/events", b'{"channels":["room"],"name":"e","data":1}')
        assert (answer.status, answer.error[:26]) == (504, "The event waits for Redis,")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"channels":["room"],"name":"e","data":"\xff"}', "Invalid body: 'utf-8' codec"),
        (b'{"channels":["#server-to-user-\\ud800"],"name":"e","data":1}', r"channels: '#server-to-user-\ud800' is no"),
    ],
)
async def test_an_event_that_is_no_text_is_refused(body: bytes, says: str) -> None:
    async with staged() as stage:
        operator = await stage.operator()
        await operator.log_in()
        answer = await operator.send("POST", "/api/apps/1/events", body)
        assert (answer.status, answer.error[: len(says)]) == (422, says)


@pytest.mark.parametrize("number", ["1", "-1", "x", "00000099999999999999999999", "0" * 5_000])
async def test_an_endpoint_that_is_none_has_nothing_to_send_again(number: str) -> None:
    app = replace(
        DEFAULT_APP, webhooks=(WebhookSettings(url="https://hooks.example.com/", events=("channel_occupied",)),)
    )
    async with staged(app=app) as stage:
        operator = await stage.operator()
        await operator.log_in()
        answer = await operator.send("POST", f"/api/apps/1/webhooks/{number}/resend", b'{"id":"x"}')
        assert (answer.status, answer.error[:20]) == (404, "There is no endpoint")
