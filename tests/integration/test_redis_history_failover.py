"""A failover that loses the last events of histories: all concerned are told of a gap, and no position comes again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import redis as redis_client

from integration.test_redis_history_kinds import APP, Page, history, missed, names, publish
from integration.test_redis_kinds import sentinel_of
from support.fleet import Fleet, running_fleet
from support.harness import RunningServer, until
from support.redis_process import RedisServer, running_redis

CHANNEL = "news-1"
GAP = "soundpost:gap"


class Failover(NamedTuple):
    """A master and its replica."""

    master: RedisServer
    replica: RedisServer

    def cut_off(self) -> None:
        """From now on the replica gets nothing; what it had got, it has."""
        until(lambda: _offset(self.replica) >= _offset(self.master), "the replica has all")
        self.replica.client().config_set("masterauth", "wrong")  # so it does not come back
        self.master.client().client_kill_filter(_type="replica")
        until(lambda: self.replica.client().info("replication")["master_link_status"] == "down", "it is cut off")

    def wait_for_promotion(self, fleet: Fleet) -> None:
        """Wait until the replica is the master, and all hosts are there."""
        until(lambda: self.replica.client().role()[0] == "master", "the replica is promoted")
        for host in fleet.servers:
            host.wait_for_log("connected, as node", times=2)
            until(lambda host=host: host.publish("x", "e").body == b"{}", "events flow", 30)  # type: ignore[misc]


def _offset(server: RedisServer) -> int:
    return int(server.client().info("replication")["master_repl_offset"])


@contextmanager
def failover() -> Iterator[tuple[Failover, Fleet]]:
    """Two hosts that find the master by a sentinel."""
    with ExitStack() as stack:
        master = stack.enter_context(running_redis())
        replica = stack.enter_context(running_redis("--replicaof", "127.0.0.1", str(master.port)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(sentinel_of(master, folder))
        sentinel = redis_client.Redis(port=port, decode_responses=True)
        until(lambda: _knows_the_replica(sentinel), "the sentinel knows the replica")
        fleet = stack.enter_context(running_fleet(f"redis-sentinel://127.0.0.1:{port}/0#main", 2, apps=[APP]))
        yield Failover(master, replica), fleet


def _knows_the_replica(sentinel: redis_client.Redis) -> bool:
    try:
        return len(sentinel.sentinel_slaves("main")) == 1
    except redis_client.RedisError:
        return False


def positions(server: RunningServer) -> set[str]:
    return {event["position"] for event in history(server, CHANNEL)["events"]}


def test_a_lost_tail_is_a_gap() -> None:
    with failover() as (redis, fleet):
        one, other = fleet.servers
        pages = [Page(server, CHANNEL) for server in fleet.servers]
        publish(one, CHANNEL, "a")
        assert [page.read(1) for page in pages] == [["a"], ["a"]]
        behind = Page(other, CHANNEL).close()
        redis.cut_off()
        publish(one, CHANNEL, "lost 1")
        publish(other, CHANNEL, "lost 2")
        assert [sorted(page.read(2)) for page in pages] == [["lost 1", "lost 2"]] * 2
        ahead = Page(one, CHANNEL).close()
        before = positions(one)
        redis.master.stop()
        redis.wait_for_promotion(fleet)
        publish(other, CHANNEL, "b")
        for page in pages:
            assert page.read(2) == [GAP, "b"]
        for place in (behind, ahead):
            assert missed(one, CHANNEL, place) == missed(other, CHANNEL, place) == ["gap: generation"]
        for page in pages:
            assert missed(one, CHANNEL, page.close()) == []
        assert names(history(one, CHANNEL)) == ["a", "b"]
        assert not before & positions(one)
