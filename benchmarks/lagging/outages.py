"""Redis that goes and comes back, for a server with very many members, users, channels and events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from processes import Clients, clients

from lagging.operations import Row, Sizes, keep, measure
from lagging.watched_server import watched_server

BACK: Final = 8.0
"""Seconds in which a host that is back states what it has."""


def _restart(redis: Any, seconds: float) -> None:
    redis.stop()
    redis.start()
    time.sleep(seconds)


def _meanwhile(swarm: Clients, command: str, then: Callable[[], None], after: float) -> None:
    """Have clients do something, and something else some seconds after they have begun."""
    doing = threading.Thread(target=swarm.do, args=(command,))
    doing.start()
    time.sleep(after)
    then()
    doing.join(60)


def outages(source: Path, options: dict[str, Any], sizes: Sizes) -> Iterator[Row]:
    """Redis is restarted."""
    redis = options.get("redis_server")
    if redis is None:
        return
    members, count = f"{sizes.members:,} members", f"{sizes.channels:,} channels with histories"
    with watched_server(source, options) as server, clients(server.port) as swarm:
        joining = f"connect {sizes.members} presence-room"
        yield measure(
            server,
            f"Redis is restarted while {members} join",
            partial(_meanwhile, swarm, joining, partial(_restart, redis, BACK), 3.0),
        )
        yield measure(server, f"{members} sign in, each watches 10", lambda: swarm.do(f"sign_in {sizes.members} 10"))
        yield measure(server, f"Redis is restarted, {members} who are signed in", partial(_restart, redis, BACK))
    with watched_server(source, options) as server, clients(server.port) as swarm:
        swarm.do("connect 1000 bench-{i}")
        swarm.do(f"subscribe {sizes.channels} kept-{{i}}")
        keep(server, sizes.channels)
        yield measure(server, f"Redis is restarted, {count}", partial(_restart, redis, 2 * BACK))
        redis.stop()
        time.sleep(1)
        yield measure(server, f"{sizes.channels:,} events wait for Redis", lambda: keep(server, sizes.channels))
        redis.start()
        yield measure(server, f"{sizes.channels:,} events that waited go out", lambda: time.sleep(2 * BACK))
