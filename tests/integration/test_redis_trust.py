"""What a message in Redis can do that no host of ours has sent: nothing to a client's connection, nor to a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from soundpost.backplane.redis.message_fields import join_fields
from soundpost.backplane.redis.node_scripts import RESTART
from soundpost.backplane.redis.restarts import ORDER_LASTS
from soundpost.backplane.redis.topic_messages import MAGIC, event
from soundpost.wire import messages
from soundpost.wire.frames import BINARY, close_frame, encode_frame, text_frame
from support.fleet import Fleet, running_fleet
from support.redis_process import RedisServer, running_redis

ROOM, CHANNEL = "presence-room", "room"
FORGED = messages.event("forged", CHANNEL, "{}")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def fleet(redis: RedisServer) -> Iterator[Fleet]:
    with running_fleet(redis.url, 2) as fleet:
        fleet.member(0, "ann", ROOM, CHANNEL)
        fleet.member(1, "bob", ROOM, CHANNEL)
        fleet.check()
        yield fleet
        fleet.check()
        fleet.check_reach(CHANNEL, "after")
        for server in fleet.servers:
            assert server.process.poll() is None
            assert "Traceback" not in server.log()
        for client in fleet.clients:
            assert "forged" not in client.names(CHANNEL)


def publish(redis: RedisServer, *data: bytes) -> None:
    """Publish on every topic there is."""
    client = redis.client()
    for topic in client.pubsub_channels("*"):
        for each in data:
            client.publish(topic, each)


FRAMES = [
    b"",
    b"raw bytes",
    FORGED[:-1],
    FORGED + b"\x81\x7e",
    FORGED + close_frame(4000, "bye"),
    close_frame(4001, "bye"),
    encode_frame(BINARY, b"{}"),
    b"\xc1" + FORGED[1:],
    b"\x01" + FORGED[1:],
    text_frame(b"no json"),
    text_frame(b'{"event":"forged","channel":"room","data":"\xff"}'),
    messages.event("forged", "private-other", "{}"),
    messages.PING,
    messages.error(4001, "gone"),
    messages.event("forged", CHANNEL, "x" * 300_000),
]


def test_frames_that_are_no_events_of_the_channel_reach_nobody(fleet: Fleet, redis: RedisServer) -> None:
    publish(redis, *(event(b"me", number, None, frame) for number, frame in enumerate(FRAMES, 1)))
    publish(redis, *(MAGIC + b"!" + join_fields((b"9", b"me", b"1", b"", frame)) for frame in FRAMES))

    fleet[0].wait_for_log("have an event that is not a single text frame and are dropped")


def test_events_that_leave_out_what_is_no_socket_id_reach_nobody(fleet: Fleet, redis: RedisServer) -> None:
    fields = [(b"me", b"1", socket_id, FORGED) for socket_id in (b"x y", b"undefined", b"1.2 ", b"\xff", b"-")]
    publish(redis, *(MAGIC + b"E" + join_fields(each) for each in fields))
    publish(redis, b"S1Eme 1 x " + FORGED, b"S1Eme 1 - " + FORGED, b"S1!9 me 1 - " + FORGED)

    fleet[0].wait_for_log("are none of ours and are dropped")
    fleet[0].wait_for_log("come from hosts with another version of Soundpost")


def test_members_and_counts_that_are_none_change_nothing(fleet: Fleet, redis: RedisServer) -> None:
    blobs = [b"", b"1", b"9 1", b"1 1", b'5 "eve"\xff', b'5 "eve"{', b'5 "eve"NaN', b'5 "eve"' + b"[" * 100_000]
    blobs += [b'5 "eve""' + b"x" * 5_000 + b'"', b'202 "' + b"e" * 200 + b'"null']
    publish(redis, *(MAGIC + b"+" + join_fields((b"99999999999999", blob)) for blob in blobs))
    publish(redis, MAGIC + b"#" + join_fields((b"-1",)), MAGIC + b"#" + join_fields((b"9" * 9_000,)))
    publish(redis, MAGIC + b"-" + join_fields((b"x", b"ann")), MAGIC + b"-" + join_fields((b"1", b"\xff")))

    fleet[0].wait_for_log("have a member beyond the limits of its app")


def test_an_order_to_restart_that_redis_does_not_have_is_none(fleet: Fleet, redis: RedisServer) -> None:
    publish(redis, *(MAGIC + b"R" + join_fields((b"me %d" % number,)) for number in range(100)))

    for server in fleet.servers:
        server.wait_for_log("tell to restart, which nobody has ordered")


def test_a_given_order_is_void_after_a_while(redis: RedisServer) -> None:
    """So whoever repeats it later restarts nobody."""
    client, base = redis.client(), "{orders:nodes}:"
    client.eval(RESTART.text, 1, base, "node", "PUBLISH", "order", int(ORDER_LASTS * 1000))
    assert client.get(base + "restart") == "order"
    assert 0 < client.pttl(base + "restart") <= ORDER_LASTS * 1000


def test_what_is_dropped_is_not_logged_each_time(fleet: Fleet, redis: RedisServer) -> None:
    publish(redis, *([b"garbage"] * 500))
    fleet[0].wait_for_log("none of ours")
    fleet.check_reach(CHANNEL, "meanwhile")
    assert sum("none of ours" in line for line in fleet[0].log().splitlines()) == 1
