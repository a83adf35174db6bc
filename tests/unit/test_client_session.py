"""What a client makes of what a server says; without a socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from soundpost.client.authorization import ChannelAuth, UserAuth, with_secret
from soundpost.client.incoming import Frame, ReceivedEvent
from soundpost.client.members import Member
from soundpost.client.pusher_socket import PusherSocket
from soundpost.client.session import Session
from soundpost.client.subscription import Subscription
from soundpost.errors import ConfigurationError, ConnectionRefused, ProtocolError, RequestError, SubscriptionError

SECRET = with_secret("key", "secret", user_id="7", user_info={"name": "Ann"})


class Server:
    """The other end of a session: what it was sent, and what it says."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.socket_id = "1.1"
        self.sent: list[tuple[str, Any, str | None]] = []

    async def send(self, event: str, data: Any, channel: str | None = None) -> None:
        self.sent.append((event, data, channel))

    def connect(self) -> None:
        self.session.connected(cast(PusherSocket, self))

    async def say(self, event: str, data: Any = None, channel: str | None = None) -> None:
        await self.session.received(Frame(event, channel, data))
        await settle()

    async def accept(self, channel: str, data: str = "{}") -> None:
        await self.say("pusher_internal:subscription_succeeded", data, channel)

    async def accept_members(self, channel: str, **members: Any) -> None:
        await self.accept(channel, json.dumps({"presence": {"count": len(members), "hash": members}}))

    def asked(self, event: str = "pusher:subscribe") -> list[str]:
        return [data["channel"] for name, data, _ in self.sent if name == event]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def server() -> Server:
    made = Server(Session(SECRET))
    made.connect()
    return made


async def subscribed(server: Server, *names: str) -> list[Subscription]:
    channels = [Subscription(server.session.subscribe(name), server.session) for name in names]
    await settle()
    for name in names:
        await server.accept(name)
    return channels


async def test_a_channel_that_is_read_by_itself_is_not_in_the_clients_events(server: Server) -> None:
    orders, _ = await subscribed(server, "orders", "news")
    await server.say("early", "1", "orders")
    assert (await orders.next(timeout=1)).data == 1
    await server.say("late", "2", "orders")
    await server.say("headline", "3", "news")
    assert (await orders.next(timeout=1)).data == 2
    assert await server.session.events.get() == ReceivedEvent("headline", "news", "3")


async def test_the_same_channel_is_asked_for_once(server: Server) -> None:
    assert server.session.subscribe("orders") is server.session.subscribe("orders")
    await settle()
    assert server.asked() == ["orders"]


async def test_events_of_a_channel_that_was_left_are_not_wanted(server: Server) -> None:
    (orders,) = await subscribed(server, "orders")
    await orders.unsubscribe()
    await server.say("late", "1", "orders")
    await server.say("of the connection")
    assert server.asked("pusher:unsubscribe") == ["orders"]
    assert await server.session.events.get() == ReceivedEvent("of the connection", None, None)
    with pytest.raises(SubscriptionError, match="no more events"):
        await orders.next()
    assert [event async for event in orders] == []


async def test_a_channel_left_before_it_was_asked_for_is_not_asked_for(server: Server) -> None:
    channel = server.session.subscribe("orders")
    await server.session.unsubscribe(channel)
    await settle()
    assert server.sent == []
    with pytest.raises(SubscriptionError, match="was left"):
        await channel.wait_for_answer()


async def test_a_refusal_of_a_subscription_that_was_left_does_not_refuse_the_next_one(server: Server) -> None:
    left = server.session.subscribe("private-a")
    await settle()
    await server.session.unsubscribe(left)
    channel = server.session.subscribe("private-a")
    await settle()
    await server.say("pusher:subscription_error", {"error": "not yours"}, "private-a")
    await server.say("pusher:error", {"code": None, "message": "not yours"})
    assert not channel.answer.done()
    await server.accept("private-a")
    assert channel.subscribed


async def test_members_are_kept_up_to_date(server: Server) -> None:
    channel = Subscription(server.session.subscribe("presence-x"), server.session)
    await settle()
    assert (channel.members, channel.me) == ({}, None)
    members = channel.members
    await server.accept_members("presence-x", **{"7": {"name": "Ann"}})
    assert channel.me == Member("7", {"name": "Ann"})
    await server.say("pusher_internal:member_added", '{"user_id":8,"user_info":null}', "presence-x")
    assert members == {"7": {"name": "Ann"}, "8": None}
    await server.say("pusher_internal:member_removed", '{"user_id":"8"}', "presence-x")
    assert members == {"7": {"name": "Ann"}}
    added = await channel.next()
    assert (added.name, added.data) == ("pusher:member_added", {"user_id": 8, "user_info": None})


async def test_after_a_reconnection_the_members_are_those_of_now(server: Server) -> None:
    subscribed = server.session.subscribe("presence-x", subscription_events=True)
    channel = Subscription(subscribed, server.session)
    await settle()
    await server.accept_members("presence-x", **{"7": None, "8": None})
    server.session.lost()
    assert not channel.is_subscribed
    server.connect()
    await settle()
    await server.accept_members("presence-x", **{"7": None, "9": None})
    assert channel.is_subscribed
    assert list(channel.members) == ["7", "9"]
    assert (await channel.next()).name == "pusher:subscription_succeeded"


async def test_events_about_the_subscription_come_on_wish_only(server: Server) -> None:
    plain = Subscription(server.session.subscribe("presence-x"), server.session)
    told = Subscription(server.session.subscribe("orders", subscription_events=True), server.session)
    await settle()
    for again in (False, True):
        if again:
            server.session.lost()
            server.connect()
            await settle()
        await server.accept_members("presence-x", **{"7": None})
        await server.say("pusher_internal:subscription_succeeded", "{}", "orders")
    for channel in ("presence-x", "orders"):
        await server.say("pusher_internal:subscription_count", '{"subscription_count":1}', channel)
        await server.say("shipped", "{}", channel)
    assert (await plain.next()).name == "shipped"
    assert list(plain.members) == ["7"]
    assert [(await told.next()).name for _ in range(3)] == [
        "pusher:subscription_succeeded",
        "pusher:subscription_count",
        "shipped",
    ]


REFUSALS = [
    ("the oldest", {"code": 4009, "message": "Connection is unauthorized"}, "private-a"),
    ("the one it names", {"code": None, "message": "Invalid signature: expected of 1.1:private-ab"}, "private-ab"),
]


@pytest.mark.parametrize(("error", "channel"), [refusal[1:] for refusal in REFUSALS], ids=[r[0] for r in REFUSALS])
async def test_an_error_without_a_channel_refuses(server: Server, error: dict[str, Any], channel: str) -> None:
    channels = {name: server.session.subscribe(name) for name in ("private-a", "private-ab", "private-c")}
    await settle()
    await server.say("pusher:error", error)
    assert [name for name, each in channels.items() if each.answer.done()] == [channel]


async def test_a_refused_client_event_is_no_answer_to_a_subscription(server: Server) -> None:
    channel = server.session.subscribe("private-a")
    await settle()
    await server.say("pusher:error", {"code": 4301, "message": "too many"})
    assert not channel.answer.done()
    assert (await server.session.events.get() or channel) == ReceivedEvent(
        "pusher:error", None, {"code": 4301, "message": "too many"}
    )


async def test_a_refusal_nobody_waits_for_is_an_event() -> None:
    def refuse(socket_id: str, channel: str) -> ChannelAuth:
        raise RequestError(403, "not yours")

    server = Server(Session(refuse))
    server.connect()
    channel = server.session.subscribe("private-a")
    await settle()
    event = await server.session.events.get()
    assert event == ReceivedEvent(
        "pusher:subscription_error", "private-a", {"type": "AuthError", "error": "not yours", "status": 403}
    )
    assert server.session.channels == {}
    with pytest.raises(SubscriptionError, match="not yours"):
        await channel.wait_for_answer()


async def test_what_an_authorizer_raises_is_raised_to_who_waits() -> None:
    def broken(socket_id: str, channel: str) -> ChannelAuth:
        raise ZeroDivisionError

    server = Server(Session(broken))
    server.connect()
    with pytest.raises(ZeroDivisionError):
        await Subscription(server.session.subscribe("private-a"), server.session)


async def test_what_an_authorizer_returns_has_the_right_type() -> None:
    server = Server(Session(lambda socket_id, channel: {"auth": "key:sig"}))  # type: ignore[arg-type,return-value]
    server.connect()
    with pytest.raises(ConfigurationError, match="of private-a returned a dict: a ChannelAuth or None is expected"):
        await Subscription(server.session.subscribe("private-a"), server.session)
    with pytest.raises(ConfigurationError, match="returned a dict: a UserAuth is expected"):
        await server.session.signed_in(lambda socket_id: {"auth": "key:sig"})  # type: ignore[arg-type,return-value]


async def test_client_events_have_their_prefix_once(server: Server) -> None:
    (channel,) = await subscribed(server, "private-a")
    await channel.trigger("typing", {"on": True})
    await channel.trigger("client-typing")
    assert server.sent[-2:] == [
        ("client-typing", {"on": True}, "private-a"),
        ("client-typing", None, "private-a"),
    ]


@pytest.mark.parametrize(
    ("channel", "message"),
    [("orders", "need a private or presence channel"), ("private-encrypted-a", "no client events on encrypted")],
)
async def test_client_events_where_there_are_none(server: Server, channel: str, message: str) -> None:
    (subscription,) = await subscribed(server, channel)
    sent = len(server.sent)
    with pytest.raises(ProtocolError, match=message):
        await subscription.trigger("typing")
    assert len(server.sent) == sent


async def test_a_client_event_is_not_kept_for_later(server: Server) -> None:
    channel = Subscription(server.session.subscribe("private-a"), server.session)
    with pytest.raises(RequestError, match="not subscribed to private-a at the moment"):
        await channel.trigger("typing")
    server.session.lost()
    with pytest.raises(RequestError, match="not subscribed to private-a at the moment"):
        await channel.trigger("typing")


async def sign_in(server: Server) -> asyncio.Task[Any]:
    signing_in = asyncio.create_task(server.session.signed_in(SECRET.user))
    await settle()
    return signing_in


async def test_signed_in_it_gets_what_is_sent_to_the_user(server: Server) -> None:
    signing_in = await sign_in(server)
    event, data, _ = server.sent[-1]
    assert (event, data["user_data"]) == ("pusher:signin", '{"id":"7","user_info":{"name":"Ann"}}')
    await server.say("pusher:signin_success", {"user_data": data["user_data"]})
    assert server.asked() == ["#server-to-user-7"]
    await server.accept("#server-to-user-7")
    user = await signing_in
    assert (user.user_id, user.user_info) == ("7", {"name": "Ann"})
    assert await server.session.signed_in(SECRET.user) is user


async def test_what_needs_a_user_waits_for_the_sign_in_on_every_socket() -> None:
    server = Server(Session(with_secret("key", "secret")))
    server.connect()
    signing_in = await sign_in(server)
    server.session.subscribe("presence-x")
    await settle()
    assert server.asked() == []
    await server.say("pusher:signin_success", {"user_data": '{"id":"7"}'})
    assert sorted(server.asked()) == ["#server-to-user-7", "presence-x"]
    await server.accept("#server-to-user-7")
    await server.accept_members("presence-x", **{"7": None})
    await signing_in
    assert server.session.channels["presence-x"].members.me == Member("7", None)
    server.session.lost()
    server.sent.clear()
    server.connect()
    await settle()
    assert [name for name, _, _ in server.sent] == ["pusher:signin"]
    await server.say("pusher:signin_success", {"user_data": '{"id":"7"}'})
    assert sorted(server.asked()) == ["#server-to-user-7", "presence-x"]


async def test_a_refused_sign_in_is_raised(server: Server) -> None:
    signing_in = await sign_in(server)
    await server.say("pusher:error", {"code": 4009, "message": "wrong signature"})
    with pytest.raises(ProtocolError, match="wrong signature"):
        await signing_in
    assert server.session.sign_in is None


async def test_a_sign_in_that_is_refused_later_ends_the_users_events(server: Server) -> None:
    allowed = True

    def authenticate(socket_id: str) -> UserAuth:
        if not allowed:
            raise RequestError(403, "locked out")
        return SECRET.user(socket_id)

    signing_in = asyncio.create_task(server.session.signed_in(authenticate))
    await settle()
    await server.say("pusher:signin_success", {"user_data": '{"id":"7"}'})
    await server.accept("#server-to-user-7")
    channel = (await signing_in).channel
    assert channel is not None
    events = Subscription(channel, server.session)
    reading = asyncio.create_task(events.next())
    await settle()
    allowed = False
    server.session.lost()
    server.connect()
    with pytest.raises(RequestError, match="locked out"):
        await reading


async def test_sent_away_all_is_over(server: Server) -> None:
    (orders,) = await subscribed(server, "orders")
    waiting = server.session.subscribe("news")
    signing_in = await sign_in(server)
    server.session.ended(ConnectionRefused(4001, "no such app"))
    for waits in (orders.next(), waiting.wait_for_answer(), signing_in, server.session.events.get()):
        with pytest.raises(ConnectionRefused, match="no such app"):
            await waits
    with pytest.raises(ConnectionRefused, match="no such app"):
        server.session.subscribe("another")


async def test_closed_iterations_end_and_nothing_more_is_subscribed_to(server: Server) -> None:
    (orders,) = await subscribed(server, "orders")
    waiting = server.session.subscribe("news")
    server.session.ended(None)
    assert [event async for event in orders] == []
    assert await server.session.events.get() is None
    for attempt in (waiting.wait_for_answer(), server.session.signed_in(SECRET.user)):
        with pytest.raises(RequestError, match="the client is closed"):
            await attempt
