"""pusher-js in Node.js when connections are refused, fall silent, or end: it must do what the codes tell it."""

from __future__ import annotations

import os
import signal

import msgspec

from clients.conftest import PusherJsFactory
from support.clients_js import PusherJs
from support.harness import DEFAULT_APP, TIMEOUT, running_server
from support.publishers import PythonSdk
from support.redis_process import free_port
from support.relay import running_relay


def test_unknown_key_is_refused_for_good(pusher_js: PusherJsFactory) -> None:
    client = pusher_js(key="no-such-key")
    client.expect("state", previous="connecting", current="disconnected")
    assert "no-such-key" in client.expect("error", code=4001)["message"]
    assert not client.has("state", current="connecting", previous="disconnected")
    assert client.run("state") == "disconnected"


def test_disabled_app_is_refused_for_good(pusher_js: PusherJsFactory) -> None:
    with running_server(apps=[msgspec.structs.replace(DEFAULT_APP, enabled=False)]) as server:
        client = pusher_js(server=server)
        client.expect("state", previous="connecting", current="disconnected")
        client.expect("error", code=4003)


def test_full_app_is_refused_for_good(pusher_js: PusherJsFactory) -> None:
    with running_server(apps=[msgspec.structs.replace(DEFAULT_APP, max_connections=1)]) as server:
        pusher_js(server=server).connected()
        second = pusher_js(server=server)
        second.expect("state", previous="connecting", current="disconnected")
        second.expect("error", code=4004)


def test_pings_keep_a_silent_client_connected(pusher_js: PusherJsFactory) -> None:
    with running_server(apps=[msgspec.structs.replace(DEFAULT_APP, activity_timeout=1)]) as server:
        client = pusher_js(server=server).connected()
        # Who asks first, server or client, is a race both may win; whoever it is, the client stays.
        for _ in range(2):
            client.expect("message", lambda message: message["event"] in ("pusher:ping", "pusher:pong"))
        assert client.run("state") == "connected"
        assert not client.has("state", previous="connected")


def test_client_asks_for_a_sign_of_life_and_gets_it(pusher_js: PusherJsFactory) -> None:
    client = pusher_js(activityTimeout=300, pongTimeout=30_000).connected()
    for _ in range(3):
        assert client.expect("message", event="pusher:pong")["data"] == {}
    assert not client.has("state", previous="connected")


def test_client_comes_back_by_itself_when_the_server_is_restarted(pusher_js: PusherJsFactory) -> None:
    # Takes 15 s: pusher-js reconnects at once, finds nobody listening, and waits that long before the next attempt.
    with running_server(port=free_port()) as server:
        port = server.port
        client = pusher_js("ann", server=server).connected()
        client.sign_in()
        client.subscribe("news", "private-orders", "presence-room", "private-encrypted-diary")
        before = client.socket_id
    client.expect("error", code=4200)
    client.expect("state", previous="connected", current="connecting")
    with running_server(port=port) as server:
        client.connected()
        _assert_is_back(client, before, server.port)


def test_client_moves_to_the_next_server_at_once_in_a_rolling_restart(pusher_js: PusherJsFactory) -> None:
    with running_server() as old, running_relay(old.port) as relay, running_server() as new:
        client = pusher_js("ann", wsPort=relay.port).connected()
        client.sign_in()
        client.subscribe("news", "private-orders", "presence-room", "private-encrypted-diary")
        before = client.socket_id
        relay.target = new.port
        os.kill(old.pid, signal.SIGTERM)
        client.expect("error", code=4200)
        client.expect("state", previous="connecting", current="connected")  # never "unavailable" in between
        _assert_is_back(client, before, new.port)
        assert old.process.wait(TIMEOUT) == 0


def _assert_is_back(client: PusherJs, before: str, port: int) -> None:
    assert client.socket_id != before
    for channel in ("news", "private-orders", "presence-room", "private-encrypted-diary"):
        client.expect("event", channel=channel, event="pusher:subscription_succeeded")
    assert client.run("presence", "presence-room")["count"] == 1
    client.expect("message", event="pusher:signin_success")
    client.expect("message", event="pusher_internal:subscription_succeeded", channel="#server-to-user-ann")
    sdk = PythonSdk(port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret)
    sdk.trigger("private-encrypted-diary", "entry", {"text": "after"})
    assert client.expect_event("private-encrypted-diary", "entry") == {"text": "after"}
    sdk.send_to_user("ann", "welcome-back", {})
    client.expect("user-event", event="welcome-back")


def test_client_that_disconnects_is_gone_from_its_channels(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    for client in (bob, ann):
        client.subscribe("presence-goodbye")
    ann.run("disconnect")
    assert bob.expect_event("presence-goodbye", "pusher:member_removed")["id"] == "ann"
    assert python_sdk.users("presence-goodbye") == {"users": [{"id": "bob"}]}
    ann.run("connect")
    assert bob.expect_event("presence-goodbye", "pusher:member_added")["id"] == "ann"


def test_server_below_a_path_prefix_is_reached_with_ws_path(pusher_js: PusherJsFactory) -> None:
    with running_server(path="/realtime") as server:
        client = pusher_js(server=server, wsPath="/realtime").connected()
        client.subscribe("news")
