"""Cost of the server under each Python: ``python benchmarks/pythons.py --python PATH --python PATH [--rounds 3]``.

Each interpreter gets a virtual environment with this checkout and what it needs, which pip installs; with ``--folder``
the environments stay, and are used again. The first interpreter is the one that others are compared with. Rows and
method as in ``budgets.py``; the interpreters take turns in each round, and clients and publisher run under the one that
runs this script. Some ten seconds for each interpreter and round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from machine import on_what
from pages import write_section
from processes import FRAME, HERE, NotMeasuredError, Process, Publisher, at_most, clients, free_port, on_one_core

SUBSCRIBERS = 1_000
SECONDS = 120.0
"""For one round of one interpreter."""
_ASK = """
import importlib.util, json, platform, sysconfig
options = sysconfig.get_config_var("CONFIG_ARGS") or ""
print(json.dumps({
    "version": platform.python_version(),
    "compiler": platform.python_compiler(),
    "is_optimized": "--enable-optimizations" in options,
    "has_lto": "--with-lto" in options,
    "has_fan_out": importlib.util.find_spec("soundpost.server.connections._fanout") is not None,
}))
"""


class Interpreter(NamedTuple):
    """A Python with Soundpost in it."""

    program: Path
    version: str
    build: str


class Costs(NamedTuple):
    """Of one interpreter in one round: seconds of CPU, bytes of memory."""

    connect: float
    delivery: float
    publish: float
    client_event: float
    idle: float
    memory: float


ROWS = {
    "connect": "connect and subscribe: CPU",
    "delivery": f"fan-out to {SUBSCRIBERS:,}: CPU per delivery",
    "publish": "publish, keep-alive, one subscriber: CPU",
    "client_event": "client event to one other member: CPU",
    "idle": "RSS without clients",
    "memory": "RSS per subscribed connection",
}


def installed(python: str, folder: Path) -> Interpreter:
    """Make an environment, unless it is there. Raises NotMeasuredError if Soundpost cannot be installed."""
    program = folder / "bin" / "python"
    if not program.exists():
        print(f"{python}: installing", file=sys.stderr)
        _run([python, "-m", "venv", "--without-pip", str(folder)])
    _run([sys.executable, "-m", "pip", "--quiet", "--python", str(program), "install", str(HERE.parent)])
    found = json.loads(_run([str(program), "-c", _ASK]))
    parts = [
        found["compiler"],
        f"configured {'with' if found['is_optimized'] else 'without'} --enable-optimizations (PGO)",
        *(["LTO"] if found["has_lto"] else []),
        *([] if found["has_fan_out"] else ["fan-out in Python"]),
    ]
    return Interpreter(program, found["version"], ", ".join(parts))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NotMeasuredError(f"{' '.join(command[:4])} … failed: {last}")
    return done.stdout


def costs(program: Path) -> Costs:
    port = free_port()
    process = Process(str(program), str(HERE / "serve.py"), str(port))
    try:
        idle = process.rss()
        with clients(port) as swarm:
            swarm.do("connect 2 private-bench")
            swarm.do("whisper 200 private-bench")
            before = process.cpu()
            swarm.do("whisper 1000 private-bench")
            client_event = (process.cpu() - before) / 1_000
        with clients(port) as swarm:
            swarm.do("connect 1 bench")
            publish = _publish(process, Publisher(port), 500, 2_000)
        with clients(port) as swarm:
            swarm.do("connect 100 bench")
            before, resident = process.cpu(), process.rss()
            swarm.do(f"connect {SUBSCRIBERS - 100} bench")
            connect = (process.cpu() - before) / (SUBSCRIBERS - 100)
            memory = (process.rss() - resident) / (SUBSCRIBERS - 100)
            publisher = Publisher(port)
            for number in range(60):
                if number == 10:
                    before = process.cpu()
                publisher()
                swarm.receive(len(FRAME) * SUBSCRIBERS)
            delivery = (process.cpu() - before) / (50 * SUBSCRIBERS)
        return Costs(connect, delivery, publish, client_event, idle, memory)
    finally:
        process.stop()


def _publish(process: Process, publisher: Publisher, warm: int, events: int) -> float:
    for _ in range(warm):
        publisher()
    before = process.cpu()
    for _ in range(events):
        publisher()
    return (process.cpu() - before) / events


def shown(field: str, runs: Sequence[Costs], base: Sequence[Costs]) -> str:
    """A cell: the median, and the median of the rounds' ratios to the first interpreter."""
    middle = statistics.median(getattr(run, field) for run in runs)
    ratio = statistics.median(
        getattr(run, field) / getattr(first, field) for run, first in zip(runs, base, strict=True)
    )
    if field == "idle":
        text = f"{middle / 1e6:.1f} MB"
    elif field == "memory":
        text = f"{middle:,.0f} B"
    else:
        text = f"{middle * 1e6:,.2f} µs" if middle < 20e-6 else f"{middle * 1e6:,.0f} µs"
    return text if runs is base else f"{text}, **{ratio:.2f}**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", action="append", required=True, metavar="PATH", help="an interpreter; again for each"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the environments stay (default: nowhere)")
    parser.add_argument("--page", type=Path, help="page to write the tables into, such as docs/performance.md")
    options = parser.parse_args()
    on_one_core()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        try:
            found = [installed(python, folder / str(number)) for number, python in enumerate(options.python)]
            runs: list[list[Costs]] = [[] for _ in found]
            for _ in range(options.rounds):
                for interpreter, kept in zip(found, runs, strict=True):
                    with at_most(SECONDS):
                        kept.append(costs(interpreter.program))
        except NotMeasuredError as error:
            sys.exit(f"not measured: {error}")
    lines = [f"- {interpreter.version}: {interpreter.build}" for interpreter in found]
    lines += [
        "",
        f"| what | {' | '.join(interpreter.version for interpreter in found)} |",
        f"|---|{'---|' * len(found)}",
    ]
    for field, what in ROWS.items():
        lines.append(f"| {what} | {' | '.join(shown(field, each, runs[0]) for each in runs)} |")
    print("\n".join(lines))
    if options.page is not None:
        what = f"Medians of {options.rounds} rounds; in bold the ratio to the first.\n{on_what()}"
        write_section(options.page, "pythons", "\n".join((what, "", *lines)))


if __name__ == "__main__":
    main()
