"""pusher-js in Node.js: connecting, channels, client events, signing in."""

from __future__ import annotations

import re

import msgspec
import pytest

from clients.conftest import PusherJsFactory
from support.harness import DEFAULT_APP, running_server
from support.publishers import NodeSdk, Publisher, PythonSdk
from support.web_app import WebApp


def test_connects_and_learns_its_socket_id(pusher_js: PusherJsFactory) -> None:
    client = pusher_js().connected()
    assert re.fullmatch(r"\d+\.\d+", client.socket_id)
    assert client.run("activityTimeout") == DEFAULT_APP.activity_timeout * 1000


def test_event_on_a_public_channel_arrives_as_published(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    client = pusher_js().connected()
    client.subscribe("news")
    data = {"text": 'Zoë said: "Grüße, 世界 🎻"', "nested": {"list": [1, 2.5, None, True]}}
    publisher.trigger("news", "headline", data)
    assert client.expect_event("news", "headline") == data


def test_text_that_is_not_json_arrives_as_that_text(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    client = pusher_js().connected()
    client.subscribe("news")
    publisher.trigger("news", "plain", "just text")
    assert client.expect_event("news", "plain") == "just text"


def test_events_arrive_in_the_order_they_were_published(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    client = pusher_js().connected()
    client.subscribe("ordered")
    for number in range(50):
        python_sdk.trigger("ordered", "count", {"number": number})
    assert [client.expect_event("ordered", "count")["number"] for _ in range(50)] == list(range(50))


def test_only_subscribers_get_an_event(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    client = pusher_js().connected()
    client.subscribe("mine")
    python_sdk.trigger("others", "secret", {})
    python_sdk.trigger("mine", "fence", {})
    client.expect_event("mine", "fence")
    assert not client.has("message", event="secret")


def test_nothing_arrives_after_unsubscribing(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    client = pusher_js().connected()
    client.subscribe("left", "kept")
    client.run("unsubscribe", "left")
    client.subscribe("fence")  # the server has handled the unsubscription when it answers this
    assert python_sdk.channel("left")["occupied"] is False
    python_sdk.trigger(["left", "kept"], "late", {})
    client.expect_event("kept", "late")
    assert not client.has("message", event="late", channel="left")


def test_subscribing_again_after_unsubscribing_works(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    client = pusher_js().connected()
    client.subscribe("again")
    client.run("unsubscribe", "again")
    client.subscribe("again")
    python_sdk.trigger("again", "hello", {})
    client.expect_event("again", "hello")


def test_private_channel_is_joined_with_the_applications_signature(
    pusher_js: PusherJsFactory, publisher: Publisher, web_app: WebApp
) -> None:
    client = pusher_js("ann").connected()
    client.subscribe("private-orders.5")
    assert web_app.requests[-1] == {"socket_id": client.socket_id, "channel_name": "private-orders.5"}
    publisher.trigger("private-orders.5", "shipped", {"order": 5})
    assert client.expect_event("private-orders.5", "shipped") == {"order": 5}


def test_application_that_denies_a_channel_is_heard_of(pusher_js: PusherJsFactory) -> None:
    client = pusher_js("ann").connected()
    client.run("subscribe", "private-forbidden")
    error = client.expect_event("private-forbidden", "pusher:subscription_error")
    assert (error["type"], error["status"]) == ("AuthError", 403)
    assert client.run("state") == "connected"


def test_guest_may_not_join_a_private_channel_but_a_public_one(pusher_js: PusherJsFactory) -> None:
    client = pusher_js(None).connected()
    client.run("subscribe", "private-members")
    assert client.expect_event("private-members", "pusher:subscription_error")["status"] == 403
    client.subscribe("news")


@pytest.mark.parametrize("channel", ["private-forged", "presence-forged", "private-encrypted-forged"])
def test_signature_made_with_another_secret_is_refused(
    pusher_js: PusherJsFactory, python_sdk: PythonSdk, channel: str
) -> None:
    client = pusher_js("ann").connected()
    client.run("subscribe", channel)
    error = client.expect_event(channel, "pusher:subscription_error")
    assert (error["type"], error["status"]) == ("AuthError", 401)
    assert channel in error["error"]
    assert client.run("isSubscribed", channel) is False
    assert python_sdk.channel(channel)["occupied"] is False
    assert client.run("state") == "connected"


def test_invalid_channel_name_is_refused_with_a_reason(pusher_js: PusherJsFactory) -> None:
    client = pusher_js().connected()
    client.run("subscribe", "no spaces please")
    assert "no spaces please" in client.expect_event("no spaces please", "pusher:subscription_error")["error"]


def test_client_event_reaches_the_others_and_not_its_sender(pusher_js: PusherJsFactory) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    for client in (ann, bob):
        client.subscribe("private-chat")
    ann.run("trigger", "private-chat", "client-typing", {"who": "ann", "deep": [{"x": None}]})
    assert bob.expect_event("private-chat", "client-typing") == {"who": "ann", "deep": [{"x": None}]}
    bob.run("trigger", "private-chat", "client-stop", {})
    ann.expect_event("private-chat", "client-stop")
    assert not ann.has_event("private-chat", "client-typing")


def test_client_event_on_a_presence_channel_names_its_sender(pusher_js: PusherJsFactory) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    for client in (ann, bob):
        client.subscribe("presence-whispers")
    bob.run("listen", "presence-whispers", "client-wave")
    ann.run("trigger", "presence-whispers", "client-wave", {"user_id": "somebody else"})
    heard = bob.expect("heard", event="client-wave")
    assert heard["metadata"] == {"user_id": "ann"}
    assert heard["data"] == {"user_id": "somebody else"}


def test_client_event_on_a_public_channel_is_refused(pusher_js: PusherJsFactory) -> None:
    client = pusher_js().connected()
    client.subscribe("news")
    client.run("trigger", "news", "client-shout", {})
    error = client.expect("error", code=4301)
    assert "private and presence" in error["message"]
    assert client.run("state") == "connected"


def test_client_events_can_be_switched_off_for_an_app(pusher_js: PusherJsFactory) -> None:
    app = msgspec.structs.replace(DEFAULT_APP, accept_client_events_from="none")
    with running_server(apps=[app]) as server:
        client = pusher_js("ann", server=server).connected()
        client.subscribe("private-chat")
        client.run("trigger", "private-chat", "client-typing", {})
        client.expect("error", code=4301)


def test_subscription_count_is_told_to_every_subscriber(pusher_js: PusherJsFactory) -> None:
    app = msgspec.structs.replace(DEFAULT_APP, subscription_count=True)
    with running_server(apps=[app]) as server:
        first = pusher_js(server=server).connected()
        first.subscribe("counted")
        assert first.expect_event("counted", "pusher:subscription_count") == {"subscription_count": 1}
        second = pusher_js(server=server).connected()
        second.subscribe("counted")
        for client in (first, second):
            assert client.expect_event("counted", "pusher:subscription_count") == {"subscription_count": 2}
        assert first.run("subscriptionCount", "counted") == 2
        second.stop()
        assert first.expect_event("counted", "pusher:subscription_count") == {"subscription_count": 1}


def test_cached_event_is_given_to_a_late_subscriber(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    channel = f"cache-{type(publisher).__name__}"
    publisher.trigger(channel, "price", {"of": "rosin", "is": 1})
    publisher.trigger(channel, "price", {"of": "rosin", "is": 2})
    client = pusher_js().connected()
    client.subscribe(channel)
    assert client.expect_event(channel, "price") == {"of": "rosin", "is": 2}
    assert not client.has_event(channel, "price")
    assert not client.has_event(channel, "pusher:cache_miss")


@pytest.mark.parametrize("channel", ["cache-empty", "private-cache-empty", "presence-cache-empty"])
def test_cache_miss_is_told_when_nothing_was_published(
    pusher_js: PusherJsFactory, node_sdk: NodeSdk, channel: str
) -> None:
    client = pusher_js("ann").connected()
    client.subscribe(channel)
    client.expect_event(channel, "pusher:cache_miss")
    node_sdk.trigger(channel, "first", {"n": 1})
    assert client.expect_event(channel, "first") == {"n": 1}
    late = pusher_js("bob").connected()
    late.subscribe(channel)
    assert late.expect_event(channel, "first") == {"n": 1}


def test_signed_in_user_gets_what_is_sent_to_it(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    for client in (ann, bob):
        client.sign_in()
    publisher.send_to_user("bob", "fence", {})
    publisher.send_to_user("ann", "reminder", {"at": "8 pm"})
    assert ann.expect("user-event", event="reminder")["data"] == {"at": "8 pm"}
    bob.expect("user-event", event="fence")
    assert not bob.has("message", event="reminder")
    assert not ann.has("message", event="fence")


def test_every_connection_of_a_user_gets_what_is_sent_to_it(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    tabs = [pusher_js("carol").connected() for _ in range(2)]
    for tab in tabs:
        tab.sign_in()
    python_sdk.send_to_user("carol", "hello", {})
    for tab in tabs:
        tab.expect("user-event", event="hello")


def test_users_own_channel_is_closed_to_others(pusher_js: PusherJsFactory) -> None:
    ann, guest = pusher_js("ann").connected(), pusher_js(None).connected()
    ann.sign_in()
    for client in (ann, guest):
        client.run("send", "pusher:subscribe", {"channel": "#server-to-user-bob"})
        client.expect("message", event="pusher:subscription_error", channel="#server-to-user-bob")


def test_sign_in_with_a_wrong_signature_ends_the_connection_for_good(pusher_js: PusherJsFactory) -> None:
    client = pusher_js("forged-ann").connected()
    client.run("signin")
    client.expect("state", previous="connected", current="disconnected")
    assert client.has("error", code=4009)


def test_sign_in_denied_by_the_application_leaves_the_connection(pusher_js: PusherJsFactory) -> None:
    client = pusher_js("banned-ann").connected()
    client.run("signin")
    assert client.expect("user-event", event="pusher:signin_error")["data"]["status"] == 403
    assert client.run("state") == "connected"


def test_terminated_user_is_disconnected_and_stays_away(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    user = f"dora-{type(publisher).__name__}"
    signed_in, second_tab, present, other = (pusher_js(name).connected() for name in (user, user, user, "bob"))
    for client in (signed_in, second_tab):
        client.sign_in()
    for client in (present, other):
        client.subscribe(f"presence-{user}")
    publisher.terminate_user_connections(user)
    for client in (signed_in, second_tab, present):
        client.expect("state", previous="connected", current="disconnected")
        client.expect("error", code=4009)
        assert not client.has("state", current="connecting", previous="disconnected")
        assert client.run("state") == "disconnected"
    assert other.expect_event(f"presence-{user}", "pusher:member_removed")["id"] == user
    assert other.run("state") == "connected"


def test_signed_in_user_joins_a_presence_channel_without_channel_data(
    pusher_js: PusherJsFactory, python_sdk: PythonSdk
) -> None:
    client = pusher_js("ann").connected()
    client.sign_in()
    client.subscribe("presence-signed-in")
    assert python_sdk.users("presence-signed-in") == {"users": [{"id": "ann"}]}
