"""How long the loops of servers were busy in one turn, and how long Redis was with one command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from redis.client import NEVER_DECODE

WATCHED: Final = Path(__file__).parent / "watched"
SLOWLOG: Final = ("--slowlog-log-slower-than", "1000", "--slowlog-max-len", "100000")
"""Options with which Redis notes commands of a millisecond and more."""
NOT_OF_HOSTS: Final = (b"FLUSHALL", b"SCRIPT", b"SLOWLOG", b"SCAN", b"XRANGE")


def watching(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """An environment in which servers write the long turns of their loops into files of this folder."""
    path = environ.get("PYTHONPATH", "")
    return {
        **environ,
        "PYTHONPATH": f"{WATCHED}:{path}" if path else str(WATCHED),
        "WATCHED_LOOPS": str(folder),
    }


def longest_turn(folder: Path, since: float) -> float:
    """Seconds of CPU time of the longest turn after a time of ``time.monotonic``; 0 if none was long."""
    longest = 0.0
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            at, took = map(float, line.split())
            if at > since:
                longest = max(longest, took)
    return longest


def slowest_command(server: Any) -> tuple[float, str]:
    """Seconds of the slowest command of hosts that Redis noted, by the clock, and how it began."""
    found: list[dict[str, Any]] = server.execute_command("SLOWLOG GET", 100_000, **{NEVER_DECODE: True})
    found = [each for each in found if each["command"].split(b" ")[0].upper() not in NOT_OF_HOSTS]
    slowest = max(found, key=lambda each: each["duration"], default=None)
    return (0.0, "") if slowest is None else (slowest["duration"] / 1e6, slowest["command"][:60].decode("latin-1"))
