"""The last deliveries of an endpoint, and deliveries that are sent again."""

from __future__ import annotations

import json

from soundpost.core.app_settings import WebhookSettings
from soundpost.core.inspection import EndpointPage, ListDeliveries, SendAgain, SentAgain
from soundpost.server.inspection.endpoints import join_endpoints, reply_about_webhooks
from soundpost.server.webhooks.answers import Answer
from soundpost.server.webhooks.recent_deliveries import MAX_BYTES, MAX_DELIVERIES
from support.dispatching import URL, Stage, event

SECRET_URL = "http://app.test/hooks?token=abc"
ALL = (WebhookSettings(url=SECRET_URL, events=("channel_occupied", "member_added", "client_event"), batch_size=5),)


def page(stage: Stage) -> EndpointPage:
    found = reply_about_webhooks(ListDeliveries(app_id="1"), stage.dispatcher)
    assert isinstance(found, EndpointPage)
    return found


def send_again(stage: Stage, delivery_id: str, number: int = 0) -> bool:
    found = reply_about_webhooks(SendAgain(app_id="1", number=number, delivery_id=delivery_id), stage.dispatcher)
    assert isinstance(found, SentAgain)
    return found.found


def test_a_delivery_tells_events_answer_and_duration() -> None:
    stage = Stage(*ALL)
    played = stage.endpoints[SECRET_URL]
    stage.add("channel_occupied presence-a", "member_added presence-a ann", "member_added presence-a ben")
    stage.pass_time()
    began = stage.now
    stage.pass_time(0.25)
    played.answer(503)
    (endpoint,) = page(stage).endpoints
    (delivery,) = endpoint.recent
    assert (endpoint.number, endpoint.failed_attempts, endpoint.waiting) == (0, 1, 3)

    assert "abc" not in endpoint.url
    assert delivery.events == ["channel_occupied", "member_added × 2"]
    assert (delivery.status, delivery.answer, delivery.at, delivery.seconds) == (503, "answered 503", began + 1e9, 0.25)


def test_no_answer_has_no_status() -> None:
    stage = Stage()
    stage.add("channel_occupied a")
    stage.pass_time()
    stage.endpoint.answer(0, fault="connection refused")
    (delivery,) = page(stage).endpoints[0].recent
    assert (delivery.status, delivery.answer) == (None, "cannot be reached: connection refused")


def test_the_newest_comes_first_and_fifty_are_kept() -> None:
    stage = Stage()
    for number in range(MAX_DELIVERIES + 10):
        stage.add(f"channel_occupied room-{number}")
        stage.took()
        stage.pass_time(1)
    recent = page(stage).endpoints[0].recent
    assert len(recent) == MAX_DELIVERIES
    assert [line.at for line in recent] == sorted((line.at for line in recent), reverse=True)
    assert len({line.id for line in recent}) == MAX_DELIVERIES


def test_what_is_sent_again_has_the_same_ids_and_a_fresh_signature() -> None:
    stage = Stage()
    stage.add("channel_occupied a")
    stage.pass_time()
    stage.endpoint.answer(200)
    (first,) = page(stage).endpoints[0].recent
    assert send_again(stage, first.id)
    before, again = stage.endpoint.requests
    assert again.events == before.events
    assert json.loads(again.body)["time_ms"] == json.loads(before.body)["time_ms"]
    stage.endpoint.answer(500)
    newest, oldest = page(stage).endpoints[0].recent
    assert (newest.again, newest.status, newest.events) == (True, 500, oldest.events)
    stage.pass_time(600)
    assert len(stage.endpoint.requests) == 2


def test_what_is_sent_again_changes_no_state_and_no_queue() -> None:
    stage = Stage()
    stage.add("channel_occupied a")
    stage.took()
    stage.add("channel_vacated a")
    stage.pass_time(5)
    stage.took()
    told = stage.dispatcher.notified_states("1")
    occupied = page(stage).endpoints[0].recent[-1]
    stage.add("channel_occupied b")
    stage.pass_time()
    assert send_again(stage, occupied.id)
    assert stage.endpoint.answer(200) == ["channel_occupied a"]
    assert page(stage).endpoints[0].waiting == 1
    stage.endpoint.requests[-2].then(Answer(200))
    assert page(stage).endpoints[0].waiting == 0
    assert [state for state in stage.dispatcher.notified_states("1") if state not in told] == [
        ("channel_occupied", "b", "")
    ]


def test_events_that_are_too_large_to_keep_cannot_be_sent_again() -> None:
    stage = Stage(WebhookSettings(url=URL, events=("client_event",), batch_size=1))
    body = b'{"name":"client_event","data":"%b"}' % (b"x" * (MAX_BYTES // 3))
    for _ in range(4):
        stage.dispatcher.add("1", event("client_event a", body=body))
    stage.took()
    recent = page(stage).endpoints[0].recent
    assert [line.can_be_sent_again for line in recent] == [True, True, False, False]
    assert send_again(stage, recent[0].id)
    assert not send_again(stage, recent[-1].id)
    assert not send_again(stage, "x")
    assert not send_again(stage, recent[0].id, number=1)
    assert not send_again(stage, recent[0].id, number=-1)


def test_hosts_without_webhooks_have_no_endpoints() -> None:
    assert reply_about_webhooks(ListDeliveries(app_id="1"), None) == EndpointPage([])
    assert reply_about_webhooks(ListDeliveries(app_id="7"), Stage().dispatcher) == EndpointPage([])


def test_the_endpoints_of_hosts_are_added_up() -> None:
    first, second, silent = Stage(), Stage(), Stage()
    first.add("channel_occupied a")
    first.took()
    second.pass_time(60)
    second.add("channel_occupied b", "channel_occupied c")
    second.pass_time()
    second.endpoint.answer(500)
    (endpoint,) = join_endpoints([page(stage) for stage in (first, second, silent)]).endpoints
    assert (endpoint.sent, endpoint.waiting, endpoint.failed_attempts) == (1, 2, 1)
    assert (endpoint.last_status, endpoint.last_error) == (500, "answered 500")
    assert [line.status for line in endpoint.recent] == [500, 200]
    assert not send_again(first, endpoint.recent[0].id)
    assert send_again(second, endpoint.recent[0].id)
