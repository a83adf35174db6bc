"""Processes of very many clients (``clients.c``), which together answer as one."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from processes import HERE, NotMeasuredError

OF_ONE = 18_000
"""Most clients of one process: it may have some more files open where the limit is 20,000."""
IN_FLIGHT = 64
"""Clients of one process that are not subscribed yet while all connect."""
FIRST_BLOCK = 2
_STEP = 1.02


class Times(NamedTuple):
    """Seconds that something took, each time; quantiles are right to 2 %."""

    number: int
    least: float
    p50: float
    p99: float
    most: float


class Report(NamedTuple):
    """What has happened to the clients since their last report."""

    here: int
    """Subscribed now."""
    events: int
    gaps: int
    """Events that did not come between two that did."""
    missed_first: int
    """Events before the first of a client, published after it was subscribed."""
    not_there: int
    """Awaited events that were not there in time."""
    twice: int
    sent_away: int
    """Closed with 4200: come back at once."""
    refused: int
    """Attempts to connect that failed."""
    ended: int
    """Subscribed clients that were cut off in another way."""
    latency: Times
    """From before an event is published until a client has it."""
    back: Times
    """From the close frame until subscribed again."""

    @property
    def lost(self) -> int:
        return self.gaps + self.missed_first + self.not_there


def merged(reports: Sequence[dict[str, Any]]) -> Report:
    """One report of those of all processes."""
    counted = {name: sum(each[name] for each in reports) for name in Report._fields[:-2]}
    return Report(**counted, latency=_times(reports, "latency"), back=_times(reports, "back"))


def _times(reports: Sequence[dict[str, Any]], name: str) -> Times:
    found = [each[name] for each in reports if each[name]["number"]]
    if not found:
        return Times(0, 0.0, 0.0, 0.0, 0.0)
    steps: Counter[int] = Counter()
    for each in found:
        steps.update({int(step): count for step, count in each["steps"].items()})
    number = steps.total()
    return Times(
        number,
        min(each["least"] for each in found),
        _quantile(steps, 0.5),
        _quantile(steps, 0.99),
        max(each["most"] for each in found),
    )


def _quantile(steps: Counter[int], share: float) -> float:
    left = math.ceil(steps.total() * share)
    for step in sorted(steps):
        left -= steps[step]
        if left <= 0:
            return _STEP ** (step + 1) / 1e6
    raise AssertionError("there are no times")


def divided(count: int, parts: int) -> list[int]:
    """So many clients for each process, as equal as can be."""
    return [count // parts + (number < count % parts) for number in range(parts)]


class Clients:
    """Clients in several processes; commands go to all of them at once."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def connect(self, count: int, channel: str) -> float:
        """Connect and subscribe so many more; return the seconds it took."""
        shares = divided(count, len(self._processes))
        answers = self._ask([f"connect {share} {channel} {IN_FLIGHT}" for share in shares])
        return max(float(each["seconds"]) for each in answers)

    def wait_for(self, number: int, seconds: float) -> int:
        """Wait until all have the event of this number; return how many do not have it when the time is up."""
        answers = self._ask([f"await {number} {seconds * 1000:.0f}"] * len(self._processes))
        return sum(each["without"] for each in answers)

    def wait_for_all(self, seconds: float) -> None:
        """Wait until all are subscribed, or the time is up."""
        self.wait_for(0, seconds)

    def leave(self, count: int) -> None:
        """Close so many, the ones that have been there for longest."""
        self._ask([f"leave {share}" for share in divided(count, len(self._processes))])

    def report(self) -> Report:
        """Return what has happened since the last report."""
        return merged(self._ask(["report"] * len(self._processes)))

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def _ask(self, commands: Sequence[str]) -> list[dict[str, Any]]:
        for process, command in zip(self._processes, commands, strict=True):
            assert process.stdin is not None
            process.stdin.write(command + "\n")
            process.stdin.flush()
        return [_answer(process) for process in self._processes]


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise NotMeasuredError("a process of the clients has ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


def built(folder: Path) -> Path:
    """Compile the program. Raises NotMeasuredError without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotMeasuredError("there is no C compiler")
    program = folder / "clients"
    subprocess.run([compiler, "-O2", "-o", program, HERE / "crowding/clients.c", "-lm"], check=True)
    return program


@contextmanager
def running_clients(port: int, key: str, processes: int) -> Iterator[Clients]:
    """So many processes, each with 200 source addresses of its own: one address has some 28,000 ports."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        program = built(Path(folder))
        started = []
        for number in range(processes):
            command = [str(program), str(port), key, str(FIRST_BLOCK + number)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(_end, process)
            started.append(process)
        yield Clients(started)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
