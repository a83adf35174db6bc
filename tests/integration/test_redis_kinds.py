"""Redis of several kinds: with a password, over TLS, found by Sentinel, a Redis Cluster."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis as redis_client

from soundpost.config.settings import ScalingSettings
from support.fleet import running_fleet
from support.harness import running_server, until
from support.redis_kinds import INSTALLED, PACKAGED, cluster
from support.redis_process import RedisServer, default_program, free_port, running_redis
from support.self_signed import self_signed

ROOM, CHANNEL = "presence-room", "room"


def test_a_password_is_needed_and_never_shown() -> None:
    with running_redis("--requirepass", "s3cret") as redis:
        with running_server(scaling=ScalingSettings(redis=f"redis://:wrong@127.0.0.1:{redis.port}")) as server:
            server.wait_for_log("WRONGPASS|invalid username-password")
            assert "wrong@" not in server.log()
        with running_fleet(f"redis://:s3cret@127.0.0.1:{redis.port}/3", 2) as fleet:
            fleet.member(0, "ann", ROOM, CHANNEL)
            fleet.member(1, "bob", ROOM, CHANNEL)
            fleet.check()
            fleet.check_reach(CHANNEL, "e")
            assert all("s3cret" not in server.log() for server in fleet.servers)


def test_a_good_connection_is_told_of_and_is_no_warning() -> None:
    with running_redis() as redis, running_server(scaling=ScalingSettings(redis=redis.url)) as server:
        (line,) = server.wait_for_log("connected, as node")
        assert " INFO soundpost.redis: " in line
        assert "WARNING" not in server.log()


@pytest.mark.parametrize("query", ["", "?db=3", "?database=3&client_name=ws"])
def test_the_database_of_a_url_is_where_keys_are(query: str) -> None:
    with running_redis() as redis:
        url = f"redis://127.0.0.1:{redis.port}{query}"
        with running_server(scaling=ScalingSettings(redis=url)) as server:
            server.wait_for_log("connected, as node")
            assert list(redis.client().info("keyspace")) == ["db3" if "3" in query else "db0"]
            names = {each["name"] for each in redis.client().client_list()}
            assert ("ws" if "name" in query else "soundpost") in names


def test_a_replica_is_refused_with_the_way_out() -> None:
    with (
        running_redis() as master,
        running_redis("--replicaof", "127.0.0.1", str(master.port)) as replica,
        running_server(scaling=ScalingSettings(redis=replica.url)) as server,
    ):
        server.wait_for_log("is a replica: name the master, or the sentinels")


@contextmanager
def sentinel_of(master: RedisServer, folder: Path) -> Iterator[int]:
    port = free_port()
    (folder / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor main 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
    )
    with (folder / "sentinel.log").open("wb") as log:
        process = subprocess.Popen(
            [default_program(), str(folder / "sentinel.conf"), "--sentinel"], stdout=log, stderr=log
        )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def test_sentinel_promotes_a_replica() -> None:
    with ExitStack() as stack:
        master = stack.enter_context(running_redis())
        replica = stack.enter_context(running_redis("--replicaof", "127.0.0.1", str(master.port)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(sentinel_of(master, folder))
        sentinel = redis_client.Redis(port=port, decode_responses=True)
        until(lambda: _replicas(sentinel) == 1, "the sentinel knows the replica")
        fleet = stack.enter_context(running_fleet(f"redis-sentinel://127.0.0.1:{port}/0#main", 2))
        fleet.member(0, "ann", ROOM, CHANNEL)
        fleet.member(1, "bob", ROOM, CHANNEL)
        fleet.check()

        master.stop()
        names = []
        for number, server in enumerate(fleet.servers):
            until(lambda s=server: s.publish("x", "e").json() == {"delivered": "local"}, "it is alone")  # type: ignore[misc]
            assert server.publish(CHANNEL, f"alone {number}").json() == {"delivered": "local"}
            names.append(f"alone {number}")
        until(lambda: replica.client().role()[0] == "master", "the replica is promoted")

        fleet.check()
        for client in fleet.clients:
            client.wait_for(CHANNEL, names)
        fleet.check_reach(CHANNEL, "after")


def _replicas(sentinel: redis_client.Redis) -> int:
    try:
        return len(sentinel.sentinel_slaves("main"))
    except redis_client.RedisError:
        return 0


def test_a_redis_cluster() -> None:
    with cluster(INSTALLED) as (url, servers), running_fleet(url, 2) as fleet:
        channels = [f"room-{number}" for number in range(20)]  # in several buckets, on all servers
        for number in range(4):
            fleet.member(number % 2, f"user {number % 3}", ROOM, *channels)

        fleet.check()
        for channel in channels:
            fleet.check_reach(channel, "e")
        keys = [len(server.client().keys("*")) for server in servers]
        assert sum(count > 0 for count in keys) >= 2, keys


def test_redis_over_tls() -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = self_signed(Path(folder))
        port = free_port()
        options = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
        with running_redis(*options, "--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificate)) as redis:
            scaling = ScalingSettings(redis=f"rediss://127.0.0.1:{port}", ca_certificate=str(certificate))
            with (
                running_server(scaling=scaling) as one,
                running_server(scaling=scaling) as other,
                one.connect() as client,
            ):
                client.subscribe(CHANNEL)
                other.wait_for_log("connected, as node")
                until(lambda: other.publish("x", "e").body == b"{}", "events flow")
                other.publish(CHANNEL, "over TLS")
                assert client.read_event()["event"] == "over TLS"
            untrusting = ScalingSettings(redis=f"rediss://127.0.0.1:{port}")
            with running_server(scaling=untrusting) as server:
                server.wait_for_log("TLS failed: its certificate is not trusted")
            trusting = ScalingSettings(redis=f"tls://127.0.0.1:{port}?ssl_cert_reqs=none")
            with running_server(scaling=trusting) as server:
                server.wait_for_log("connected, as node")
            plain = ScalingSettings(redis=f"rediss://127.0.0.1:{redis.port}", ca_certificate=str(certificate))
            with running_server(scaling=plain) as server:
                server.wait_for_log("it speaks plainly: write redis:// in place of rediss://")
            with running_server(scaling=ScalingSettings(redis=f"redis://127.0.0.1:{port}")) as server:
                server.wait_for_log("it speaks TLS: write rediss:// in place of redis://")


@pytest.mark.parametrize("name", PACKAGED)
def test_oldest_redis_and_newest_valkey(name: str) -> None:
    """Redis 6.2 and Valkey 9, as PyPI has them for Linux on x86-64."""
    with running_redis(program=PACKAGED[name]) as redis, running_fleet(redis.url, 2) as fleet:
        fleet.member(0, "ann", ROOM, CHANNEL)
        fleet.member(1, "bob", ROOM, CHANNEL)
        fleet.check()
        fleet.check_reach(CHANNEL, "before")
        redis.stop()
        for server in fleet.servers:
            until(lambda s=server: s.publish("x", "e").json() == {"delivered": "local"}, "it is alone")  # type: ignore[misc]
        redis.start()
        fleet.check()
        fleet.check_reach(CHANNEL, "after")
