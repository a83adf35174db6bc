"""Laravel Echo in Node.js, broadcaster ``reverb``: all that an application does with it."""

from __future__ import annotations

import msgspec
import pytest

from clients.conftest import EchoJsFactory
from support.harness import DEFAULT_APP, running_server
from support.node_process import NodeError
from support.publishers import Publisher, PythonSdk
from support.web_app import CSRF_TOKEN, NAMES, WebApp

NOTIFICATION = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"


def test_connects_and_says_so(echo_js: EchoJsFactory) -> None:
    echo = echo_js().connected()
    assert echo.run("connectionStatus") == "connected"
    assert "." in echo.socket_id
    echo.run("disconnect")
    echo.expect("status", status="disconnected")


def test_refused_connection_is_disconnected(echo_js: EchoJsFactory) -> None:
    echo = echo_js(key="no-such-key")
    echo.expect("status", status="disconnected")
    assert echo.run("connectionStatus") == "disconnected"


def test_listens_by_plain_and_by_dotted_names(echo_js: EchoJsFactory, publisher: Publisher) -> None:
    echo = echo_js().connected()
    channel = echo.open("channel", "orders")
    echo.listen(channel, "OrderShipped", ".order.shipped")
    publisher.trigger("orders", "OrderShipped", {"id": 5})
    publisher.trigger("orders", "order.shipped", {"id": 6})
    assert echo.expect_heard("orders", "OrderShipped") == {"id": 5}
    assert echo.expect_heard("orders", ".order.shipped") == {"id": 6}


def test_default_namespace_is_laravels(echo_js: EchoJsFactory, publisher: Publisher) -> None:
    echo = echo_js(namespace="App.Events").connected()
    channel = echo.open("channel", "laravel")
    echo.listen(channel, "OrderShipped")
    publisher.trigger("laravel", "App\\Events\\OrderShipped", {"orderId": 5})
    assert echo.expect_heard("laravel", "OrderShipped") == {"orderId": 5}


def test_stop_listening_and_listen_to_all(echo_js: EchoJsFactory, python_sdk: PythonSdk) -> None:
    echo = echo_js().connected()
    channel = echo.open("channel", "noisy")
    echo.listen(channel, ".one", ".two")
    echo.run("listenToAll", channel)
    echo.run("stopListening", channel, ".one")
    for event in ("one", "two"):
        python_sdk.trigger("noisy", event, {"event": event})
    assert echo.expect_heard("noisy", ".two") == {"event": "two"}
    assert not echo.has("heard", event=".one")
    assert [echo.expect("all")["data"] for _ in range(2)] == [{"event": "one"}, {"event": "two"}]


def test_private_channel_is_asked_for_with_bearer_and_csrf_token(
    echo_js: EchoJsFactory, publisher: Publisher, web_app: WebApp
) -> None:
    echo = echo_js("ann", csrfToken=CSRF_TOKEN).connected()
    channel = echo.open("private", "orders.5")
    assert channel == "private-orders.5"
    assert web_app.requests[-1] == {"socket_id": echo.socket_id, "channel_name": channel}
    assert web_app.headers[-1]["authorization"] == "Bearer ann"
    assert web_app.headers[-1]["x-csrf-token"] == CSRF_TOKEN
    echo.listen(channel, ".shipped")
    publisher.trigger(channel, "shipped", {"order": 5})
    assert echo.expect_heard(channel, ".shipped") == {"order": 5}


def test_error_is_called_when_the_application_denies(echo_js: EchoJsFactory) -> None:
    echo = echo_js("ann").connected()
    echo.run("open", "private", "forbidden")
    assert echo.expect("error", channel="private-forbidden")["error"]["status"] == 403


@pytest.mark.parametrize(("kind", "channel"), [("private", "private-forged"), ("join", "presence-forged")])
def test_error_is_called_when_the_server_refuses_the_signature(echo_js: EchoJsFactory, kind: str, channel: str) -> None:
    echo = echo_js("ann").connected()
    echo.run("open", kind, "forged")
    error = echo.expect("error", channel=channel)["error"]
    assert (error["type"], error["status"]) == ("AuthError", 401)
    assert "unauthorized" in error["error"]
    assert not echo.has("subscribed")


def test_here_joining_and_leaving(echo_js: EchoJsFactory) -> None:
    ann, bob = echo_js("ann").connected(), echo_js("bob").connected()
    room = ann.open("join", "room.1")
    assert room == "presence-room.1"
    assert ann.expect_here(room) == [{"name": NAMES["ann"]}]
    bob.open("join", "room.1")
    assert sorted(member["name"] for member in bob.expect_here(room)) == [NAMES["ann"], "Bob"]
    assert ann.expect("joining", channel=room)["member"] == {"name": "Bob"}
    bob.run("leave", "room.1")
    assert ann.expect("leaving", channel=room)["member"] == {"name": "Bob"}
    assert not bob.has("joining")


def test_second_tab_of_a_user_neither_joins_nor_leaves(echo_js: EchoJsFactory, python_sdk: PythonSdk) -> None:
    bob, first = echo_js("bob").connected(), echo_js("ann").connected()
    room = bob.open("join", "tabs")
    first.open("join", "tabs")
    bob.expect("joining", channel=room)
    second = echo_js("ann").connected()
    second.open("join", "tabs")
    assert len(second.expect_here(room)) == 2
    second.stop()
    bob.listen(room, ".fence")
    _wait_until_gone(python_sdk, room, 2)
    python_sdk.trigger(room, "fence", {})
    bob.expect_heard(room, ".fence")
    assert not bob.has("joining")
    assert not bob.has("leaving")
    first.stop()
    assert bob.expect("leaving", channel=room)["member"] == {"name": NAMES["ann"]}


@pytest.mark.parametrize("kind", ["private", "join"])
def test_whisper_reaches_the_others_and_not_the_whisperer(echo_js: EchoJsFactory, kind: str) -> None:
    ann, bob = echo_js("ann").connected(), echo_js("bob").connected()
    channel = ann.open(kind, "chat")
    bob.open(kind, "chat")
    for echo in (ann, bob):
        for name in ("typing", "stopped"):
            echo.run("listenForWhisper", channel, name)
    ann.run("whisper", channel, "typing", {"name": "Ann", "draft": "Hé"})
    assert bob.expect("whisper", channel=channel, name="typing")["data"] == {"name": "Ann", "draft": "Hé"}
    bob.run("whisper", channel, "stopped", {})
    ann.expect("whisper", name="stopped")
    assert not ann.has("whisper", name="typing")


def test_notification_is_heard(echo_js: EchoJsFactory, publisher: Publisher) -> None:
    echo = echo_js("ann").connected()
    channel = echo.open("private", "App.Models.User.1")
    echo.run("notification", channel)
    notification = {"id": "9c8f", "type": "App\\Notifications\\InvoicePaid", "amount": 12}
    publisher.trigger(channel, NOTIFICATION, notification)
    assert echo.expect("notification", channel=channel)["data"] == notification


def test_nothing_is_heard_after_leaving(echo_js: EchoJsFactory, python_sdk: PythonSdk) -> None:
    echo = echo_js("ann").connected()
    for kind in ("channel", "private", "encryptedPrivate", "join"):
        echo.listen(echo.open(kind, "left"), ".late")
    names = ["left", "private-left", "presence-left"]
    echo.run("leave", "left")
    fence = echo.open("channel", "fence")
    echo.listen(fence, ".late")
    assert [python_sdk.channel(name)["occupied"] for name in names] == [False] * 3
    python_sdk.trigger([*names, fence], "late", {})
    echo.expect_heard(fence, ".late")
    assert not echo.has("heard")


def test_encrypted_private_channel_is_read(echo_js: EchoJsFactory, publisher: Publisher) -> None:
    echo = echo_js("ann").connected()
    channel = echo.open("encryptedPrivate", "diary")
    assert channel == "private-encrypted-diary"
    echo.listen(channel, ".entry")
    publisher.trigger(channel, "entry", {"text": "Geheim 🔒"})
    assert echo.expect_heard(channel, ".entry") == {"text": "Geheim 🔒"}


def test_whisper_on_an_encrypted_channel_throws(echo_js: EchoJsFactory) -> None:
    echo = echo_js("ann").connected()
    channel = echo.open("encryptedPrivate", "diary")
    with pytest.raises(NodeError, match="not currently supported for encrypted channels"):
        echo.run("whisper", channel, "typing", {})


@pytest.mark.parametrize(("kind", "name"), [("channel", "cache-feed.3"), ("private", "cache-feed.3")])
def test_cache_channel_is_reached_by_its_prefix(
    echo_js: EchoJsFactory, python_sdk: PythonSdk, kind: str, name: str
) -> None:
    full = name if kind == "channel" else f"private-{name}"
    python_sdk.trigger(full, "post", {"id": 1})
    echo = echo_js("ann").connected()
    echo.run("open", kind, name, ".post")  # the event that is kept comes with the subscription
    assert echo.expect_heard(full, ".post") == {"id": 1}


def test_to_others_leaves_out_the_socket_that_asked(echo_js: EchoJsFactory, publisher: Publisher) -> None:
    ann, bob = echo_js("ann").connected(), echo_js("bob").connected()
    for echo in (ann, bob):
        channel = echo.open("private", "to-others")
        echo.listen(channel, ".posted", ".fence")
    publisher.trigger("private-to-others", "posted", {"by": "ann"}, except_socket=ann.socket_id)
    publisher.trigger("private-to-others", "fence", {})
    assert bob.expect_heard("private-to-others", ".posted") == {"by": "ann"}
    ann.expect_heard("private-to-others", ".fence")
    assert not ann.has("heard", event=".posted")


def test_socket_id_that_is_nobodys_excludes_nobody(echo_js: EchoJsFactory, publisher: Publisher) -> None:
    echo = echo_js("ann").connected()
    echo.listen(echo.open("private", "to-all"), ".posted")
    publisher.trigger("private-to-all", "posted", {}, except_socket="1.1")
    echo.expect_heard("private-to-all", ".posted")


def test_signed_in_user_is_sent_to(echo_js: EchoJsFactory, publisher: Publisher) -> None:
    echo = echo_js("ann").connected()
    echo.run("signin")
    echo.expect("signed-in")
    echo.open("channel", "fence")  # asked for after the user's own channel
    publisher.send_to_user("ann", "reminder", {"at": "8 pm"})
    assert echo.expect("user-event", event="reminder")["data"] == {"at": "8 pm"}


def test_pusher_broadcaster_works_as_well(echo_js: EchoJsFactory, python_sdk: PythonSdk) -> None:
    echo = echo_js("ann", broadcaster="pusher", cluster="mt1").connected()
    echo.listen(echo.open("private", "old-app"), ".hello")
    python_sdk.trigger("private-old-app", "hello", {"n": 1})
    assert echo.expect_heard("private-old-app", ".hello") == {"n": 1}


def test_allowed_origins_do_not_shut_out_a_client_without_origin_if_the_app_says_so(echo_js: EchoJsFactory) -> None:
    app = msgspec.structs.replace(DEFAULT_APP, allowed_origins=("example.com",), allow_missing_origin=True)
    with running_server(apps=[app]) as server:
        echo_js(server=server).connected()


def _wait_until_gone(sdk: PythonSdk, channel: str, count: int) -> None:
    """Ask until the channel has so many subscribers: a closed socket is noticed soon, yet not at once."""
    for _ in range(1000):
        if sdk.channel(channel, "subscription_count")["subscription_count"] == count:
            return
    raise AssertionError(f"{channel} does not come down to {count} subscribers")
