"""A user of Redis with few rights: what docs/scaling.md says is enough, and what is missing is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from soundpost.config.settings import ScalingSettings
from soundpost.documentation import page
from support.fleet import running_fleet
from support.harness import running_server, until
from support.redis_process import RedisServer, running_redis

ROOM, CHANNEL, CACHE = "presence-room", "room", "cache-room"
SCALING = Path(__file__).parents[2] / "docs" / "scaling.md"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


def documented() -> list[str]:
    """The rule of the page, for a user called soundpost."""
    (line,) = [line for line in SCALING.read_text().splitlines() if line.startswith("ACL SETUSER soundpost ")]
    return line.removeprefix("ACL SETUSER soundpost ").replace("'", "").split()


def user(redis: RedisServer, *rules: str) -> str:
    """A user with these rights; the URL to come with."""
    client: Any = redis.client()
    client.execute_command("ACL", "SETUSER", "soundpost", "reset", "on", ">pass", *rules)
    return redis.url.replace("redis://", "redis://soundpost:pass@")


def test_these_rights_are_enough_to_know_whether_redis_has_lost_events(redis: RedisServer) -> None:
    rules = [rule for rule in documented() if not rule.startswith(">")]
    client = Redis.from_url(user(redis, *rules))
    assert client.info("replication")["master_replid"]
    assert client.info("memory")["maxmemory_policy"] == "noeviction"


@pytest.mark.parametrize("rules", [documented(), ["~{soundpost:*", "&{soundpost:*", "+@all", "-@dangerous"]])
def test_these_rights_are_enough(redis: RedisServer, rules: list[str]) -> None:
    redis.client().flushall()
    with running_fleet(
        user(redis, *[rule for rule in rules if not rule.startswith(">")]), 2, prefix="soundpost"
    ) as fleet:
        fleet.member(0, "ann", ROOM, CHANNEL, CACHE)
        fleet.member(1, "bob", ROOM, CHANNEL, CACHE)
        fleet.check()
        fleet.check_reach(CHANNEL, "e")
        fleet.check_reach(CACHE, "kept")
        fleet[0].request("POST", "/users/bob/terminate_connections", b"")
        until(lambda: fleet[1].request("GET", "/connections").json() == {"connections": 1}, "bob is gone")
        assert "refuse" not in fleet[0].log()
        assert "NOPERM" not in fleet[0].log()


FULL = ["~{soundpost:*", "&{soundpost:*", "+@all"]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (["~soundpost*", "&soundpost*", "+@all"], r"EVALSHA on \{soundpost:nodes\}:\*"),
        (["~{other:*", "&{soundpost:*", "+@all"], r"EVALSHA on \{soundpost:nodes\}:\*"),
        (["~{soundpost:*", "&soundpost*", "+@all"], r"SUBSCRIBE on \{soundpost:nodes\}:t:"),
        ([*FULL, "-evalsha"], r"EVALSHA on \{soundpost:nodes\}:\*"),
        ([*FULL, "-script"], "SCRIPT LOAD"),
        ([*FULL, "-zadd"], r"EVALSHA on \{soundpost:nodes\}:\*"),
        ([*FULL, "-subscribe"], r"SUBSCRIBE on \{soundpost:nodes\}:t:"),
    ],
)
def test_what_is_missing_is_named(redis: RedisServer, rules: list[str], named: str) -> None:
    with running_server(scaling=ScalingSettings(redis=user(redis, *rules))) as server:
        (line, *_) = server.wait_for_log(named)
        assert page("scaling", "rights-in-redis") in line
        assert "pass@" not in line
        assert server.publish("x", "e").json() == {"delivered": "local"}


def test_a_host_that_may_not_publish_says_so_once(redis: RedisServer) -> None:
    with running_server(scaling=ScalingSettings(redis=user(redis, *FULL, "-publish"))) as server:
        for number in range(50):
            server.publish(CHANNEL, f"e {number}")
        (line,) = server.wait_for_log("Redis refuses events")
        assert "PUBLISH on room" in line
        assert page("scaling", "rights-in-redis") in line


def test_a_replica_that_may_not_be_asked_for_its_role_is_told_by_what_it_refuses(redis: RedisServer) -> None:
    with running_redis("--replicaof", "127.0.0.1", str(redis.port)) as replica:
        until(lambda: replica.client().info("replication")["master_link_status"] == "up", "it follows")
        url = user(replica, "~{soundpost:*", "&{soundpost:*", "+@all", "-@dangerous")
        with running_server(scaling=ScalingSettings(redis=url)) as server:
            server.wait_for_log(r"is a replica: name the master, or the sentinels \(redis-sentinel://")
