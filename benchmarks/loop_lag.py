"""Longest turns of event loops at full size: ``python benchmarks/loop_lag.py [--groups NAME …]``.

Servers whose loops are watched do what takes long where there is very much of it, and the longest turn of each
operation is printed, in milliseconds of CPU time: at most 20 are wanted. So long all other clients wait. With
``--workers 2`` parent and workers are measured, with ``--redis`` a server with a Redis of its own.

With ``--beside PATH``, another checkout is measured in turn. ``--doing`` prints what ran in turns of more than 9 ms.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from lagging.operations import GROUPS, Sizes
from lagging.outages import outages
from lagging.watched_server import Longest
from processes import NotMeasuredError, at_most, need_files

from support.redis_process import RedisServer

OWN = Path(__file__).parents[1]
ALL_GROUPS = {**GROUPS, "outages": outages}
LIMIT = 600.0
"""Seconds for one group on one server."""


@contextmanager
def redis(wanted: bool) -> Iterator[dict[str, Any]]:
    """Yield the settings for a Redis of its own; none if none is wanted."""
    if not wanted:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield {"redis": server.url, "redis_server": server}
        finally:
            server.stop()


def measure(group: str, source: Path, options: argparse.Namespace) -> dict[str, Longest]:
    """Return the longest turn of each operation of a group."""
    found: dict[str, Longest] = {}
    with redis(options.redis) as found_redis:
        settings = {"workers": options.workers, **found_redis}
        try:
            with at_most(LIMIT):
                for name, longest in ALL_GROUPS[group](source, settings, Sizes()):
                    found[name] = longest
        except (NotMeasuredError, OSError) as error:
            print(f"{group} of {source}: {error}", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", nargs="*", choices=[*ALL_GROUPS], default=[*ALL_GROUPS])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--doing", action="store_true")
    options = parser.parse_args()
    need_files(15_000)
    if options.doing:
        os.environ["LOOP_LAG_DOING"] = "1"
    sources = [OWN] if options.beside is None else [options.beside, OWN]
    titles = ["ms"] if options.beside is None else ["before, ms", "after, ms"]
    print("| operation | " + " | ".join(titles) + " |\n|---|" + "--:|" * len(titles))
    for group in options.groups:
        rows = [measure(group, source, options) for source in sources]
        for name in rows[-1]:
            turns = [row.get(name) for row in rows]
            cells = ["–" if each is None else f"{each.seconds * 1_000:.1f}" for each in turns]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
            if options.doing and turns[-1] is not None and turns[-1].doing:
                print(f"    {turns[-1].process}: {turns[-1].doing}", flush=True)


if __name__ == "__main__":
    main()
