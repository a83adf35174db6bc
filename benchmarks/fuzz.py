"""Send a server anything, and see that it takes it: ``python benchmarks/fuzz.py [--seconds 300] [--targets NAME ...]``.

Frames of RFC 6455 (fragments, compression, control frames), Pusher messages, requests of the HTTP API, and, with a
redis-server, what comes over its topics: valid, signed, broken, mutated. Each target has a server of its own on
loopback and sends from a process of its own. A bystander is connected throughout: it pings, publishes and hears its
events. A round of inputs follows from its seed; it is a fault if the bystander is cut off or not answered, if the
server ends, answers 500 or logs a traceback. Prints what was answered, and the seeds of faults, which
``--seed N --rounds 1 --targets NAME`` repeats. Exits 1 if there was a fault.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fuzzing.bystander import Bystander
from fuzzing.targets import TARGETS

from soundpost.config.settings import ScalingSettings
from support.ending import end
from support.harness import RunningServer, running_server
from support.redis_process import running_redis

_TROUBLE: Final = ("Traceback (most recent call last)", "could not be handled", "Exception in callback")
_SHOWN: Final = 3_000


class Result(NamedTuple):
    """What a target found."""

    target: str
    seconds: float
    rounds: int
    counts: Counter[str]
    worst: float
    faults: list[str]

    def __str__(self) -> str:
        counts = dict(self.counts)
        inputs = counts.pop("inputs", 0)
        answers = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
        sent = f"{self.target}: {inputs:,} inputs in {self.rounds:,} rounds and {self.seconds:.0f} s"
        waited = f"the bystander waited {self.worst * 1000:.0f} ms at most"
        return "\n".join([f"{sent}; {answers}; {waited}", *(f"  FAULT {fault}" for fault in self.faults)])


class Sender:
    """The process that sends: given a seed, it answers with counts."""

    def __init__(self, target: str, port: int, redis_url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--send", target, str(port), redis_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, seed: int) -> Counter[str]:
        """One round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            last = self._process.stderr.read().strip().splitlines()
            return Counter({f"the sender ended: {last[-1] if last else 'nothing said'}!": 1})
        return Counter(json.loads(line))

    def stop(self) -> None:
        end(self._process)


def sender(target: str, port: int, redis_url: str) -> None:
    """Be the process that sends."""
    for line in sys.stdin:
        print(json.dumps(TARGETS[target](random.Random(int(line)), port, redis_url)), flush=True)


@contextmanager
def attended(target: str, workers: int) -> Iterator[tuple[RunningServer, Sender, Bystander]]:
    """A server, with who sends to it and who stands by."""
    with ExitStack() as stack:
        redis_url = stack.enter_context(running_redis()).url if target == "redis" else ""
        scaling = ScalingSettings(redis=redis_url) if redis_url else ScalingSettings()
        server = stack.enter_context(running_server(scaling=scaling, workers=workers))
        process = Sender(target, server.port, redis_url)
        stack.callback(process.stop)
        yield server, process, stack.enter_context(Bystander(server))


def fuzzed(target: str, seconds: float, rounds: int | None, seed: int, workers: int) -> Result:
    """Send rounds until the time is over; a fault ends it."""
    began, done = time.monotonic(), 0
    counts: Counter[str] = Counter()
    faults: list[str] = []
    with attended(target, workers) as (server, process, bystander):
        while not faults and time.monotonic() - began < seconds and (rounds is None or done < rounds):
            found = process.send(seed + done)
            counts += found
            faults = [f"seed {seed + done}: {what}" for what in _faults(server, bystander, found)]
            done += 1
        if not faults and rounds is None and not bystander.rounds:
            faults.append("the bystander has not come to be asked")
        return Result(target, time.monotonic() - began, done, counts, bystander.worst, faults)


def _faults(server: RunningServer, bystander: Bystander, found: Counter[str]) -> list[str]:
    faults = [f"{name} {count} times" for name, count in found.items() if name.endswith("!")]
    if bystander.fault:
        faults.append(f"the bystander: {bystander.fault}")
    if server.process.poll() is not None:
        faults.append(f"the server ended with {server.process.returncode}")
    log = server.log()
    if any(sign in log for sign in _TROUBLE):
        faults.append(f"the log says:\n{log[-_SHOWN:]}")
    return faults


def main() -> None:
    if sys.argv[1:2] == ["--send"]:
        sender(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="for all targets together (300)")
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), metavar="NAME", help="of: %(choices)s")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones follow")
    parser.add_argument("--rounds", type=int, help="of each target, at most")
    parser.add_argument("--workers", type=int, default=1, help="of the server (1)")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    targets = options.targets or list(TARGETS)
    found_faults = False
    for target in targets:
        result = fuzzed(target, options.seconds / len(targets), options.rounds, seed, options.workers)
        print(result, flush=True)
        found_faults = found_faults or bool(result.faults)
    sys.exit(found_faults)


if __name__ == "__main__":
    main()
