"""Cost of histories over Redis: CPU of each publish, memory of each kept event.

Channels with and without a history are on the same hosts, and take turns in short rounds. Redis and the hosts are on
core 0, clients and whoever publishes on core 1; each host has a subscriber of each channel.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import redis as redis_client
from cluster import redis
from processes import FRAME, HERE, Clients, Process, clients, cpu_time, free_port, publish_request

from soundpost.backplane.redis.history_scripts import ADD, TAKE

HOSTS = ((1, 8), (3, 8), (1, 1))
"""Numbers of hosts and of publishers."""
KEPT = 200
"""Events that the history keeps; more were published before the first round."""
BARE, WITH_HISTORY = "bench", "trunk"
"""Channels with names of one length."""
POSITION = f',"position":"{"x" * 16}.{time.time_ns() // 1_000}"'


class Kind(NamedTuple):
    """Events of one kind."""

    channel: str
    headers: str = ""
    """Lines of each request; ``{key}`` is another key each time."""


KEY = "Idempotency-Key: {key}\r\n"
KINDS = {
    "without history": Kind(BARE),
    "with history": Kind(WITH_HISTORY),
    "without history, with a key": Kind(BARE, KEY),
    "with history, with a key": Kind(WITH_HISTORY, KEY),
    "with history, sent again": Kind(WITH_HISTORY, KEY + "X-Soundpost-Repeat: 1\r\n"),
}


class Costs(NamedTuple):
    """Seconds of CPU time per event."""

    publishing: float
    hearing: float
    """Of each other host."""
    redis: float
    script: float
    """Of the script, or of PUBLISH, as Redis counts it."""


@contextmanager
def hosts(
    count: int, url: str, events: int = KEPT, channels: str = WITH_HISTORY
) -> Iterator[list[tuple[Process, int]]]:
    """Servers on one Redis that keep the events of some channels, and their ports."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            port = free_port()
            options = json.dumps({"events": events, "channels": channels, "redis": url})
            process = Process(sys.executable, str(HERE / "resuming" / "serve_history.py"), str(port), options)
            stack.callback(process.stop)
            found.append((process, port))
        time.sleep(3)  # all have met
        yield found


def put_first(pid: int) -> None:
    """Let no other process take the core from Redis in the middle of a command: Redis would count that too."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


class Publishing:
    """Hosts with subscribers, and somebody who publishes at the first of them."""

    def __init__(self, pid: int, url: str, servers: list[tuple[Process, int]], swarms: list[Clients]) -> None:
        self._pid = pid
        self._client = redis_client.Redis.from_url(url)
        self._servers = [process for process, _ in servers]
        self._swarms = swarms

    def publish(self, kind: Kind, publishers: int, count: int) -> Costs:
        """Let publishers publish so many events in all, until all subscribers have them; return what they cost."""
        head, body = publish_request(channel=kind.channel).split(b"\r\n\r\n", 1)
        request = b"%b\r\n%b\r\n%b" % (head, kind.headers.encode(), body)
        size = len(FRAME) + (len(POSITION) if kind.channel == WITH_HISTORY else 0)
        self._client.config_resetstat()
        before = [process.cpu() for process in self._servers], cpu_time(self._pid)
        self._swarms[0].do(f"publish {publishers} {count // publishers} {request.hex()}")
        for swarm in self._swarms:
            swarm.receive(size * count)
        redis_cpu = cpu_time(self._pid) - before[1]
        spent = [(process.cpu() - was) / count for process, was in zip(self._servers, before[0], strict=True)]
        commands = self._client.info("commandstats")
        command = "cmdstat_evalsha" if kind.channel == WITH_HISTORY else "cmdstat_publish"
        script = commands[command]["usec"] / 1e6 / count
        return Costs(spent[0], statistics.mean(spent[1:] or [0.0]), redis_cpu / count, script)


def publishing(count: int, publishers: int, rounds: int, each: int = 400) -> dict[str, list[Costs]]:
    """What each kind of event costs with so many hosts, in each round."""
    with redis() as (pid, url), hosts(count, url) as servers, ExitStack() as stack:
        put_first(pid)
        swarms = [stack.enter_context(clients(port)) for _, port in servers]
        for swarm in swarms:
            swarm.do(f"connect 1 {BARE}")
            swarm.do(f"connect 1 {WITH_HISTORY}")
        load = Publishing(pid, url, servers, swarms)
        for kind in KINDS.values():
            load.publish(kind, publishers, each)
        found: dict[str, list[Costs]] = {name: [] for name in KINDS}
        for _ in range(rounds):
            for name, kind in KINDS.items():
                found[name].append(load.publish(kind, publishers, each))
        return found


def script_alone(count: int = 2_000) -> tuple[float, float]:
    """Seconds that Redis takes for a PUBLISH, and for the script that keeps an event, of many that come at once."""
    with redis() as (pid, url):
        put_first(pid)
        client = redis_client.Redis.from_url(url)
        client.eval(TAKE.text, 1, "{b}:", "node", "PUBLISH", "source", 0)
        digest = client.script_load(ADD.text)
        figures = []
        for _ in range(5):
            client.config_resetstat()
            events = client.pipeline(transaction=False)
            for _ in range(count):
                event = uuid.uuid4().hex[:16]
                events.publish("{b}:t:other", FRAME)
                events.evalsha(
                    digest, 1, "{b}:", "node", "PUBLISH", "", "trunk", event, "", FRAME, "", KEPT, 600_000, ""
                )
            events.execute()
            commands = client.info("commandstats")
            figures.append([commands[name]["usec"] / 1e6 / count for name in ("cmdstat_publish", "cmdstat_evalsha")])
        published, kept = (statistics.median(each) for each in zip(*figures, strict=True))
        return published, kept


def print_table(rounds: int) -> None:
    """Print what a publish costs, and what a kept event takes."""
    print("| publish | publishing host | each other host | Redis | command in Redis |\n|---|---|---|---|---|")
    for count, publishers in HOSTS:
        found = publishing(count, publishers, rounds)
        for name, runs in found.items():
            base = found["without history, with a key" if KINDS[name].headers else "without history"]
            figures = [statistics.median(each) * 1e6 for each in zip(*runs, strict=True)]
            differences = [
                statistics.median(on - off for on, off in zip(ons, offs, strict=True)) * 1e6
                for ons, offs in zip(zip(*runs, strict=True), zip(*base, strict=True), strict=True)
            ]
            cells = [f"{figure:.0f} µs" for figure in figures]
            if KINDS[name].channel == WITH_HISTORY:
                cells = [f"{cell} ({more:+.0f})" for cell, more in zip(cells, differences, strict=True)]
            if count == 1:
                cells[1] = "–"
            where = f"{count} host{'s' * (count > 1)}, {publishers} publisher{'s' * (publishers > 1)}"
            print(f"| {where}, {name} | {' | '.join(cells)} |", flush=True)
    published, kept = script_alone()
    print(f"| Redis alone, 2,000 commands at once | – | – | – | {kept * 1e6:.1f} µs, PUBLISH {published * 1e6:.1f} |")
