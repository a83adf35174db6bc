"""The official SDKs as publishers: ``pusher`` of PyPI and ``pusher`` of npm, unmodified."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from clients.conftest import PusherJsFactory
from support.harness import DEFAULT_APP, RunningServer
from support.publishers import NodeSdk, Publisher, PythonSdk, Refused, node_publisher_process


@pytest.fixture(params=["python", "node"])
def stranger(request: pytest.FixtureRequest, server: RunningServer, until_end: ExitStack) -> Publisher:
    """Each SDK with a wrong secret."""
    credentials = (server.port, DEFAULT_APP.id, DEFAULT_APP.key, "wrong-secret")
    if request.param == "python":
        return PythonSdk(*credentials)
    return NodeSdk(until_end.enter_context(node_publisher_process(*credentials)))


def test_one_event_goes_to_several_channels(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    client = pusher_js("ann").connected()
    channels = ["several-a", "several-b", "private-several-c"]
    client.subscribe(*channels)
    publisher.trigger(channels, "hello", {"n": 1})
    for channel in channels:
        assert client.expect_event(channel, "hello") == {"n": 1}


def test_event_goes_to_a_hundred_channels(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    client = pusher_js().connected()
    channels = [f"hundred-{number}" for number in range(100)]
    client.subscribe(channels[0], channels[99])
    publisher.trigger(channels, "hello", {})
    client.expect_event(channels[0], "hello")
    client.expect_event(channels[99], "hello")


def test_publishing_to_nobody_succeeds(publisher: Publisher) -> None:
    assert publisher.trigger("nobody-listens", "hello", {}) == {}


def test_excluded_socket_does_not_get_the_event(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    for client in (ann, bob):
        client.subscribe("exclusive")
    publisher.trigger("exclusive", "others-only", {}, except_socket=ann.socket_id)
    publisher.trigger("exclusive", "fence", {})
    bob.expect_event("exclusive", "others-only")
    ann.expect_event("exclusive", "fence")
    assert not ann.has_event("exclusive", "others-only")


def test_batch_delivers_each_event_to_its_channel(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    for client in (ann, bob):
        client.subscribe("batch-a", "batch-b")
    answer = publisher.trigger_batch(
        [
            {"channel": "batch-a", "name": "first", "data": {"n": 1}, "socket_id": ann.socket_id},
            {"channel": "batch-b", "name": "second", "data": "text"},
            {"channel": "batch-a", "name": "third", "data": {"n": 3}},
        ]
    )
    assert answer == {}
    for client in (ann, bob):
        assert client.expect_event("batch-b", "second") == "text"
        assert client.expect_event("batch-a", "third") == {"n": 3}
    assert bob.expect_event("batch-a", "first") == {"n": 1}
    assert not ann.has_event("batch-a", "first")


def test_batch_answers_the_attributes_asked_for_in_order(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    channel = f"presence-batch-{type(publisher).__name__}"
    pusher_js("ann").connected().subscribe(channel)
    answer = publisher.trigger_batch(
        [
            {"channel": channel, "name": "x", "data": {}, "info": "user_count,subscription_count"},
            {"channel": "batch-plain", "name": "x", "data": {}},
        ]
    )
    assert answer == {"batch": [{"user_count": 1, "subscription_count": 1}, {}]}


def test_publish_answers_the_attributes_asked_for(pusher_js: PusherJsFactory, node_sdk: NodeSdk) -> None:
    # PyPI's SDK has no parameter for this.
    for user in ("ann", "ann", "bob"):
        pusher_js(user).connected().subscribe("presence-info", "info-plain")
    answer = node_sdk.trigger_with(
        ["presence-info", "info-plain"], "hello", {}, {"info": "user_count,subscription_count"}
    )
    assert answer == {
        "channels": {
            "presence-info": {"user_count": 2, "subscription_count": 3},
            "info-plain": {"subscription_count": 3},
        }
    }


def test_occupied_channels_are_listed_by_prefix(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    for user in ("ann", "bob", "bob"):
        pusher_js(user).connected().subscribe("presence-list-a", "list-b")
    assert publisher.channels("list-") == {"channels": {"list-b": {}}}
    assert publisher.channels("presence-list-", "user_count") == {"channels": {"presence-list-a": {"user_count": 2}}}
    assert publisher.channels("no-such-") == {"channels": {}}


def test_users_of_other_than_presence_channels_cannot_be_counted(publisher: Publisher) -> None:
    with pytest.raises(Refused) as refused:
        publisher.channels("list-", "user_count")
    assert refused.value.status == 400
    assert "presence-" in refused.value.body


def test_one_channel_is_described(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    channel = f"presence-one-{type(publisher).__name__}"
    assert publisher.channel(channel, "user_count") == {"occupied": False, "user_count": 0}
    for user in ("ann", "bob", "bob"):
        pusher_js(user).connected().subscribe(channel)
    assert publisher.channel(channel, "user_count", "subscription_count") == {
        "occupied": True,
        "user_count": 2,
        "subscription_count": 3,
    }


def test_cached_event_of_a_channel_can_be_asked_for(publisher: Publisher) -> None:
    publisher.trigger("cache-asked", "price", {"is": 2})
    found = publisher.channel("cache-asked", "cache")
    assert found["occupied"] is False
    assert found["cache"]["data"].replace(" ", "") == '{"is":2}'
    assert 0 < found["cache"]["ttl"] <= DEFAULT_APP.cache_ttl


def test_users_of_a_presence_channel_are_listed_once_each(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    for user in ("ann", "bob", "bob"):
        pusher_js(user).connected().subscribe("presence-users")
    users = publisher.users("presence-users")
    assert sorted(user["id"] for user in users["users"]) == ["ann", "bob"]


def test_users_of_another_kind_of_channel_are_refused(publisher: Publisher) -> None:
    with pytest.raises(Refused) as refused:
        publisher.users("private-room")
    assert refused.value.status == 400
    assert "not a presence channel" in refused.value.body


def test_wrong_secret_is_refused_with_the_reason(stranger: Publisher) -> None:
    for call in (
        lambda: stranger.trigger("news", "hello", {}),
        lambda: stranger.channels("news"),
        lambda: stranger.terminate_user_connections("ann"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.status == 401
        assert "Invalid signature" in refused.value.body
        assert "secret" in refused.value.body
        assert DEFAULT_APP.secret not in refused.value.body


def test_unknown_app_is_refused_with_the_reason(server: RunningServer) -> None:
    with pytest.raises(Refused) as refused:
        PythonSdk(server.port, "999", DEFAULT_APP.key, DEFAULT_APP.secret).trigger("news", "hello", {})
    assert refused.value.status == 404
    assert "999" in refused.value.body


def test_data_over_ten_kilobytes_is_refused_with_the_reason(publisher: Publisher) -> None:
    with pytest.raises(Refused) as refused:
        publisher.trigger("news", "novel", "x" * 10_241)
    assert refused.value.status == 413
    for part in ("novel", "10241", "10240", "max_event_data_size"):
        assert part in refused.value.body


def test_data_of_ten_kilobytes_is_delivered(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    client = pusher_js().connected()
    client.subscribe("large")
    publisher.trigger("large", "novel", "x" * 10_240)
    assert client.expect_event("large", "novel") == "x" * 10_240


def test_request_over_the_limit_of_the_server_is_refused_with_the_reason(node_sdk: NodeSdk) -> None:
    # PyPI's SDK sends nothing as large as that.
    with pytest.raises(Refused) as refused:
        node_sdk.trigger("news", "library", "x" * 300_000)
    assert refused.value.status == 413
    assert "max_request_size" in refused.value.body


def test_batch_over_ten_events_is_refused_with_the_reason(publisher: Publisher) -> None:
    with pytest.raises(Refused) as refused:
        publisher.trigger_batch([{"channel": "news", "name": "x", "data": "{}"} for _ in range(11)])
    assert refused.value.status == 422
    assert "max_batch_size" in refused.value.body


def test_user_id_with_special_characters_is_sent_to_and_terminated(
    pusher_js: PusherJsFactory, publisher: Publisher
) -> None:
    client = pusher_js("a=b@c.d;e").connected()
    client.sign_in()
    publisher.send_to_user("a=b@c.d;e", "hello", {})
    client.expect("user-event", event="hello")
    publisher.terminate_user_connections("a=b@c.d;e")
    client.expect("state", previous="connected", current="disconnected")
