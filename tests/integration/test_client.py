"""The Python client against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from soundpost import Broadcaster
from soundpost.client import Client, Gap, Member, Subscription, User, with_secret
from soundpost.errors import ConnectionRefused, PayloadError, ProtocolError, RequestError, SubscriptionError
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

KEY, SECRET = DEFAULT_APP.key, DEFAULT_APP.secret


def client_of(server: RunningServer, user_id: str = "", name: str | None = None) -> Client:
    info = None if name is None else {"name": name}
    return Client(
        f"http://127.0.0.1:{server.port}", KEY, auth=with_secret(KEY, SECRET, user_id=user_id, user_info=info)
    )


async def names(events: Subscription | User, number: int) -> list[str]:
    return [(await events.next(timeout=TIMEOUT)).name for _ in range(number)]


async def test_each_reader_gets_the_events_of_its_channel(server: RunningServer) -> None:
    async with client_of(server) as client:
        orders = await client.subscribe("private-orders.1")
        await client.subscribe("news")
        server.publish("news", "headline", "plain words")
        server.publish("private-orders.1", "shipped", '{"id": 1}')
        event = await orders.next(timeout=TIMEOUT)
        assert (event.name, event.channel, event.data) == ("shipped", "private-orders.1", {"id": 1})
        async for event in client:
            assert (event.channel, event.name, event.data) == ("news", "headline", "plain words")
            break
        with pytest.raises(TimeoutError):
            await orders.next(timeout=0.01)


async def test_an_iteration_needs_no_await_and_ends_when_the_channel_is_left(server: RunningServer) -> None:
    async with client_of(server) as client:
        seen = []
        server.publish("cache-iterated", "last", "1")
        async for event in client.subscribe("cache-iterated"):
            seen.append((event.name, event.data))
            await client.unsubscribe("cache-iterated")
        assert seen == [("last", 1)]
        assert (await client.subscribe("cache-iterated")).is_subscribed


async def test_a_wrong_secret_refuses_where_it_is_awaited_and_where_it_is_iterated(server: RunningServer) -> None:
    wrong = with_secret(KEY, "wrong")
    async with client_of(server) as client:
        with pytest.raises(SubscriptionError) as caught:
            await client.subscribe("private-a", auth=wrong)
        assert (caught.value.channel, caught.value.status) == ("private-a", 401)
        with pytest.raises(SubscriptionError):
            [event async for event in client.subscribe("private-a", auth=wrong)]
        assert (await client.subscribe("private-a")).is_subscribed


async def test_an_authorizer_that_is_cancelled_refuses(server: RunningServer) -> None:
    async def cancelled(*names: str) -> None:
        raise asyncio.CancelledError

    async with Client(f"http://127.0.0.1:{server.port}", KEY, auth=cancelled) as client:
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(SubscriptionError, match="the authorizer of private-a was cancelled"):
                await client.subscribe("private-a")
            with pytest.raises(RequestError, match="the authenticator was cancelled"):
                await client.sign_in(cancelled)  # type: ignore[arg-type]


async def test_two_clients_see_each_other_come_type_and_go(server: RunningServer) -> None:
    async with client_of(server, "1", "Ann") as ann:
        room = await ann.subscribe("presence-chat.1")
        assert (room.members, room.me) == ({"1": {"name": "Ann"}}, Member("1", {"name": "Ann"}))
        async with client_of(server, "2", "Bob") as bob:
            others_room = await bob.subscribe("presence-chat.1")
            assert others_room.members == {"1": {"name": "Ann"}, "2": {"name": "Bob"}}
            assert (await room.next(timeout=TIMEOUT)).name == "pusher:member_added"
            assert room.members == others_room.members
            await others_room.trigger("typing", {"on": True})
            event = await room.next(timeout=TIMEOUT)
            assert (event.name, event.data, event.user_id) == ("client-typing", {"on": True}, "2")
        assert (await room.next(timeout=TIMEOUT)).data == {"user_id": "2"}
        assert list(room.members) == ["1"]


async def test_too_many_client_events_are_told_as_an_event(server: RunningServer) -> None:
    async with client_of(server, "1") as client:
        room = await client.subscribe("private-rate")
        for _ in range(11):
            await room.trigger("typing")
        async with asyncio.timeout(TIMEOUT):
            error = await anext(client)
        assert (error.name, error.channel, error.data["code"]) == ("pusher:error", None, 4301)


async def test_signed_in_it_gets_what_is_sent_to_the_user(server: RunningServer) -> None:
    async with client_of(server, "ann", "Ann") as client:
        assert client.user is None
        user = await client.sign_in()
        assert (user.id, user.info) == ("ann", {"name": "Ann"})
        server.publish("#server-to-user-ann", "hello", '{"n": 1}')
        event = await user.next(timeout=TIMEOUT)
        assert (event.name, event.data) == ("hello", {"n": 1})
        assert client.user is not None
        server.publish("#server-to-user-ann", "hello", '{"n": 2}')
        async for event in client.user:
            assert event.data == {"n": 2}
            break


async def test_a_forged_sign_in_is_refused_for_good(server: RunningServer) -> None:
    async with client_of(server) as client:
        with pytest.raises(ProtocolError) as caught:
            await client.sign_in(with_secret(KEY, "wrong", user_id="ann").user)
        assert caught.value.code == 4009
        with pytest.raises(ConnectionRefused):
            await anext(client)


async def test_a_terminated_user_is_sent_away(server: RunningServer) -> None:
    async with client_of(server, "terminated") as client:
        await client.sign_in()
        orders = await client.subscribe("orders")
        server.request("POST", "/users/terminated/terminate_connections")
        with pytest.raises(ConnectionRefused, match="4009"):
            await orders.next(timeout=TIMEOUT)


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
async def test_it_outlives_its_server(monkeypatch: pytest.MonkeyPatch, killed: bool) -> None:
    monkeypatch.setattr("soundpost.client.connection.delay_before", lambda attempt, action: 0.05)
    told: list[str] = []
    with running_server(port=free_port()) as first:
        client = Client(
            f"http://127.0.0.1:{first.port}",
            KEY,
            auth=with_secret(KEY, SECRET, user_id="1", user_info={"name": "Ann"}),
            on_status=told.append,
        )
        async with client:
            user = await client.sign_in()
            room = await client.subscribe("presence-room", subscription_events=True)
            orders = await client.subscribe("private-orders", subscription_events=True)
            async with client_of(first, "2", "Bob") as bob:
                await bob.subscribe("presence-room")
                assert await names(room, 1) == ["pusher:member_added"]
            assert await names(room, 1) == ["pusher:member_removed"]
            before = client.socket_id
            os.kill(first.pid, signal.SIGKILL if killed else signal.SIGTERM)
            await asyncio.to_thread(first.wait_for_the_end)
            with running_server(port=first.port) as second:
                assert await names(room, 1) == ["pusher:subscription_succeeded"]
                assert await names(orders, 1) == ["pusher:subscription_succeeded"]
                assert room.members == {"1": {"name": "Ann"}}
                assert client.socket_id != before
                second.publish("private-orders", "shipped")
                second.publish("#server-to-user-1", "hello")
                assert await names(orders, 1) == ["shipped"]
                assert await names(user, 1) == ["hello"]
                await room.trigger("typing")
    assert told[-1] == "connected again"


async def test_a_channel_nobody_reads_does_not_hold_up_the_others(server: RunningServer) -> None:
    async with client_of(server) as client:
        idle, orders = await client.subscribe("idle"), await client.subscribe("orders")
        await client.subscribe("unread")
        for read in (idle, orders):  # so that both have queues of their own
            with pytest.raises(TimeoutError):
                await read.next(timeout=0)
        broadcaster = Broadcaster()
        broadcaster.configure(app_id="1", key=KEY, secret=SECRET, port=server.port, timeout=TIMEOUT)
        for number in range(1_200):
            await broadcaster.apublish(["idle", "unread"], "tick", number)
        await broadcaster.apublish("orders", "shipped", {})
        await broadcaster.aclose()
        assert await names(orders, 1) == ["shipped"]
        assert (idle.missed, client.missed) == (200, 200)
        assert [(await idle.next()), (await idle.next()).data] == [Gap("idle", "overflow"), 200]


async def test_outside_of_its_block_it_is_over(server: RunningServer) -> None:
    async with client_of(server) as client:
        orders = await client.subscribe("orders")
    assert [event async for event in orders] == []
    assert [event async for event in client] == []
    with pytest.raises(RequestError, match="closed"):
        client.subscribe("news")


async def test_a_client_that_is_not_connected_says_so_and_waits_for_nothing(server: RunningServer) -> None:
    client = client_of(server)
    for use in (lambda: client.subscribe("orders"), lambda: client.socket_id):
        with pytest.raises(RuntimeError, match="not connected: use it in an 'async with' block"):
            use()
    for wait in (client.sign_in, client.__anext__):
        with pytest.raises(RuntimeError, match="not connected"):
            await wait()


async def test_a_client_connects_once_and_closes_all_that_it_opened(server: RunningServer) -> None:
    client = client_of(server)
    both = await asyncio.gather(client.connect(), client.connect(), return_exceptions=True)
    assert [str(error)[:35] for error in both if error] == ["the client is connected already: co"]
    with pytest.raises(RuntimeError, match="connected already"):
        await client.connect()
    assert (await client.subscribe("orders")).is_subscribed
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed: make another one"):
        await client.connect()


async def test_a_client_that_is_closed_while_it_connects_stays_closed(server: RunningServer) -> None:
    client = client_of(server)
    connecting = asyncio.create_task(client.connect())
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(RuntimeError, match="closed while it connected"):
        await connecting
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.subscribe("orders")


async def test_who_failed_to_connect_may_try_again(unused_tcp_port: int) -> None:
    client = Client(f"http://127.0.0.1:{unused_tcp_port}", KEY)
    for _ in range(2):
        with pytest.raises(RequestError, match="nothing listens"):
            await client.connect()
    await client.close()


async def test_what_it_sends_is_what_a_browser_gets(server: RunningServer) -> None:
    async with client_of(server) as client:
        room = await client.subscribe("private-room")
        with server.connect() as browser:
            auth = with_secret(KEY, SECRET)(browser.socket_id, "private-room")
            assert auth is not None
            browser.send_event("pusher:subscribe", {"channel": "private-room", "auth": auth.auth})
            browser.read_event()
            await room.trigger('t"yping', {"text": "Ü"})
            event = await asyncio.to_thread(browser.read_event)
            assert event == {"event": 'client-t"yping', "channel": "private-room", "data": {"text": "Ü"}}
            with pytest.raises(PayloadError, match="client-typing was not sent: its data has no form in JSON"):
                await room.trigger("typing", object())
            browser.send_event("client-answer", json.loads("[1]"), channel="private-room")
            assert (await room.next(timeout=TIMEOUT)).data == [1]
