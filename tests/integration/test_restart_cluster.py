"""``soundpost restart --all``: the hosts of a cluster, one after the other."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from support.harness import until
from support.knocking import Guest, Publisher, all_there, guests
from support.operated import CALM, Operated, operated
from support.redis_process import RedisServer, running_redis

PATIENCE = 90
HOST = CALM.replace("shutdown_timeout = 1", "shutdown_timeout = 5")
"""A request may wait for a moment on a busy machine."""


@contextmanager
def cluster(redis: RedisServer, count: int, workers: int = 1) -> Iterator[list[Operated]]:
    """So many hosts that have met."""
    with ExitStack() as stack:
        hosts = [stack.enter_context(operated()) for _ in range(count)]
        for host in hosts:
            host.configure(f"{HOST}workers = {workers}\n", rest=f'[scaling]\nredis = "{redis.url}"\n')
            host.start()
        for host in hosts:
            until(lambda host=host: host.status()["redis"]["hosts"] == count, "they have met", PATIENCE)  # type: ignore[misc]
        yield hosts


@pytest.mark.parametrize(("count", "workers"), [(3, 1), (2, 2)], ids=["3 hosts", "2 hosts with workers"])
def test_one_after_the_other_is_restarted(count: int, workers: int) -> None:
    with running_redis() as redis, cluster(redis, count, workers) as hosts, ExitStack() as stack:
        began = {host: host.status()["started_at"] for host in hosts}
        before = {host: set(host.workers()) for host in hosts}
        invited = {host: stack.enter_context(guests(host.port, "room", 3)) for host in hosts}
        publisher = stack.enter_context(Publisher(hosts[0], "room"))

        done = hosts[-1].run("restart", "--all")

        assert (done.returncode, done.stdout) == (0, "all hosts restart, one after the other\n")
        for host in hosts:
            if workers > 1:
                host.said("all workers are new")
                assert not before[host] & set(host.workers())
            else:
                until(lambda host=host: _is_new(host, began[host]), "it is new", PATIENCE)  # type: ignore[misc]
        for here in invited.values():
            all_there(here)
        until(lambda: hosts[0].publish("room", "e").body == b"{}", "events flow", PATIENCE)
        publisher.goes_on()
        moves = sorted(_away(here) for here in invited.values())
        for (_, back), (left, _) in itertools.pairwise(moves):
            assert back < left, f"two hosts were away at once: {moves}"
        assert publisher.failed == []
        assert redis.client().keys("*restarting*") == [] or workers == 1, "the turn is given back"


def _is_new(host: Operated, began: float) -> bool:
    done = host.run("status", "--json")
    return done.returncode == 0 and bool(json.loads(done.stdout)["started_at"] > began)


def _away(here: list[Guest]) -> tuple[float, float]:
    """When the first guest of a host was sent away, and when the last was back for good."""
    return min(guest.left[0] for guest in here), max(guest.came[-1] for guest in here)


def test_a_host_alone_restarts_itself() -> None:
    with operated() as server:
        server.configure()
        server.start()
        done = server.run("restart", "--all")
        assert (done.returncode, done.stdout) == (0, "restarting\n")
        server.process.wait_for_start()


def test_a_host_with_a_broken_configuration_stays_as_it_is_and_the_others_go_on() -> None:
    with running_redis() as redis, cluster(redis, 2) as (good, bad):
        began = good.status()["started_at"], bad.status()["started_at"]
        bad.configure(f"{CALM}prot = 1\n")
        assert good.run("restart", "--all").returncode == 0
        bad.said("not restarted: soundpost.toml: .*unknown key 'prot'")
        until(lambda: _is_new(good, began[0]), "it is new", PATIENCE)
        assert f'"started_at": {began[1]}' in bad.run("status", "--json", "--port", str(bad.port)).stdout
