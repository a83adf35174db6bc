"""Real servers around a real Redis that fails in every way: no process ends, own clients are served, and afterwards
everything is as if nothing had been."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from support.fleet import Fleet, running_fleet
from support.harness import until
from support.redis_process import RedisServer, running_redis
from support.redis_relay import relay_in_background

ROOM, CHANNEL = "presence-room", "room"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def fleet(redis: RedisServer) -> Iterator[Fleet]:
    """Three servers; ann has a tab on two of them."""
    with running_fleet(redis.url) as fleet:
        fleet.member(0, "ann", ROOM, CHANNEL)
        fleet.member(1, "ann", ROOM, CHANNEL)
        fleet.member(1, "bob", ROOM, CHANNEL)
        fleet.member(2, "carl", ROOM, CHANNEL)
        fleet.check()
        yield fleet
        assert all(server.process.poll() is None for server in fleet.servers)


def live_alone(fleet: Fleet) -> list[str]:
    """What goes on while Redis is away; names of the events that must reach everybody in the end."""
    names = []
    for number, server in enumerate(fleet.servers):
        until(
            lambda server=server: server.publish("nobody", "e").json() == {"delivered": "local"},  # type: ignore[misc]
            "the API says that others are out of reach",
        )
        name = f"alone {number}"
        assert server.publish(CHANNEL, name).json() == {"delivered": "local"}
        names.append(name)
        own = next(client for client in fleet.clients if client.socket.socket.getpeername()[1] == server.port)
        own.wait_for(CHANNEL, [name])
    fleet.leave(fleet.clients[2])  # bob
    fleet.member(0, "dora", ROOM, CHANNEL)
    return names


def all_is_well(fleet: Fleet, names: list[str]) -> None:
    """Everybody knows everything, and gets what waited."""
    fleet.check()
    for client in fleet.clients:
        if client.user != "dora":
            client.wait_for(CHANNEL, names)
    fleet.check_reach(CHANNEL, "after")


@pytest.mark.parametrize("seconds", [0.2, 5.0])
def test_redis_dies_and_comes_back_empty(fleet: Fleet, redis: RedisServer, seconds: float) -> None:
    redis.stop()
    names = live_alone(fleet)
    time.sleep(seconds)
    redis.start()

    all_is_well(fleet, names)


def test_redis_freezes_and_thaws(fleet: Fleet, redis: RedisServer) -> None:
    """Its connections stay open and say nothing."""
    redis.freeze()
    names = live_alone(fleet)
    redis.thaw()

    all_is_well(fleet, names)


def test_redis_loses_its_data_and_scripts(fleet: Fleet, redis: RedisServer) -> None:
    redis.client().flushall()
    redis.client().script_flush()
    fleet.member(0, "dora", ROOM, CHANNEL)

    all_is_well(fleet, [])


def test_redis_kicks_everybody_out(fleet: Fleet, redis: RedisServer) -> None:
    for _ in range(3):
        redis.client().client_kill_filter(_type="normal", skipme=True)
        redis.client().client_kill_filter(_type="pubsub", skipme=True)
        time.sleep(0.3)

    all_is_well(fleet, [])


def test_the_network_between_one_server_and_redis_is_cut(redis: RedisServer) -> None:
    """For longer than its lease: the others see its members leave, and come back; its own clients see nothing."""
    with relay_in_background(redis.port) as relay:
        cut = f"redis://127.0.0.1:{relay.port}"
        with running_fleet([redis.url, redis.url, cut]) as fleet:
            ann = fleet.member(0, "ann", ROOM, CHANNEL)
            fleet.member(1, "bob", ROOM, CHANNEL)
            carl = fleet.member(2, "carl", ROOM, CHANNEL)
            fleet.check()
            ann.read_waiting()
            before = len(ann.notices)
            seen = len(carl.notices)

            relay.hold()
            until(lambda: fleet[2].publish("x", "e").json() == {"delivered": "local"}, "it knows that it is alone")
            assert fleet[2].publish(CHANNEL, "alone").json() == {"delivered": "local"}
            carl.wait_for(CHANNEL, ["alone"])
            assert fleet[0].publish(CHANNEL, "of others").body == b"{}"

            def carl_has_left() -> bool:
                ann.read_waiting()
                return ("-", "carl") in ann.notices[before:]

            until(carl_has_left, "carl leaves")
            relay.mend()

            all_is_well(fleet, [])
            ann.wait_for(CHANNEL, ["alone", "of others"])
            assert ann.notices[before:] == [("-", "carl"), ("+", "carl")]
            assert carl.notices[seen:] == []


def test_a_server_is_killed(fleet: Fleet) -> None:
    """Its members leave everywhere, at the end of its lease at the latest."""
    for client in fleet.clients[:]:
        if client.user == "carl":
            fleet.leave(client)
    died = time.monotonic()
    fleet[2].process.kill()
    fleet[2].process.wait()

    fleet.check(0, 1)
    print(f"members of a killed server left after {time.monotonic() - died:.1f} s")
    ann = fleet.clients[0]
    assert ann.notices.count(("-", "carl")) == 1
    fleet.servers.pop()


def test_a_server_is_frozen_beyond_its_lease_and_resumed(fleet: Fleet) -> None:
    """The others see its member leave once, and join once; its own clients see nothing at all."""
    ann, carl = fleet.clients[0], fleet.clients[-1]
    ann.read_waiting()
    before = len(ann.notices)
    os.kill(fleet[2].pid, signal.SIGSTOP)

    def carl_has_left() -> bool:
        ann.read_waiting()
        return ("-", "carl") in ann.notices[before:]

    until(carl_has_left, "carl leaves")
    os.kill(fleet[2].pid, signal.SIGCONT)

    all_is_well(fleet, [])
    assert ann.notices[before:] == [("-", "carl"), ("+", "carl")]
    assert carl.notices == []


def test_garbage_and_foreign_messages(fleet: Fleet, redis: RedisServer) -> None:
    topics = redis.client().pubsub_channels("*")
    assert len(topics) >= 3
    for topic in topics:
        for data in (b"", b"{}", b"S1", b"S1E", b"S1E a b c d", b"S1+1 999 x", b"S1!x", b"S2whatever", b"\xff" * 5000):
            redis.client().publish(topic, data)

    fleet[0].wait_for_log("none of ours")
    all_is_well(fleet, [])


def test_servers_start_without_redis_and_find_it_later() -> None:
    with running_redis() as redis:
        redis.stop()
        with running_fleet(redis.url, 2, connected=False) as fleet:
            fleet.member(0, "ann", ROOM, CHANNEL)
            fleet.member(1, "bob", ROOM, CHANNEL)
            assert fleet[0].publish(CHANNEL, "alone").json() == {"delivered": "local"}
            redis.start()
            fleet.check()
            fleet.check_reach(CHANNEL, "after")
            (back,) = fleet[0].wait_for_log(
                r"INFO soundpost\.redis: .* connected, as node \w+, after [\d.]+ s without it"
            )
            (sent,) = fleet[0].wait_for_log(
                r"INFO soundpost\.redis: \d+ event\(s\) for other hosts that waited go out now"
            )
            assert back[:23] <= sent[:23]  # up to the milliseconds


def test_two_installations_on_one_redis_do_not_meet(redis: RedisServer) -> None:
    with running_fleet(redis.url, 1, prefix="one") as one, running_fleet(redis.url, 1, prefix="other") as other:
        one.member(0, "ann", ROOM, CHANNEL)
        other.member(0, "bob", ROOM, CHANNEL)
        one.check_reach(CHANNEL, "of one")
        one.check()
        other.check()
        assert other.clients[0].names(CHANNEL) == []


def test_workers_of_two_hosts(redis: RedisServer) -> None:
    with running_fleet(redis.url, 2, workers=2) as fleet:
        for number in range(8):
            fleet.member(number % 2, f"user {number // 2}", ROOM, CHANNEL)
        fleet.check()
        fleet.check_reach(CHANNEL, "before")
        redis.stop()
        names = []
        for number, server in enumerate(fleet.servers):
            until(lambda s=server: s.publish("x", "e").json() == {"delivered": "local"}, "known to all workers")  # type: ignore[misc]
            assert server.publish(CHANNEL, f"alone {number}").json() == {"delivered": "local"}
            names.append(f"alone {number}")
        redis.start()
        all_is_well(fleet, names)
