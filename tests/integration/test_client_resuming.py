"""The Python client misses nothing on channels with history, and is told of what it cannot have any more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from integration.test_client_connection import Peer, impatient, server
from soundpost import Broadcaster
from soundpost.client import Client, Event, Gap, Subscription, SyncClient, with_secret
from soundpost.core.app_settings import HistorySettings
from soundpost.errors import SubscriptionError
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.operated import CALM, operated
from support.publishers import MASTER_KEY
from support.raw_socket import TIMEOUT
from support.redis_process import free_port
from support.resumption.cutting_proxy import Proxy

__all__ = ["impatient"]

RULES: Final = (
    HistorySettings(channels=("*short",), events=3),
    HistorySettings(channels=("*",), events=2_500, rewind=20),
)
APP: Final = msgspec.structs.replace(DEFAULT_APP, history=RULES)
AUTH: Final = with_secret(APP.key, APP.secret, user_id="ann", encryption_master_key=MASTER_KEY)
CHANNELS: Final = ("orders", "private-orders", "presence-room", "private-encrypted-diary", "cache-weather")


async def read(orders: Subscription, number: int) -> list[Any]:
    """Return the data of the next events, and the gaps, without those of the protocol."""
    found: list[Any] = []
    while len(found) < number:
        event = await orders.next(timeout=TIMEOUT)
        if isinstance(event, Gap):
            found.append(event.reason)
        elif not event.is_protocol:
            found.append(event.data)
    return found


# Byte for byte


async def test_a_connection_cut_in_the_middle_of_a_frame() -> None:
    """Half an event is none: the client asks for that event again."""
    asked: list[dict[str, Any]] = []
    event = b'{"event":"shipped","data":"%d","channel":"orders","position":"g7Qx.%d"}'

    async def first(peer: Peer) -> None:
        await peer.hello()
        asked.append((await peer.hear())["data"])
        await peer.socket.send(
            '{"event":"pusher_internal:subscription_succeeded","channel":"orders","data":"{}","position":"g7Qx.1000"}'
        )
        await peer.socket.send((event % (1, 1001)).decode())
        half = event % (2, 1002)
        await asyncio.sleep(0)
        peer.socket.transport.write(bytes([0x81, len(half)]) + half[: len(half) - 3])
        peer.socket.transport.close()

    async def second(peer: Peer) -> None:
        await peer.hello()
        asked.append((await peer.hear())["data"])
        await peer.socket.send(
            '{"event":"pusher_internal:subscription_succeeded","channel":"orders","data":"{}",'
            '"resumed":1,"position":"g7Qx.1001"}'
        )
        for number in (1, 2, 3):
            await peer.socket.send((event % (number, 1000 + number)).decode())
        await peer.socket.wait_closed()

    async with server(first, second) as url, Client(url, "key") as client:
        orders = client.subscribe("orders")
        assert await read(orders, 3) == [1, 2, 3]
        assert orders.position == "g7Qx.1003"
    assert asked == [
        {"channel": "orders", "resume": ""},
        {"channel": "orders", "resume": "g7Qx.1001", "was": ["1.1"]},
    ]


async def test_a_server_without_history_sees_one_field_more_and_the_program_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.hello()
        data = await peer.accept()
        assert data.keys() <= {"channel", "resume", "was"}
        assert data["resume"] == ""
        await peer.say("shipped", str(peer.number), "orders")
        if peer.number < 3:
            await peer.socket.close(4200)
        await peer.socket.wait_closed()

    async with server(script) as url, Client(url, "key") as client:
        orders = client.subscribe("orders")
        assert [await orders.next(timeout=TIMEOUT) for _ in range(3)] == [
            Event("shipped", "orders", str(number)) for number in (1, 2, 3)
        ]
        assert orders.position is None


# Against the real server


@pytest.fixture(scope="module", name="soundpost")
def _soundpost() -> Iterator[RunningServer]:
    with running_server(apps=[APP]) as made:
        yield made


@pytest.fixture
async def publisher(soundpost: RunningServer) -> Any:
    broadcaster = Broadcaster()
    broadcaster.configure(
        app_id=APP.id,
        key=APP.key,
        secret=APP.secret,
        port=soundpost.port,
        timeout=TIMEOUT,
        encryption_master_key=MASTER_KEY,
    )
    yield broadcaster
    await broadcaster.aclose()


def client_of(port: int) -> Client:
    return Client(f"http://127.0.0.1:{port}", APP.key, auth=AUTH)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_what_was_missed_while_cut_off_comes_once_and_in_order(
    soundpost: RunningServer, publisher: Broadcaster, channel: str
) -> None:
    proxy = Proxy()
    async with client_of(await proxy.listen([soundpost.port])) as client:
        events = await client.subscribe(f"{channel}.cut")
        for number in range(0, 60, 10):
            proxy.cut()  # in the middle of the next event
            for each in range(number, number + 10):
                await publisher.apublish(f"{channel}.cut", "tick", each)
            assert await read(events, 10) == list(range(number, number + 10))
        assert events.position is not None


async def test_nothing_is_missing_after_a_time_without_a_server(
    soundpost: RunningServer, publisher: Broadcaster
) -> None:
    proxy = Proxy()
    async with client_of(await proxy.listen([soundpost.port])) as client:
        events = await client.subscribe("orders.paused")
        target, proxy.targets = proxy.targets, [1]  # nobody is there
        proxy.abort()
        for each in range(50):
            await publisher.apublish("orders.paused", "tick", each)
        proxy.targets = target
        assert await read(events, 50) == list(range(50))


async def test_too_many_missed_events_are_one_gap_and_then_what_is_new(
    soundpost: RunningServer, publisher: Broadcaster
) -> None:
    proxy = Proxy()
    async with client_of(await proxy.listen([soundpost.port])) as client:
        events = await client.subscribe("private-short", subscription_events=True)
        await publisher.apublish("private-short", "tick", 0)
        assert await read(events, 1) == [0]
        target, proxy.targets = proxy.targets, [1]
        proxy.abort()
        for each in range(1, 5):
            await publisher.apublish("private-short", "tick", each)
        proxy.targets = target
        assert await read(events, 1) == ["number"]
        await publisher.apublish("private-short", "tick", 5)
        assert await read(events, 1) == [5]


async def test_a_program_that_ends_goes_on_where_it_was(soundpost: RunningServer, publisher: Broadcaster) -> None:
    async with client_of(soundpost.port) as client:
        events = await client.subscribe("orders.kept")
        for each in range(3):
            await publisher.apublish("orders.kept", "tick", each)
        assert await read(events, 2) == [0, 1]
        position = events.position  # one more event has come and is not read
    await publisher.apublish("orders.kept", "tick", 3)
    async with client_of(soundpost.port) as client:
        events = client.subscribe("orders.kept", after=position)
        assert await read(events, 2) == [2, 3]


async def test_a_position_of_another_life_of_the_server_is_a_gap(soundpost: RunningServer) -> None:
    async with client_of(soundpost.port) as client:
        events = client.subscribe("orders.old", after="another.1795887678285000")
        gap = await events.next(timeout=TIMEOUT)
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.channel, gap.position) == ("generation", "orders.old", events.position)


async def test_it_begins_with_the_last_events_as_far_as_that_is_allowed(
    soundpost: RunningServer, publisher: Broadcaster
) -> None:
    for each in range(5):
        await publisher.apublish("orders.rewound", "tick", each)
    async with client_of(soundpost.port) as client:
        assert await read(client.subscribe("orders.rewound", rewind=2), 2) == [3, 4]
        with pytest.raises(SubscriptionError, match="at most 20 are allowed"):
            await client.subscribe("orders.refused", rewind=21)


async def test_its_own_events_do_not_come_back(soundpost: RunningServer, publisher: Broadcaster) -> None:
    proxy = Proxy()
    async with client_of(await proxy.listen([soundpost.port])) as client:
        events = await client.subscribe("orders.own")
        for each in range(2):
            await publisher.apublish("orders.own", "tick", each, socket_id=client.socket_id)
            proxy.cut()
            await publisher.apublish("orders.own", "tick", "other")
            assert await read(events, 1) == ["other"]


async def test_a_slow_reader_gets_everything_from_the_history(
    soundpost: RunningServer, publisher: Broadcaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundpost.client.event_queue._MAX_DELAY", 0.0)
    async with client_of(soundpost.port) as client:
        events = await client.subscribe("private-slow")
        last = await client.subscribe("last")
        with pytest.raises(TimeoutError):
            await events.next(timeout=0)
        for each in range(2_300):
            await publisher.apublish("private-slow", "tick", each)
        await publisher.apublish("last", "tick", None)
        await last.next(timeout=TIMEOUT)
        assert await read(events, 2_300) == list(range(2_300))
        assert events.missed == 0


async def test_an_ended_server_without_a_successor_is_a_gap_and_members_are_whole() -> None:
    with running_server(apps=[APP], port=free_port()) as first:
        async with client_of(first.port) as client:
            room = await client.subscribe("presence-room")
            first.publish("presence-room", "tick", "1")
            assert await read(room, 1) == [1]
            os.kill(first.pid, signal.SIGKILL)
            await asyncio.to_thread(first.wait_for_the_end)
            with running_server(apps=[APP], port=first.port) as second:
                assert await read(room, 1) == ["generation"]
                assert room.members == {"ann": None}
                second.publish("presence-room", "tick", "2")
                assert await read(room, 1) == [2]


async def test_a_restart_is_no_gap() -> None:
    with operated() as restarted:
        restarted.configure(CALM)
        configuration = (restarted.shell.directory / "soundpost.toml").read_text()
        restarted.write(configuration.replace("history = []", 'history = [{ channels = ["*"] }]'))
        restarted.start()
        async with client_of(restarted.port) as client:
            events = await client.subscribe("private-orders")
            for number in range(0, 9, 3):
                restarted.publish("private-orders", "tick", str(number))
                restarted.signal(signal.SIGHUP)
                for each in (number + 1, number + 2):
                    await asyncio.to_thread(restarted.publish, "private-orders", "tick", str(each))
                assert await read(events, 3) == [number, number + 1, number + 2]


async def test_a_signed_in_user_resumes_too(soundpost: RunningServer) -> None:
    proxy = Proxy()
    async with client_of(await proxy.listen([soundpost.port])) as client:
        user = await client.sign_in()
        for each in range(6):
            proxy.cut()
            soundpost.publish("#server-to-user-ann", "tick", str(each))
            assert (await user.next(timeout=TIMEOUT)).data == each


def test_the_blocking_client_too(soundpost: RunningServer) -> None:
    with SyncClient(f"http://127.0.0.1:{soundpost.port}", APP.key, auth=AUTH) as client:
        orders = client.subscribe("private-blocking")
        soundpost.publish("private-blocking", "tick", "1")
        soundpost.publish("private-blocking", "tick", "2")
        assert orders.next(timeout=TIMEOUT).position == orders.position
        position = orders.position
    with SyncClient(f"http://127.0.0.1:{soundpost.port}", APP.key, auth=AUTH) as client:
        assert client.subscribe("private-blocking", after=position).next(timeout=TIMEOUT).data == 2
        assert client.subscribe("private-other", after="another.1").next(timeout=TIMEOUT).name == "soundpost:gap"
        rewound = client.subscribe("orders.blocking", rewind=1)
        assert json.loads(soundpost.publish("orders.blocking", "tick", "3").body) == {}
        assert rewound.next(timeout=TIMEOUT).data == 3
