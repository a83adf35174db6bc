"""The operations whose longest turn is measured, each on a server with very many channels, members or clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from processes import HERE, Clients, NotMeasuredError, clients, free_port

from lagging.watched_server import Longest, WatchedServer, watched_server
from soundpost.server.processes.control_client import ask_server
from soundpost.server.processes.control_paths import control_name

Row = tuple[str, Longest]
"""Operation with its size, and its longest turn."""


class Sizes(NamedTuple):
    """How many there are of everything."""

    channels: int = 100_000
    members: int = 10_000
    subscribers: int = 10_000
    batch: int = 20
    histories: int = 130_000


def measure(server: WatchedServer, name: str, operation: Callable[[], Any]) -> Row:
    server.longest()
    operation()
    return name, server.longest()


def _control(server: WatchedServer, command: Any, settle: float = 0) -> None:
    reply = ask_server(command, control_name(server.port, None, "127.0.0.1"))
    if reply is None or not reply.ok:
        raise NotMeasuredError(f"{command} was answered {reply}")
    time.sleep(settle)


def _kill_worker(server: WatchedServer) -> None:
    os.kill(server.workers()[0], signal.SIGKILL)
    time.sleep(1.5)


def _cut_off(swarm: Clients, server: WatchedServer, count: int, left: int = 0) -> None:
    """Cut clients off, and wait until the server counts so few connections."""
    swarm.do(f"disconnect {count}")
    deadline = time.monotonic() + 60
    while json.loads(server.ask("GET", "connections"))["connections"] > left and time.monotonic() < deadline:
        time.sleep(0.1)


def _terminate(server: WatchedServer) -> None:
    server.ask("POST", "users/1/terminate_connections", {})
    time.sleep(3)


def _ask_meanwhile(server: WatchedServer, doing: Callable[[], Any]) -> None:
    """Ask for all channels, again and again, until something is done."""
    done = threading.Thread(target=doing)
    done.start()
    while done.is_alive():
        server.ask("GET", "channels", filter_by_prefix="channel-1")
        time.sleep(1)


def channels(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """100,000 channels of 1,000 clients."""
    count = f"{sizes.channels:,} channels"
    with watched_server(source, options) as server, clients(server.port) as swarm:
        swarm.do("connect 1000 bench-{i}")
        subscribing = f"subscribe {sizes.channels} channel-{{i}}"
        yield measure(
            server,
            f"{count} are subscribed to, GET /channels meanwhile",
            partial(_ask_meanwhile, server, partial(swarm.do, subscribing)),
        )
        queries: dict[str, dict[str, str]] = {
            "GET /channels": {},
            "GET /channels with prefix": {"filter_by_prefix": "channel-1"},
            "GET /channels with info": {"info": "subscription_count"},
        }
        for name, query in queries.items():
            yield measure(server, f"{name}, {count}", partial(server.ask, "GET", "channels", **query))
        yield measure(server, f"GET /connections, {count}", lambda: server.ask("GET", "connections"))
        yield measure(server, f"soundpost status, {count}", lambda: _control(server, "status"))
        yield measure(server, f"soundpost top, {count}", lambda: _control(server, "figures"))
        yield measure(server, f"reload, {count}", lambda: _control(server, "reload", settle=1))
        yield measure(server, f"10 s with {count}", lambda: time.sleep(10))
        if options.get("workers", 1) > 1:
            yield measure(server, f"death of a worker, {count}", lambda: _kill_worker(server))
        yield measure(
            server,
            f"1,000 clients with {count} gone at once",
            lambda: _cut_off(swarm, server, 1_000),
        )


def members(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """A presence channel of 10,000 members."""
    count = f"{sizes.members:,} members"
    with watched_server(source, options) as server, clients(server.port) as swarm, clients(server.port) as other:
        yield measure(server, f"{count} join", lambda: swarm.do(f"connect {sizes.members} presence-room"))
        yield measure(
            server, f"subscribe to a channel of {count}, 20 at once", lambda: other.do("connect 20 presence-room 1")
        )
        yield measure(
            server, f"GET /channels/X/users, {count}", lambda: server.ask("GET", "channels/presence-room/users")
        )
        yield measure(
            server,
            f"event to a channel of {count}",
            lambda: server.ask("POST", "events", {"name": "a", "channel": "presence-room", "data": "1"}),
        )
        if options.get("redis"):
            with watched_server(source, options) as second, clients(second.port) as far:
                name = f"subscribe at another host to a channel of {count}"
                yield measure(second, name, lambda: far.do("connect 20 presence-room 1"))
        if options.get("workers", 1) > 1:
            yield measure(server, f"death of a worker, {count}", lambda: _kill_worker(server))
        yield measure(
            server,
            f"{count} gone at once",
            lambda: _cut_off(swarm, server, swarm.do("received 0")["clients"], left=20),
        )


def rooms(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """10,000 presence channels of one member each, and a user with very many connections; webhooks nobody takes."""
    count = f"{sizes.members:,} presence channels"
    options = options | {"webhooks": f"http://127.0.0.1:{free_port()}/"}
    with watched_server(source, options) as server, clients(server.port) as swarm:
        swarm.do(f"connect {sizes.members} presence-room-{{i}} 2")
        yield measure(
            server,
            f"GET /channels with user_count, {count}",
            lambda: server.ask("GET", "channels", filter_by_prefix="presence-", info="user_count"),
        )
        yield measure(
            server,
            f"terminate_connections, {sizes.members // 2:,} connections",
            lambda: _terminate(server),
        )
        if options.get("workers", 1) > 1:
            yield measure(server, f"death of a worker, {count}", lambda: _kill_worker(server))


def fan_out(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """Channels that all of 10,000 clients have."""
    count, batch = f"{sizes.subscribers:,} subscribers", sizes.batch
    with watched_server(source, options) as server, clients(server.port) as swarm:
        yield measure(server, f"{count} connect", lambda: swarm.do(f"connect {sizes.subscribers} bench"))
        swarm.do(f"subscribe {sizes.subscribers * batch} all-{{i}} {sizes.subscribers}")
        event = {"name": "OrderPlaced", "channel": "bench", "data": "x" * 200}
        yield measure(server, f"event to {count}", lambda: server.ask("POST", "events", event))
        everywhere = {"name": "a", "channels": [f"all-{number}" for number in range(batch)], "data": "x" * 200}
        yield measure(server, f"event to {batch} channels of {count}", lambda: server.ask("POST", "events", everywhere))
        yield measure(server, f"stop, {count}", lambda: _stop(server))


def _stop(server: WatchedServer) -> None:
    """Have the server send all clients away, as in a restart; it waits for them, so that it can still be asked."""
    server.signal(signal.SIGTERM)
    time.sleep(1.0)


def gone(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """10,000 clients that are cut off."""
    with watched_server(source, options) as server, clients(server.port) as swarm:
        swarm.do(f"connect {sizes.subscribers} bench")
        yield measure(
            server,
            f"{sizes.subscribers:,} clients gone at once",
            lambda: _cut_off(swarm, server, sizes.subscribers),
        )


def keep(server: WatchedServer, channels: int) -> None:
    """Publish an event to each of so many channels that keep history."""
    for start in range(0, channels, 1_000):
        names = [f"kept-{number}" for number in range(start, start + 1_000)]
        server.ask("POST", "events", {"name": "a", "channels": names, "data": "1"})


def histories(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """Very many channels with kept events, and very many clients that resume."""
    with watched_server(source, options) as server:
        keep(server, sizes.histories)
        yield measure(
            server,
            f"DELETE history of kept-1*, {sizes.histories:,} histories",
            lambda: server.ask("DELETE", "channels/kept-1*/history"),
        )
        yield measure(server, f"10 s with {sizes.histories:,} histories", lambda: time.sleep(10))
    with watched_server(source, options) as server:
        herd = subprocess.Popen(
            [sys.executable, str(HERE / "resuming" / "herd.py"), str(server.port), str(sizes.subscribers), "10", "10"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            _line(herd)
            for number in range(10):
                for channel in range(10):
                    event = {"name": "a", "channel": f"herd-{channel}", "data": str(number)}
                    server.ask("POST", "events", event)
            _line(herd, "\n")
            yield measure(server, f"{sizes.subscribers:,} clients resume", lambda: _line(herd, "\n"))
        finally:
            herd.kill()
            herd.wait()


def followed(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """100,000 channels of 1,000 clients that keep histories."""
    count = f"{sizes.channels:,} channels with histories"
    with watched_server(source, options) as server, clients(server.port) as swarm:
        swarm.do("connect 1000 bench-{i}")
        swarm.do(f"subscribe {sizes.channels} kept-{{i}}")
        keep(server, sizes.channels)
        yield measure(server, f"10 s with {count}", lambda: time.sleep(10))
        yield measure(server, f"reload, {count}", lambda: _control(server, "reload", settle=5))
        yield measure(
            server,
            f"1,000 clients with {count} gone at once",
            lambda: _cut_off(swarm, server, 1_000),
        )


def _line(process: subprocess.Popen[str], first: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(first)
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise NotMeasuredError("the clients that resume have ended")
    return line


GROUPS = {
    "channels": channels,
    "members": members,
    "rooms": rooms,
    "fan_out": fan_out,
    "gone": gone,
    "histories": histories,
    "followed": followed,
}
