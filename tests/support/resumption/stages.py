"""Servers whose clients resume: one process, workers behind one port, or hosts over Redis behind Nginx."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import redis as redis_client

from integration.test_redis_kinds import sentinel_of
from support.harness import until
from support.nginx_process import nginx_process
from support.operated import Operated, operated
from support.redis_process import RedisServer, running_redis
from support.redis_relay import BackgroundRelay, relay_in_background
from support.resumption.loops import SLOWLOG, watching

ACTIVITY_TIMEOUT: Final = 3
"""Seconds of silence after which a client asks the server whether it is there."""
OUTPUT_BUFFER: Final = 65_536
ORDERS: Final = tuple(f"private-orders-{number}" for number in range(6))
"""All is kept."""
SHORT: Final = "private-short"
BRIEF: Final = "private-brief"
ROOM: Final = "presence-room"
BOARD: Final = "cache-board"
LARGE: Final = "private-large"
"""Its history is many times larger than :data:`OUTPUT_BUFFER`."""
VAULT: Final = "private-encrypted-vault"
KEPT: Final = {**dict.fromkeys((*ORDERS, ROOM, BOARD, LARGE, VAULT), 20_000), SHORT: 20, BRIEF: 0}
"""How many events are kept of each channel; 0: it depends on their age."""
MEMORY: Final = 100_000_000
LITTLE: Final = 150_000
"""Bytes of histories: far more than a trial needs, and what is soon full."""
SERVER: Final = """\
host = "127.0.0.1"
shutdown_timeout = 2
drain_time = {drain}
workers = {workers}
"""
CONFIGURATION: Final = """\
[server]
port = {port}
{server}
{scaling}

[[apps]]
id = "1"
key = "app-key"
secret = "app-secret"
activity_timeout = {activity}
ping_interval = {activity}
max_output_buffer = {buffer}
max_presence_members = 1000
max_history_size = {memory}

[[apps.history]]
channels = ["private-orders-*", "presence-room", "cache-board", "private-large", "private-encrypted-vault"]
events = 20000
age = "1h"
rewind = 50

[[apps.history]]
channels = ["private-short"]
events = 20
age = "1h"

[[apps.history]]
channels = ["private-brief"]
events = 20000
age = "3s"
"""


class Stage:
    """Running servers. ``ports`` are where publishers connect to, ``client_ports`` where clients do."""

    redis: RedisServer
    replica: RedisServer
    relay: BackgroundRelay
    """Between the last host and Redis, or between Redis and its replica, if it was asked for."""
    nginx: subprocess.Popen[bytes]

    def __init__(self, stack: ExitStack) -> None:
        self.hosts: list[Operated] = []
        self.client_ports: list[int] = []
        self.memory = MEMORY
        self.kept = KEPT
        self.data: Callable[[], redis_client.Redis] | None = None
        """Connects to the Redis that has the histories, if one has."""
        self.turns = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soundpost-turns-")))
        """Where servers note long turns of their loops."""
        self._stack = stack

    @property
    def ports(self) -> list[int]:
        """Of the hosts."""
        return [host.port for host in self.hosts]

    def add(self, workers: int = 1, scaling: str = "", drain: int = 0) -> Operated:
        """Start a host."""
        host = self._stack.enter_context(operated())
        host.shell.environ = watching(host.shell.environ, self.turns)
        server = SERVER.format(drain=drain, workers=workers)
        host.write(
            CONFIGURATION.format(
                port=host.port,
                server=server,
                scaling=scaling,
                activity=ACTIVITY_TIMEOUT,
                buffer=OUTPUT_BUFFER,
                memory=self.memory,
            )
        )
        host.start()
        self.hosts.append(host)
        return host

    def kill(self, host: Operated) -> None:
        """End a host of one process without a word."""
        host.process.popen.kill()
        host.process.popen.wait()

    def wait_until_flowing(self, seconds: float = 60) -> None:
        """Wait until each host publishes to all."""
        for host in self.hosts:
            until(lambda host=host: _flows(host), f"events flow at {host.port}", seconds)  # type: ignore[misc]

    def complaints(self) -> list[str]:
        """What hosts have logged that tells of a fault in the server."""
        found = []
        for host in self.hosts:
            lines = host.process.err_so_far()
            found += [line for line in lines if _is_complaint(line)]
        return found


def _is_complaint(line: str) -> bool:
    """Whether a line of a log tells of a fault in the server; that a worker was killed, or Redis is away, is none."""
    is_told = "was killed by SIGKILL" in line or " soundpost.redis: Redis at " in line
    return (" ERROR " in line and not is_told) or "Traceback" in line


def one_process(stack: ExitStack) -> Stage:
    """A server of one process."""
    stage = Stage(stack)
    stage.client_ports = [stage.add().port]
    return stage


def with_little_memory(stack: ExitStack) -> Stage:
    """A server of one process whose histories are bounded by their bytes."""
    stage = Stage(stack)
    stage.memory, stage.kept = LITTLE, dict.fromkeys(KEPT, 0)
    stage.client_ports = [stage.add().port]
    return stage


def workers(stack: ExitStack, count: int = 2) -> Stage:
    """A server of several workers."""
    stage = Stage(stack)
    stage.client_ports = [stage.add(count).port]
    return stage


def hosts(
    stack: ExitStack, count: int = 3, *, workers: int = 1, cut_off: bool = False, failover: bool = False
) -> Stage:
    """Hosts over Redis, behind Nginx. ``cut_off``: the last one reaches Redis through a relay. ``failover``: Redis has
    a replica, which reaches it through a relay, and a sentinel."""
    stage = Stage(stack)
    stage.redis = stack.enter_context(running_redis(*SLOWLOG))
    stage.data = stage.redis.client
    urls = [stage.redis.url] * count
    if failover:
        stage.relay = stack.enter_context(relay_in_background(stage.redis.port))
        stage.replica = stack.enter_context(running_redis(*SLOWLOG, "--replicaof", "127.0.0.1", str(stage.relay.port)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sentinel = redis_client.Redis(port=stack.enter_context(sentinel_of(stage.redis, folder)), decode_responses=True)
        until(lambda: _knows_a_replica(sentinel), "the sentinel knows the replica")
        urls = [f"redis-sentinel://127.0.0.1:{sentinel.get_connection_kwargs()['port']}/0#main"] * count
    if cut_off:
        stage.relay = stack.enter_context(relay_in_background(stage.redis.port))
        urls[-1] = f"redis://127.0.0.1:{stage.relay.port}/0"
    for url in urls:
        stage.add(workers, f'[scaling]\nredis = "{url}"\n')
    for host in stage.hosts:
        until(lambda host=host: host.status()["redis"]["hosts"] == count, "the hosts have met", 60)  # type: ignore[misc]
    port, stage.nginx = stack.enter_context(nginx_process(stage.ports, files=4_096))
    stage.client_ports = [port]
    stage.wait_until_flowing()
    return stage


def restarted_in_place(host: Operated) -> None:
    """Restart a server of one process, and wait until it listens again."""
    host.signal(signal.SIGHUP)
    host.process.wait_for_start()


def with_new_workers(host: Operated) -> None:
    """Restart a server with workers, and wait until all of them are new."""
    host.signal(signal.SIGHUP)
    host.said("all workers are new")


def restarted_one_by_one(stage: Stage) -> None:
    """Restart all hosts by ``soundpost restart --all``."""
    before = {host: host.status()["started_at"] for host in stage.hosts}
    stage.hosts[0].run("restart", "--all")
    for host in stage.hosts:
        until(lambda host=host: _started(host) > before[host], "it is new", 90)  # type: ignore[misc]
    stage.wait_until_flowing()


def _started(host: Operated) -> float:
    done = host.run("status", "--json")
    return float(json.loads(done.stdout)["started_at"]) if done.stdout else 0.0


def _flows(host: Operated) -> bool:
    try:
        return host.publish("nobody", "e").body == b"{}"
    except (OSError, EOFError):
        time.sleep(0.05)
        return False


def _knows_a_replica(sentinel: redis_client.Redis) -> bool:
    try:
        return len(sentinel.sentinel_slaves("main")) == 1
    except redis_client.RedisError:
        return False


def channels_in_turn(clients: int) -> Sequence[list[str]]:
    """Which channels each of so many clients subscribes to: three of the orders, and one of another kind."""
    others = (SHORT, BRIEF, ROOM, BOARD)
    return [
        [*(ORDERS[(turn + each) % len(ORDERS)] for each in (0, 1, 3)), others[turn % len(others)]]
        for turn in range(clients)
    ]
