"""The figures of a node: what is counted, by app."""

from __future__ import annotations

import json

import pytest

from conformance.protocol.resuming import app, connect, publish, subscribe
from conformance.protocol.stage import APP, Stage
from soundpost.core import oversized
from soundpost.core.app_settings import AppSettings, RateLimiting
from soundpost.core.peers import IdempotencyKey
from soundpost.core.publishing import publish_once
from soundpost.server.api.authentication import authenticate
from soundpost.server.api.requests import ApiError, Request
from soundpost.wire import codes


def test_connections_and_subscriptions_by_app() -> None:
    stage = Stage(APP, AppSettings(id="2", key="k2", secret="s2"))
    one, two = stage.connect(), stage.connect()
    stage.connect("2")
    one.join("news", "sport")
    two.join("news")
    one.say("pusher:unsubscribe", {"channel": "sport"})
    two.vanish()
    stage.turn()
    figures = stage.node.figures.apps["1"]
    figures.fill_in()
    assert (figures.connections, figures.subscriptions) == (1, 1)
    assert (figures.opened, figures.closed) == (2, 1)
    assert (figures.subscribed, figures.unsubscribed) == (3, 2)
    assert figures.messages == 4
    assert stage.node.figures.apps["2"].opened == 1


def test_a_confirmed_again_subscription_is_not_counted_twice() -> None:
    stage = Stage()
    stage.connect().join("news", "news")
    assert stage.app.figures.subscribed == 1


def test_figures_of_an_app_outlive_its_removal() -> None:
    stage = Stage()
    client = stage.connect()
    stage.node.reconfigure([])
    stage.node.reconfigure([APP])
    client.vanish()
    stage.turn()
    stage.connect()
    figures = stage.node.by_id["1"].figures
    assert (figures.opened, figures.closed) == (2, 1)


def test_deliveries_are_frames_times_subscribers() -> None:
    stage = Stage()
    clients = [stage.connect().join("news") for _ in range(3)]
    stage.publish("news", "one")
    stage.publish("news", "two", "{}", clients[0].socket_id)
    stage.turn()
    writes = [data for client in clients for data in client.writes]
    figures = stage.app.figures
    figures.fill_in()
    assert (figures.events, figures.deliveries) == (2, 5)
    assert figures.sends == len(writes) == 3
    assert figures.delivered_bytes == sum(map(len, writes))


def test_an_event_without_subscribers_is_published_and_not_delivered() -> None:
    stage = Stage()
    stage.publish("nobody")
    stage.turn()
    assert (stage.app.figures.events, stage.app.figures.deliveries) == (1, 0)


def test_the_event_that_a_cache_channel_keeps_is_a_delivery_to_each_newcomer() -> None:
    stage = Stage()
    stage.publish("cache-news")
    stage.turn()
    newcomers = [stage.connect() for _ in range(2)]
    for client in newcomers:
        client.say("pusher:subscribe", {"channel": "cache-news"})
    figures = stage.app.figures
    figures.fill_in()
    assert (figures.events, figures.deliveries, figures.sends) == (1, 2, 2)
    assert figures.delivered_bytes == sum(len(client.writes[-1]) for client in newcomers)


def test_a_repeated_request_is_counted_once() -> None:
    stage = Stage()
    for _ in range(2):
        key = IdempotencyKey("k", "digest")
        events = [("news", "e", "{}", None, False, None), ("sport", "e", "{}", None, False, None)]
        publish_once(stage.app, key, events, lambda reception: None)
        stage.turn()
    assert stage.app.figures.events == 2


def test_client_events_that_are_accepted() -> None:
    stage = Stage()
    one = stage.connect().join("private-room")
    stage.connect().join("private-room")
    one.say("client-typing", {}, channel="private-room")
    one.say("client-typing", {}, channel="private-other")
    stage.turn()
    figures = stage.app.figures
    assert (figures.client_events, figures.events, figures.deliveries) == (1, 0, 1)
    assert figures.errors == {codes.UNAUTHORIZED: 1}


def test_errors_by_code() -> None:
    stage = Stage(max_message_size=300)
    client = stage.connect()
    client.raw("{")
    client.raw("{")
    client.say("client-x", {}, channel="nowhere")
    client.end(codes.OVER_CAPACITY, "Too much")
    assert stage.app.figures.errors == {codes.INVALID_MESSAGE: 2, codes.UNAUTHORIZED: 1, codes.OVER_CAPACITY: 1}


def test_every_message_counts_once() -> None:
    stage = Stage(max_message_size=300, rate_limiting=RateLimiting(enabled=True, max_attempts=8))
    one, two = stage.connect().join("private-room"), stage.connect().join("private-room")
    one.say("client-accepted", {}, channel="private-room")
    one.say("client-refused", {}, channel="private-other")
    one.say("pusher:ping")
    one.raw("{")
    one.say("pusher:unknown")
    oversized.refuse(one, b"x" * 301)
    one.say("pusher:unsubscribe", {"channel": "private-room"})
    one.say("pusher:ping")  # beyond the rate
    two.ask("private-more")
    two.say("client-waits", {}, channel="private-more")
    stage.turn()
    stage.app.figures.fill_in()
    assert stage.app.figures.messages == 12


def test_failed_authorizations_of_subscriptions_and_sign_ins() -> None:
    stage = Stage()
    client = stage.connect()
    client.say("pusher:subscribe", {"channel": "private-a", "auth": "app-key:wrong"})
    client.say("pusher:subscribe", {"channel": "private-a"})
    client.say("pusher:subscribe", {"channel": "bad name"})
    client.say("pusher:signin", {"auth": "app-key:wrong", "user_data": json.dumps({"id": "1"})})
    assert stage.app.figures.failed_authorizations == {"subscription": 2, "sign_in": 1}


def test_failed_authorizations_of_the_api() -> None:
    stage = Stage()
    with pytest.raises(ApiError):
        authenticate(Request(b"POST", b"/apps/1/events", "1.1", [], b"{}", True), stage.app, "")
    assert stage.app.figures.failed_authorizations == {"api": 1}


def test_resumptions_and_what_they_send_again() -> None:
    stage = Stage(app())
    (answer,) = subscribe(connect(stage), "news", resume="")
    publish(stage, "news", "a", "b")
    stage.turn()
    before = stage.app.figures.deliveries
    subscribe(connect(stage), "news", resume=answer["position"])
    figures = stage.app.figures
    assert (figures.resumptions, figures.gaps, figures.replayed, figures.deliveries - before) == (1, 0, 2, 2)


def test_gaps_told_at_a_subscription_and_later() -> None:
    stage = Stage(app())
    subscribe(connect(stage), "news", resume="")
    publish(stage, "news", "a")
    stage.turn()
    stage.node.lose_history("1", "news", "restart", "abcd.1")
    answer, *_ = subscribe(connect(stage), "news", resume="abcd.1")
    assert "gap" in answer
    assert stage.app.figures.gaps == 2
