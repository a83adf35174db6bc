"""Weaknesses other servers of this protocol were found to have, one test for each: none of them is here.

What needs many seconds or many bytes (slow clients, half-open requests, idle sockets) is in tests/integration.
"""

from __future__ import annotations

import gc
import sys
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from conformance.protocol.stage import APP, Client, Stage, error_of, members_of
from soundpost.core import subscriptions, users
from soundpost.core.app_settings import RateLimiting
from soundpost.core.peers import ChannelQuery
from soundpost.server.connections.open_files import raise_open_files_limit
from soundpost.wire.frames import CLOSE, TEXT, parse_close
from soundpost.wire.messages import Subscribe
from soundpost.wire.signatures import signed_query
from support.harness import RawSocket, client_frame, http_request, signed_request, upgrade_request
from support.ticked_server import ticked_server


def lines_run(function: Callable[[], object]) -> int:
    """How many lines of our code a call runs: work, counted without a clock."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if "/soundpost/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    assert count
    return count


SUBSCRIBE = client_frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"room"}}')


@pytest.mark.parametrize(("options", "code"), [({"allowed_origins": ("a.com",)}, 4009), ({"max_connections": 1}, 4004)])
def test_1_a_refused_connection_is_not_usable(options: dict[str, Any], code: int) -> None:
    with ticked_server(msgspec.structs.replace(APP, **options)) as server, RawSocket(server.port) as first:
        first.handshake(Origin="https://a.com")
        assert first.read_event()["event"] == "pusher:connection_established"
        with RawSocket(server.port) as client:
            client.send(upgrade_request(Origin="https://b.com") + SUBSCRIBE)
            client.read_head()
            assert client.read_event()["data"]["code"] == code
            opcode, payload = client.read_frame()
            assert (opcode, parse_close(payload)[0]) == (CLOSE, code)
            client.send(SUBSCRIBE)

            assert client.read_rest() == b""
            assert server.subscribers("room") == 0
            assert server.run(lambda: len(server.server.node.by_id["1"].connections)) == 1


def test_2_a_request_with_another_key_or_an_old_timestamp_is_refused() -> None:
    with ticked_server() as server:
        stranger = msgspec.structs.replace(APP, key="any")
        assert http_request(server.port, signed_request("GET", "/channels", app=stranger)).status == 401
        path, old = "/apps/1/channels", int(time.time()) - 3_600
        captured = urlencode(signed_query(APP.key, APP.secret, "GET", path, old))
        response = http_request(server.port, f"GET {path}?{captured} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (response.status, b"Timestamp expired" in response.body) == (401, True)


def test_3_what_other_nodes_are_told_has_no_secret() -> None:
    stage = Stage()
    client = stage.connect().join("private-room")

    stage.publish("private-room", "e", "x")
    client.say("client-a", {}, channel="private-room")

    assert APP.secret not in repr(stage.peers.published) + repr(stage.peers.told)


@pytest.mark.parametrize("header", [{"Sec_WebSocket_Key": "short"}, {"Sec_WebSocket_Version": "8"}])
def test_4_a_failed_handshake_does_not_go_on_as_a_websocket(header: dict[str, str]) -> None:
    with ticked_server() as server, RawSocket(server.port) as client:
        client.send(upgrade_request(**header) + SUBSCRIBE)

        assert client.read_response().status in (400, 426)
        assert client.read_rest() == b""
        assert server.server.open_websockets == 0


def test_5_a_stranger_cannot_publish_to_a_private_channel_nor_forge_a_user() -> None:
    stage = Stage()
    victim, stranger = stage.connect().join("presence-room", user="1"), stage.connect()

    stranger.say("client-a", {}, channel="presence-room", user_id="1", channels=["presence-room"])

    assert victim.read() == []


def test_6_terminate_finds_a_user_on_any_of_its_channels_among_sockets_without_users() -> None:
    stage = Stage()
    public, user = stage.connect().join("room"), stage.connect().join("room", "private-room")
    user.join("presence-one", user="1").join("presence-two", user="2")

    users.terminate(stage.app, "2")
    stage.turn()

    assert (public.close_code, user.close_code) == (None, 4009)


def test_7_a_member_who_leaves_does_not_overwrite_the_cached_event() -> None:
    stage = Stage()
    stage.connect().join("presence-cache-room", user=1)
    stage.publish("presence-cache-room", "e", "x")
    stage.connect().join("presence-cache-room", user=2).vanish()
    stage.turn()
    client = stage.connect()

    client.ask("presence-cache-room", {"user_id": 3})

    assert client.read()[-1] == {"event": "e", "data": "x", "channel": "presence-cache-room"}


def test_7_missing_user_info_and_id_0_and_ids_from_0_up_make_no_trouble() -> None:
    stage = Stage()
    first = stage.connect().join("presence-room", user=0)
    second, third = stage.connect(), stage.connect()
    second.ask("presence-room", '{"user_id":1}')
    third.ask("presence-room", {"user_id": 2, "user_info": {}})

    assert members_of(third.read()) == {"count": 3, "ids": [0, 1, 2], "hash": {"0": None, "1": None, "2": {}}}
    first.vanish()
    assert ("pusher_internal:member_removed", {"user_id": 0}) in second.events()


def test_8_no_channels_are_an_empty_object_and_the_digest_of_an_empty_body_is_accepted() -> None:
    with ticked_server() as server:
        query = {"body_md5": "d41d8cd98f00b204e9800998ecf8427e"}
        assert http_request(server.port, signed_request("GET", "/channels", query=query)).body == b'{"channels":{}}'


def test_9_an_empty_object_stays_one() -> None:
    stage = Stage()
    first, second = stage.connect().join("presence-room", user=1, info={}), stage.connect()
    second.ask("presence-room", {"user_id": 2, "user_info": {}})
    assert members_of(second.read())["hash"] == {"1": {}, "2": {}}

    first.say("client-a", {}, channel="presence-room")

    assert second.read()[0]["data"] == {}


def test_10_a_client_that_is_terminated_is_told_why() -> None:
    client = Stage(rate_limiting=RateLimiting(enabled=True, max_attempts=1, terminate_on_limit=True)).connect()
    client.say("pusher:ping")
    client.say("pusher:ping")

    assert error_of(client.read()) == (4301, "Rate limit exceeded")
    assert (client.close_code, client.close_reason) == (4100, "Rate limit exceeded")


def test_11_an_empty_body_is_400_and_a_plain_get_on_app_is_426() -> None:
    with ticked_server() as server:
        assert http_request(server.port, signed_request("POST", "/events", b"")).status == 400
        assert http_request(server.port, signed_request("POST", "/events", b"{,}")).status == 400
        assert http_request(server.port, b"GET /app/app-key HTTP/1.1\r\nHost: x\r\n\r\n").status == 426


def test_12_more_than_a_thousand_connections() -> None:
    assert raise_open_files_limit() > 2_500, "this test opens 1,100 connections, both ends of each"
    with ticked_server() as server:
        clients = [server.connect() for _ in range(1_100)]
        clients[-1].subscribe("room")
        server.publish("room", "e")

        assert clients[-1].read_event()["event"] == "e"
        assert server.server.open_websockets == 1_100
        for client in clients:
            client.socket.close()


def test_16_housekeeping_looks_only_at_what_is_due() -> None:
    def housekeeping(connections: int) -> int:
        stage = Stage(subscription_count=True)
        for number in range(connections):
            stage.connect().join(f"cache-{number}")
            stage.publish(f"cache-{number}")
        return lines_run(stage.node.housekeep)

    assert housekeeping(200) == housekeeping(2)


@pytest.mark.parametrize("clean", [False, True])
def test_17_and_18_all_of_a_connection_is_freed_at_once_without_the_garbage_collector(clean: bool) -> None:
    class Weak(Client):
        __slots__ = ("__weakref__",)

    stage = Stage(rate_limiting=RateLimiting(enabled=True), subscription_count=True)
    stage.connect().join("room", "private-room").join("presence-room", user=1)
    gc.disable()
    try:
        client = Weak(stage, stage.app)
        stage.node.opened(client)
        client.sign_in({"id": "7"})
        client.join("room", "private-room", "cache-room").join("presence-room", user=2)
        client.say("client-a", {}, channel="private-room")
        stage.publish("room", "e", socket_id=client.socket_id)
        if clean:
            for channel in ("room", "private-room", "cache-room", "presence-room"):
                client.say("pusher:unsubscribe", {"channel": channel})
        client.vanish()
        stage.turn()
        gone = weakref.ref(client)
        del client

        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("subscribers", [100, 1_000])
@pytest.mark.interpreted
def test_21_publishing_with_socket_id_is_no_work_per_subscriber(subscribers: int) -> None:
    def work(count: int) -> int:
        stage = Stage(deliver=lambda connections, data: None)
        clients = [stage.connect() for _ in range(count)]
        for client in clients:
            client.ask("room")
        stage.turn()

        def publish() -> None:
            stage.publish("room", "e", "x", socket_id=clients[count // 2].socket_id)
            stage.turn()

        return lines_run(publish)

    assert work(subscribers) == work(10)


def test_21_answers_about_one_channel_are_no_work_per_connection() -> None:
    def work(count: int) -> int:
        stage = Stage()
        for _ in range(count):
            stage.connect().ask("room")
        query = ChannelQuery("1", ["room"], ["subscription_count", "user_count"])
        return lines_run(lambda: stage.registry.answer(query, lambda answer: None))

    assert work(500) == work(2)


@pytest.mark.interpreted
def test_22_joining_presence_is_no_more_work_for_the_last_than_for_the_first() -> None:
    def work(members: int) -> int:
        stage = Stage(max_presence_members=10_000, deliver=lambda connections, data: None)
        for user in range(members):
            stage.connect().ask("presence-room", {"user_id": user, "user_info": {"name": "x"}})
        stage.turn()
        client, data = stage.connect(), '{"user_id":"last"}'
        request = Subscribe("presence-room", client.auth("presence-room", data), data)
        return lines_run(lambda: subscriptions.subscribe(client, request))

    assert work(1_000) <= work(1)


def test_23_disconnecting_touches_only_ones_own_channels() -> None:
    def work(others: int) -> int:
        stage = Stage()
        for number in range(others):
            stage.connect().join(f"room-{number}", "shared")
        client = stage.connect().join("own", "shared")
        return lines_run(lambda: stage.node.closed(client))

    assert work(300) == work(1)
