"""What a client makes of positions, repeats and gaps; message by message, without a socket."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import Any

import pytest
from nacl.secret import SecretBox

from soundpost.client import Client, Event, Gap, Subscription
from soundpost.client.authorization import ChannelAuth, with_secret
from soundpost.client.event_queue import MAX_WAITING
from soundpost.client.incoming import decode_frame
from soundpost.client.session import Session
from soundpost.client.start_position import start_position_of
from soundpost.errors import ConfigurationError
from soundpost.wire.positions import PositionError
from unit.test_client_session import Server as Silent
from unit.test_client_session import settle

SUCCEEDED = "pusher_internal:subscription_succeeded"


class Server(Silent):
    """A server that says messages as they are on the wire."""

    def __init__(self) -> None:
        self.told: list[str] = []
        super().__init__(Session(with_secret("key", "secret", user_id="7"), self.told.append))

    async def write(self, event: str, channel: str = "orders", data: str = "{}", **fields: Any) -> None:
        frame = decode_frame(json.dumps({"event": event, "channel": channel, "data": data, **fields}))
        assert frame is not None
        await self.session.received(frame)
        await settle()

    async def answer(self, channel: str = "orders", **fields: Any) -> None:
        await self.write(SUCCEEDED, channel, **fields)

    async def publish(self, *offsets: int, channel: str = "orders", generation: str = "g") -> None:
        for offset in offsets:
            await self.write(f"e{offset}", channel, position=f"{generation}.{offset}")

    async def reconnect(self, socket_id: str = "1.1") -> None:
        self.session.lost()
        self.socket_id = socket_id
        self.connect()
        await settle()

    def asked_last(self) -> dict[str, Any]:
        """Return what the last subscription says beside channel and signature."""
        data = [data for name, data, _ in self.sent if name == "pusher:subscribe"][-1]
        return {name: data[name] for name in ("resume", "rewind", "was") if name in data}


@pytest.fixture
async def server() -> Server:
    made = Server()
    made.connect()
    return made


async def subscribe(
    server: Server, channel: str = "orders", after: str | None = None, rewind: int | None = None, **answer: Any
) -> Subscription:
    made = server.session.subscribe(channel, start_position=start_position_of(after, rewind))
    await settle()
    await server.answer(channel, **answer)
    subscription = Subscription(made, server.session)
    subscription.__aiter__()
    return subscription


async def given(subscription: Subscription) -> list[str]:
    """Return the names of the events that wait, and the reasons of the gaps."""
    found: list[str] = []
    while True:
        try:
            event = await subscription.next(timeout=0)
        except TimeoutError:
            return found
        found.append(f"gap {event.reason}" if isinstance(event, Gap) else event.name)


async def test_the_first_subscription_says_that_the_client_can_resume(server: Server) -> None:
    await subscribe(server, position="g.5")
    assert server.sent[-1] == ("pusher:subscribe", {"channel": "orders", "resume": ""}, None)


async def test_a_reconnection_goes_on_after_the_last_event_and_names_the_lost_socket(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await server.publish(7, 9)
    await server.reconnect("2.1")
    assert server.asked_last() == {"resume": "g.9", "was": ["1.1"]}
    await server.answer(resumed=1, position="g.9")
    await server.publish(12, 20)
    assert await given(orders) == ["e7", "e9", "e12", "e20"]
    assert server.told == ["orders: missed events follow (1)"]


async def test_the_socket_ids_told_are_the_last_four(server: Server) -> None:
    await subscribe(server)
    for number in range(2, 8):
        await server.reconnect(f"{number}.1")
    assert server.asked_last() == {"resume": "", "was": ["3.1", "4.1", "5.1", "6.1"]}


async def test_before_the_first_event_it_goes_on_after_the_place_of_the_subscription(server: Server) -> None:
    await subscribe(server, position="g.5")
    await server.reconnect()
    assert server.asked_last()["resume"] == "g.5"


async def test_repeats_are_dropped(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await server.publish(4, 5, 7, 7)
    await server.reconnect()
    await server.answer(resumed=3, position="g.7")
    await server.publish(6, 7, 8)
    assert await given(orders) == ["e7", "e8"]


async def test_a_known_id_is_dropped_and_its_position_taken(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await server.write("while Redis was away", id="k3")
    await server.reconnect()
    assert server.asked_last()["resume"] == "g.5"
    await server.answer(resumed=1, position="g.5")
    await server.write("while Redis was away", id="k3", position="g.6")
    await server.reconnect()
    assert server.asked_last()["resume"] == "g.6"
    assert await given(orders) == ["while Redis was away"]


async def test_the_last_200_ids_are_known(server: Server) -> None:
    orders = await subscribe(server, position="g.1")
    for number in range(201):
        await server.write(f"n{number}", id=f"k{number}")
    assert len(await given(orders)) == 201
    for offset, number in enumerate((1, 200, 0), start=2):
        await server.write(f"again {number}", id=f"k{number}", position=f"g.{offset}")
    assert await given(orders) == ["again 0"]


@pytest.mark.parametrize("reason", ["age", "number", "generation", "deleted", "limited", "a reason of tomorrow"])
async def test_a_gap_in_the_answer_stands_between_what_was_before_and_what_is_new(server: Server, reason: str) -> None:
    orders = await subscribe(server, position="g.5")
    await server.publish(6)
    await server.reconnect()
    await server.answer(gap=reason, position="h.100")
    await server.publish(101, generation="h")
    assert await given(orders) == ["e6", f"gap {reason}", "e101"]
    await server.reconnect()
    assert server.asked_last()["resume"] == "h.101"


async def test_a_gap_while_connected_is_a_gap_and_its_position_the_place(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await server.write("soundpost:gap", data='{"reason":"generation"}', position="h.9")
    await server.publish(10, generation="h")
    gap = await orders.next(timeout=1)
    assert gap == Gap("orders", "generation", "h.9")
    assert (orders.position, await given(orders)) == ("h.9", ["e10"])


async def test_another_generation_without_a_gap_is_a_gap(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await server.publish(2, generation="h")
    assert await given(orders) == ["gap unknown", "e2"]
    await server.reconnect()
    await server.answer(resumed=0, position="i.7")
    assert await given(orders) == ["gap unknown"]


async def test_a_history_that_is_not_there_any_more_is_one_gap(server: Server) -> None:
    """After it the channel is like any other without a history, whether the server says so or is of another kind."""
    for answer in ({}, {"gap": "unknown"}):
        orders = await subscribe(server, position="g.5")
        await server.reconnect()
        await server.answer(**answer)
        assert await given(orders) == ["gap unknown"]
        await server.reconnect()
        assert server.asked_last()["resume"] == ""
        await server.answer()
        await server.write("new")
        assert await given(orders) == ["new"]
        await orders.unsubscribe()


async def test_without_a_history_nothing_changes(server: Server) -> None:
    orders = await subscribe(server)
    await server.write("first", id="1")
    await server.reconnect()
    await server.answer()
    await server.write("first", id="1")
    await server.write("soundpost:gap", data="of an application")
    assert await given(orders) == ["first", "first", "soundpost:gap"]
    assert orders.position is None


async def test_a_history_that_was_switched_on_begins_with_its_first_event(server: Server) -> None:
    orders = await subscribe(server)
    await server.publish(8)
    await server.reconnect()
    assert server.asked_last()["resume"] == "g.8"
    await server.answer(gap="age", position="g.10")
    assert await given(orders) == ["e8", "gap age"]


@pytest.mark.parametrize("position", ["", "g", "g.-1", "g.9007199254740992", "ä.1", 7, None, ["g.7"]])
async def test_what_is_no_position_is_none(server: Server, position: Any) -> None:
    orders = await subscribe(server, position="g.5")
    await server.write("odd", position=position)
    await server.publish(6)
    assert await given(orders) == ["odd", "e6"]
    assert orders.position == "g.6"


async def test_a_place_that_cannot_be_read_is_lost_and_told_so(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await server.write("soundpost:gap", data="{}", position="?")
    await server.reconnect()
    assert server.asked_last()["resume"] == "?"
    await server.answer(gap="unknown", position="g.9")
    assert await given(orders) == ["gap unknown", "gap unknown"]
    await server.reconnect()
    assert server.asked_last()["resume"] == "g.9"


async def test_leaving_a_channel_forgets_its_place(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await orders.unsubscribe()
    await server.publish(6)
    again = server.session.subscribe("orders")
    await settle()
    assert server.asked_last() == {"resume": ""}
    await server.publish(7)
    await server.answer(position="g.8")
    await server.publish(9)
    assert await given(Subscription(again, server.session)) == ["e9"]


async def test_events_on_their_way_do_not_move_a_new_subscription_from_its_beginning(server: Server) -> None:
    orders = await subscribe(server, position="g.5")
    await orders.unsubscribe()
    again = server.session.subscribe("orders", start_position=start_position_of("g.2", None))
    await settle()
    await server.publish(7)
    await server.answer(resumed=3, position="g.2")
    await server.publish(3, 5, 7)
    assert await given(Subscription(again, server.session)) == ["e3", "e5", "e7"]


async def test_an_answer_to_a_subscription_that_was_left_is_not_the_next_ones(server: Server) -> None:
    left = server.session.subscribe("orders")
    await settle()
    await server.session.unsubscribe(left)
    orders = Subscription(
        server.session.subscribe("orders", start_position=start_position_of("g.5", None)), server.session
    )
    await settle()
    assert [event for event, _, _ in server.sent] == ["pusher:subscribe", "pusher:unsubscribe", "pusher:subscribe"]
    await server.answer(position="g.10")
    await server.publish(11)
    assert not orders.is_subscribed
    await server.answer(resumed=2, position="g.5")
    await server.publish(10, 11)
    assert await given(orders) == ["e10", "e11"]


async def test_a_program_begins_after_a_position_of_its_own(server: Server) -> None:
    orders = await subscribe(server, after="g.5", resumed=1, position="g.5")
    assert server.asked_last() == {"resume": "g.5"}
    assert orders.position == "g.5"
    await server.publish(6)
    assert (await orders.next(timeout=1)).position == orders.position == "g.6"


@pytest.mark.parametrize("answer", [{}, {"gap": "age", "position": "g.9"}], ids=["no history", "too old"])
async def test_a_position_that_cannot_be_gone_on_after_is_a_gap(server: Server, answer: dict[str, Any]) -> None:
    orders = await subscribe(server, after="g.5", **answer)
    assert await given(orders) == [f"gap {answer.get('gap', 'unknown')}"]


async def test_a_rewind_is_asked_for_until_the_first_answer(server: Server) -> None:
    server.session.subscribe("orders", start_position=start_position_of(None, 20))
    await settle()
    assert server.asked_last() == {"resume": "", "rewind": 20}
    await server.reconnect()
    assert server.asked_last() == {"resume": "", "rewind": 20, "was": ["1.1"]}
    await server.answer()
    await server.reconnect()
    assert "rewind" not in server.asked_last()


async def test_rewound_events_come_after_the_position_of_the_answer(server: Server) -> None:
    orders = await subscribe(server, rewind=2, position="g.5")
    await server.publish(6, 8)
    assert await given(orders) == ["e6", "e8"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"after": "five"}, "'five' is not a position"),
        ({"after": 5}, "after 5: expected the text of a position, such as event.position"),
        ({"after": ""}, "'' is not a position"),
        ({"rewind": 0}, "rewind 0: expected a number of events, 1 or more"),
        ({"rewind": True}, "rewind True: expected"),
        ({"rewind": 2.0}, "rewind 2.0: expected"),
        ({"after": "g.5", "rewind": 1}, "give only one of them"),
    ],
)
async def test_a_beginning_that_is_none_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises((ConfigurationError, PositionError), match=says):
        Client("http://127.0.0.1", "key").subscribe("orders", **arguments)


async def test_a_second_beginning_is_refused_and_the_same_one_is_not(server: Server) -> None:
    for start_position in (
        start_position_of("g.5", None),
        start_position_of("g.5", None),
        start_position_of(None, None),
    ):
        server.session.subscribe("orders", start_position=start_position)
    for other in (start_position_of("g.6", None), start_position_of(None, 3)):
        with pytest.raises(ConfigurationError, match="orders is subscribed to already"):
            server.session.subscribe("orders", start_position=other)


async def test_notices_of_members_have_no_place(server: Server) -> None:
    room = await subscribe(server, "presence-x", position="g.5")
    await server.write("pusher_internal:member_added", "presence-x", '{"user_id":8}')
    await server.write("client-typing", "presence-x")
    await server.reconnect()
    assert server.asked_last()["resume"] == "g.5"
    assert list(room.members) == ["8"]
    assert await given(room) == ["pusher:member_added", "client-typing"]


async def test_a_gap_is_an_event_that_the_application_has_not_sent(server: Server) -> None:
    orders = await subscribe(server, after="g.5", gap="age", position="g.9")
    event: Event = await orders.next(timeout=1)
    assert (event.name, event.channel, event.data, event.is_protocol) == (
        "soundpost:gap",
        "orders",
        {"reason": "age"},
        True,
    )
    assert repr(event) == "Gap(channel='orders', reason='age', position='g.9')"
    assert event != Gap("orders", "number", "g.9")
    assert len({event, Gap("orders", "age", "g.9")}) == 1


async def test_gaps_of_channels_without_a_reader_of_their_own_are_the_clients(server: Server) -> None:
    channel = server.session.subscribe("orders")
    await settle()
    await server.answer(position="g.5")
    await server.write("soundpost:gap", data='{"reason":"deleted"}', position="g.9")
    await server.publish(10)
    assert await server.session.events.get() == Gap("orders", "deleted", "g.9")
    assert channel.position == "g.9"
    await server.session.events.get()
    assert channel.position == "g.10"


async def test_sealed_events_that_wait_for_a_secret_are_sent_again_after_a_reconnection(server: Server) -> None:
    """So they do not come after the place that the new subscription is told, and none comes twice."""
    old, new = b"o" * 32, b"n" * 32
    secrets = [old, new]
    asked = asyncio.Event()

    async def authorize(socket_id: str, channel: str) -> ChannelAuth:
        if secrets:
            return ChannelAuth("key:signature", None, b64encode(secrets.pop(0)).decode())
        asked.set()
        return await asyncio.Future()

    def sealed(text: str, secret: bytes) -> str:
        box = SecretBox(secret).encrypt(text.encode())
        return json.dumps({"nonce": b64encode(box.nonce).decode(), "ciphertext": b64encode(box.ciphertext).decode()})

    name = "private-encrypted-x"
    diary = Subscription(server.session.subscribe(name, authorize), server.session)
    await settle()
    await server.answer(name, position="g.0")
    await server.write("e1", name, sealed("1", old), position="g.1")
    kept, secrets[:] = secrets[:], []
    for number in (2, 3):
        await server.write(f"e{number}", name, sealed(str(number), new), position=f"g.{number}")
    assert asked.is_set()
    secrets[:] = kept
    await server.reconnect()
    assert server.asked_last()["resume"] == "g.1"
    await server.answer(name, resumed=2, position="g.1")
    for number in (2, 3, 4):
        await server.write(f"e{number}", name, sealed(str(number), new), position=f"g.{number}")
    assert await given(diary) == ["e1", "e2", "e3", "e4"]
    assert diary.position == "g.4"


# A reader that is too slow


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.client.event_queue._MAX_DELAY", 0.0)


async def full(server: Server) -> Subscription:
    """Return a subscription whose reader has as many events waiting as a queue holds."""
    orders = await subscribe(server, position="g.0")
    await server.publish(*range(1, MAX_WAITING + 1))
    return orders


async def read(orders: Subscription, number: int) -> list[str]:
    names = [(await orders.next(timeout=1)).name for _ in range(number)]
    await settle()
    return names


@pytest.mark.usefixtures("impatient")
async def test_events_without_room_are_asked_for_again_when_half_is_read(server: Server) -> None:
    orders = await full(server)
    last = MAX_WAITING
    await server.publish(last + 1, last + 2)
    await read(orders, MAX_WAITING // 2 - 1)
    await server.publish(last + 3)
    assert len(server.asked()) == 1
    await read(orders, 1)
    assert (len(server.asked()), server.asked_last()) == (2, {"resume": f"g.{last}"})
    await server.publish(last + 4)
    await server.answer(resumed=4, position=f"g.{last}")
    await server.publish(last + 1, last + 2, last + 3, last + 4, last + 5)
    names = await given(orders)
    assert names[-6:] == [f"e{last + more}" for more in range(6)]
    assert (orders.missed, orders.position) == (0, f"g.{last + 5}")


@pytest.mark.usefixtures("impatient")
async def test_what_is_not_kept_until_then_is_a_gap(server: Server) -> None:
    orders = await full(server)
    await server.publish(2_000)
    await read(orders, MAX_WAITING // 2)
    await server.answer(gap="number", position="g.3000")
    assert (await given(orders))[-2:] == [f"e{MAX_WAITING}", "gap number"]


@pytest.mark.usefixtures("impatient")
async def test_a_connection_lost_while_the_reader_is_behind(server: Server) -> None:
    orders = await full(server)
    await server.publish(2_000)
    await server.reconnect()
    assert server.asked_last()["resume"] == f"g.{MAX_WAITING}"
    await server.answer(resumed=1, position=f"g.{MAX_WAITING}")
    await server.publish(2_000)  # there is no room yet
    await read(orders, MAX_WAITING // 2)
    assert server.asked_last()["resume"] == f"g.{MAX_WAITING}"
    await server.answer(resumed=1, position=f"g.{MAX_WAITING}")
    await server.publish(2_000)
    assert (await given(orders))[-2:] == [f"e{MAX_WAITING}", "e2000"]


@pytest.mark.usefixtures("impatient")
async def test_a_gap_without_room_is_told_by_the_server_again(server: Server) -> None:
    orders = await full(server)
    await server.write("soundpost:gap", data='{"reason":"generation"}', position="h.5")
    await server.publish(6, generation="h")
    await read(orders, MAX_WAITING // 2)
    assert server.asked_last()["resume"] == f"g.{MAX_WAITING}"
    await server.answer(gap="generation", position="h.6")
    assert (await given(orders))[-2:] == [f"e{MAX_WAITING}", "gap generation"]


@pytest.mark.usefixtures("impatient")
async def test_catching_up_is_no_renewal_of_the_subscription(server: Server) -> None:
    orders = await full(server)
    server.session.subscribe("orders", subscription_events=True)
    await server.publish(2_000)
    await read(orders, MAX_WAITING // 2)
    await server.answer(resumed=1, position=f"g.{MAX_WAITING}")
    assert (await given(orders))[-1] == f"e{MAX_WAITING}"


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_falls_behind_over_and_over_does_not_ask_too_often(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundpost.client.channel._CATCH_UP_INTERVAL", 1_000.0)
    orders = await full(server)
    await server.publish(2_000)
    await read(orders, MAX_WAITING // 2)
    await server.answer(resumed=500, position=f"g.{MAX_WAITING}")
    await server.publish(*range(2_000, 2_000 + MAX_WAITING // 2 + 1))
    await read(orders, MAX_WAITING // 2)
    assert len(server.asked()) == 2
    await server.reconnect()
    assert len(server.asked()) == 3


@pytest.mark.usefixtures("impatient")
async def test_other_events_take_the_place_of_their_own_kind_only(server: Server) -> None:
    orders = await subscribe(server, "private-x", position="g.0")
    await server.write("client-typing", "private-x")
    await server.publish(*range(1, MAX_WAITING), channel="private-x")
    await server.write("client-clicked", "private-x")
    await server.write("client-clicked", "private-x")
    assert orders.missed == 2
    names = await given(orders)
    assert names == ["gap overflow", *(f"e{number}" for number in range(1, MAX_WAITING)), "client-clicked"]


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_begins_late_gets_everything(server: Server) -> None:
    """Until then the events wait among the client's, up to the bound; the rest is asked for."""
    channel = server.session.subscribe("orders")
    await settle()
    await server.answer(position="g.0")
    await server.publish(*range(1, MAX_WAITING + 5))
    orders = Subscription(channel, server.session)
    await read(orders, MAX_WAITING // 2)
    assert server.asked_last()["resume"] == f"g.{MAX_WAITING}"
    await server.answer(resumed=4, position=f"g.{MAX_WAITING}")
    await server.publish(*range(MAX_WAITING + 1, MAX_WAITING + 5))
    assert (await given(orders))[-1] == f"e{MAX_WAITING + 4}"


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_begins_while_others_fill_the_clients_events(server: Server) -> None:
    for name in ("orders", "other"):
        server.session.subscribe(name)
    await settle()
    for name in ("orders", "other"):
        await server.answer(name, position="g.0")
    await server.publish(*range(1, MAX_WAITING + 1), channel="other")
    await server.publish(1)
    Subscription(server.session.channels["orders"], server.session).__aiter__()
    await settle()
    assert (server.asked()[-1], server.asked_last()["resume"]) == ("orders", "g.0")


async def test_a_reader_that_begins_while_an_event_waits_for_room_gets_that_event(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundpost.client.event_queue._MAX_DELAY", 0.05)
    session = server.session
    reading = asyncio.create_task(session.events.get())
    await settle()
    reading.cancel()
    for name in ("orders", "other"):
        session.subscribe(name)
    await settle()
    await server.answer("other")
    await server.answer(position="g.0")
    for number in range(MAX_WAITING):
        await server.write(f"n{number}", "other")
    publishing = asyncio.create_task(server.publish(1))
    await settle()
    orders = Subscription(session.channels["orders"], session)
    assert (await orders.next(timeout=10)).name == "e1"
    await publishing
