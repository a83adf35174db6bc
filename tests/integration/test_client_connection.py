"""The asyncio client against a server that does what each test needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from soundpost.client import ChannelAuth, Client, Event, with_secret
from soundpost.errors import ConnectionRefused, RequestError, SubscriptionError
from support.raw_socket import TIMEOUT

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection, number: int) -> None:
        self.socket = socket
        self.number = number

    async def say(self, event: str, data: Any = None, channel: str | None = None) -> None:
        message = {"event": event, "data": data}
        await self.socket.send(json.dumps(message if channel is None else {**message, "channel": channel}))

    async def hello(self, activity_timeout: float = 30) -> None:
        data = {"socket_id": f"{self.number}.1", "activity_timeout": activity_timeout}
        await self.say("pusher:connection_established", json.dumps(data))

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def accept(self) -> dict[str, Any]:
        """Accept one subscription; return its data."""
        data: dict[str, Any] = (await self.hear())["data"]
        await self.say("pusher_internal:subscription_succeeded", "{}", data["channel"])
        return data


@asynccontextmanager
async def server(*scripts: Script) -> AsyncIterator[str]:
    """A server whose n-th connection follows the n-th script (later ones the last); its base URL."""
    opened = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal opened
        opened += 1
        try:
            await scripts[min(opened, len(scripts)) - 1](Peer(socket, opened))
        except ConnectionClosed:
            return

    async with serve(handle, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect without waiting, and let silence be short where a test needs it."""
    monkeypatch.setattr("soundpost.client.connection.delay_before", lambda attempt, action: 0.0)
    monkeypatch.setattr("soundpost.client.authorization.delay_before", lambda attempt, action: 0.0)


@pytest.mark.parametrize("said", ["", "1.2:private-admin", '1.2::user::{"id":"admin"}', 1.2, None])
async def test_a_hello_whose_socket_id_is_none_ends_it_before_anything_is_signed(said: object) -> None:
    async def script(peer: Peer) -> None:
        await peer.say("pusher:connection_established", json.dumps({"socket_id": said, "activity_timeout": 30}))
        await peer.socket.wait_closed()

    async with server(script) as url:
        with pytest.raises(RequestError, match="not a socket id"):
            async with Client(url, "key"):
                pass


async def next_event(client: Client) -> Event:
    async with asyncio.timeout(TIMEOUT):
        return await anext(client)


async def test_subscribes_and_hands_on_events() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        assert await peer.accept() == {"channel": "orders", "resume": ""}
        await peer.say("shipped", '{"id":1}', "orders")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        subscription = await client.subscribe("orders")
        assert subscription.channel == "orders"
        assert client.socket_id == "1.1"
        assert await next_event(client) == Event("shipped", "orders", '{"id":1}')


async def test_presence_subscriptions_know_the_members() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        request = (await peer.hear())["data"]
        assert request["auth"].startswith("key:")
        assert json.loads(request["channel_data"]) == {"user_id": "7", "user_info": None}
        presence = {"presence": {"count": 1, "ids": ["7"], "hash": {"7": None}}}
        await peer.say("pusher_internal:subscription_succeeded", json.dumps(presence), "presence-x")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        subscription = await client.subscribe("presence-x", auth=with_secret("key", "secret", user_id="7"))
        assert subscription.members == {"7": None}


async def test_an_authorizer_may_be_a_coroutine_function() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        assert (await peer.accept())["auth"] == "key:1.1-private-x"
        await peer.socket.wait_closed()

    async def authorize(socket_id: str, channel: str) -> ChannelAuth:
        return ChannelAuth(f"key:{socket_id}-{channel}")

    async with server(script) as url, Client(url, "key") as client:
        await client.subscribe("private-x", auth=authorize)


REFUSED = {"type": "AuthError", "error": "no", "status": 403}
ERROR = {"code": 4009, "message": "no"}


@pytest.mark.parametrize(
    "frames",
    [
        [("pusher:subscription_error", json.dumps(REFUSED), "private-x")],
        [("pusher:error", ERROR, None)],
        [("pusher:subscription_error", json.dumps(REFUSED), "private-x"), ("pusher:error", ERROR, None)],
    ],
    ids=["Pusher", "Reverb", "Soundpost"],
)
async def test_a_refused_subscription_is_an_error_of_that_channel_alone(
    frames: list[tuple[str, Any, str | None]],
) -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.hear()
        for frame in frames:
            await peer.say(*frame)
        await peer.accept()
        await peer.say("shipped", "{}", "orders")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        with pytest.raises(SubscriptionError, match="no") as caught:
            await client.subscribe("private-x")
        assert caught.value.channel == "private-x"
        await client.subscribe("orders")
        assert (await next_event(client)).name == "shipped"


async def test_other_errors_are_events_without_a_channel() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say("pusher:error", {"code": 4301, "message": "too fast"})
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        event = await next_event(client)
        assert (event.name, event.channel, event.data["code"]) == ("pusher:error", None, 4301)


@pytest.mark.parametrize("code", [1001, 1011, 4100, 4200, 4201])
async def test_comes_back_and_subscribes_again(code: int) -> None:
    told: list[str] = []

    async def first(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        await peer.socket.close(code, "later")

    async def second(peer: Peer) -> None:
        await peer.hello()
        assert (await peer.accept())["auth"] == "2.1"
        await peer.say("shipped", "{}", "private-x")
        await peer.socket.wait_closed()

    async with server(first, second) as url, Client(url, "key", on_status=told.append) as client:
        auth = lambda socket_id, channel: ChannelAuth(socket_id)  # noqa: E731
        await client.subscribe("private-x", auth=auth, subscription_events=True)
        assert (await next_event(client)).name == "pusher:subscription_succeeded"
        assert (await next_event(client)).name == "shipped"
        assert client.socket_id == "2.1"
    assert told == [f"connection lost ({code} later); reconnecting now", "connected again"]


async def test_authorization_is_asked_for_again_while_the_application_is_away_too() -> None:
    answers: list[ChannelAuth | RequestError] = [
        ChannelAuth("first"),
        RequestError(0, "nothing listens"),
        RequestError(502, "bad gateway"),
        ChannelAuth("second"),
    ]

    async def first(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        await peer.socket.close(4200)

    async def second(peer: Peer) -> None:
        await peer.hello()
        assert (await peer.accept())["auth"] == "second"
        await peer.socket.wait_closed()

    def authorize(socket_id: str, channel: str) -> ChannelAuth:
        answer = answers.pop(0)
        if isinstance(answer, RequestError):
            raise answer
        return answer

    async with server(first, second) as url, Client(url, "key", auth=authorize) as client:
        channel = await client.subscribe("private-x", subscription_events=True)
        assert (await channel.next(timeout=TIMEOUT)).name == "pusher:subscription_succeeded"
    assert answers == []


async def test_a_reconnection_that_is_no_more_authorized_ends_that_channel_alone() -> None:
    allowed = True

    async def first(peer: Peer) -> None:
        nonlocal allowed
        await peer.hello()
        await peer.accept()
        await peer.accept()
        allowed = False
        await peer.socket.close(4200)

    async def second(peer: Peer) -> None:
        await peer.hello()
        assert (await peer.accept())["channel"] == "orders"
        await peer.say("shipped", "{}", "orders")
        await peer.socket.wait_closed()

    def authorize(socket_id: str, channel: str) -> ChannelAuth | None:
        if channel == "private-x" and not allowed:
            raise RequestError(403, "not any more")
        return None

    async with server(first, second) as url, Client(url, "key", auth=authorize) as client:
        private, orders = await client.subscribe("private-x"), await client.subscribe("orders")
        with pytest.raises(SubscriptionError, match="not any more") as caught:
            await private.next(timeout=TIMEOUT)
        assert caught.value.status == 403
        assert (await orders.next(timeout=TIMEOUT)).name == "shipped"


async def test_what_is_subscribed_to_while_the_connection_is_lost_waits_for_it() -> None:
    gone = asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.hello()
        await peer.socket.close(4200)

    async def second(peer: Peer) -> None:
        await gone.wait()
        await peer.hello()
        await peer.accept()
        await peer.socket.wait_closed()

    told = asyncio.Event()
    async with server(first, second) as url, Client(url, "key", on_status=lambda text: told.set()) as client:
        await told.wait()
        subscription = client.subscribe("orders")
        assert not subscription.is_subscribed
        gone.set()
        async with asyncio.timeout(TIMEOUT):
            assert await subscription is subscription
        assert subscription.is_subscribed


async def test_a_channel_that_was_left_is_not_subscribed_to_again() -> None:
    async def first(peer: Peer) -> None:
        await peer.hello()
        await peer.accept()
        await peer.accept()
        assert await peer.hear() == {"event": "pusher:unsubscribe", "data": {"channel": "a"}}
        await peer.socket.close(4200)

    async def second(peer: Peer) -> None:
        await peer.hello()
        await peer.say("subscribed", (await peer.hear())["data"]["channel"])
        await peer.socket.wait_closed()

    async with server(first, second) as url, Client(url, "key") as client:
        await client.subscribe("a")
        await client.subscribe("b")
        await client.unsubscribe("a")
        assert (await next_event(client)).data == "b"


@pytest.mark.parametrize("code", [4000, 4001, 4009, 4301])
async def test_sent_away_for_good_it_ends_with_the_reason(code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.socket.close(code, "go away")

    async with server(script) as url, Client(url, "key") as client:
        with pytest.raises(ConnectionRefused, match=rf"go away \(close code {code}\)"):
            await next_event(client)
        with pytest.raises(ConnectionRefused):
            await client.subscribe("orders")


async def test_refused_before_the_hello_with_a_close_code() -> None:
    async def script(peer: Peer) -> None:
        await peer.socket.close(4001, "App does not exist")

    async with server(script) as url:
        with pytest.raises(ConnectionRefused, match=r"App does not exist \(close code 4001\)"):
            async with Client(url, "key"):
                pass


async def test_refused_as_reverb_does_with_an_error_and_an_open_socket() -> None:
    async def script(peer: Peer) -> None:
        await peer.say("pusher:error", json.dumps({"code": 4004, "message": "Over quota"}))
        await peer.socket.wait_closed()

    async with server(script) as url:
        with pytest.raises(ConnectionRefused, match=r"Over quota \(close code 4004\)"):
            async with Client(url, "key"):
                pass


async def test_another_protocol_is_not_taken_for_pushers() -> None:
    async def script(peer: Peer) -> None:
        await peer.say("welcome")
        await peer.socket.wait_closed()

    async with server(script) as url:
        with pytest.raises(RequestError, match="does not speak the Pusher protocol"):
            async with Client(url, "key"):
                pass


async def test_a_ping_is_answered() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.say("pusher:ping", "{}")
        await peer.say("answered", (await peer.hear())["event"])
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        assert (await next_event(client)).data == "pusher:pong"


async def test_after_the_activity_timeout_it_asks_for_a_sign_of_life() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello(activity_timeout=0.01)
        assert (await peer.hear())["event"] == "pusher:ping"
        await peer.say("pusher:pong", "{}")
        await peer.say("alive", "{}")
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        assert (await next_event(client)).name == "alive"


async def test_a_server_that_gives_no_sign_of_life_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.client.pusher_socket._PONG_TIMEOUT", 0.01)

    async def silent(peer: Peer) -> None:
        await peer.hello(activity_timeout=0.01)
        await peer.socket.wait_closed()

    async def lively(peer: Peer) -> None:
        await peer.hello()
        await peer.say("alive", "{}")
        await peer.socket.wait_closed()

    async with server(silent, lively) as url, Client(url, "key") as client:
        assert (await next_event(client)).name == "alive"


async def test_a_subscription_without_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        monkeypatch.setattr("soundpost.client.session.ANSWER_TIMEOUT", 0.01)
        with pytest.raises(SubscriptionError, match="the server did not answer"):
            await client.subscribe("orders")


async def test_leaving_ends_an_iteration_elsewhere() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.socket.wait_closed()

    async def count(client: Client) -> int:
        return len([event async for event in client])

    async with server(script) as url:
        async with Client(url, "key") as client:
            counting = asyncio.create_task(count(client))
            await asyncio.sleep(0)
        async with asyncio.timeout(TIMEOUT):
            assert await counting == 0


async def test_an_http_answer_in_place_of_an_upgrade_is_explained() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(404, "<html><title>Not here</title></html>")
        response.headers["Server"] = "nginx"
        return response

    async def never(socket: ServerConnection) -> None: ...

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        with pytest.raises(RequestError, match="answered 404 with a web page titled 'Not here'") as caught:
            async with Client(f"http://127.0.0.1:{port}", "key"):
                pass
    assert caught.value.status == 404


async def test_nobody_there_is_said(unused_tcp_port: int) -> None:
    with pytest.raises(RequestError, match=rf"nothing listens at http://127\.0\.0\.1:{unused_tcp_port}"):
        async with Client(f"http://127.0.0.1:{unused_tcp_port}", "key"):
            pass


async def test_an_answer_in_http_1_0_is_explained() -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 404 Not Found\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(old, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(RequestError, match=r"answers in HTTP/1\.0: it, or a proxy before it, cannot speak"):
            async with Client(f"http://127.0.0.1:{port}", "key"):
                pass
