"""What metrics and the dashboard cost a server, and a tail of a busy channel, printed as tables.

``python benchmarks/dashboard.py [--rounds 10]``: Linux, two cores; two minutes. The server runs on core 0, clients and
this script on core 1.

- Two servers take turns: one without metrics and dashboard, one with both, whose metrics are read every five seconds
  and whose page is open. A ratio is the median of those of all rounds.
- A hundred clients are on a channel with 500 events a second: 50,000 deliveries. The same with a tail of that channel.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from processes import Publisher, clients, free_port, need_files, on_one_core, soundpost

READ_METRICS_EVERY: Final = 5.0
SUBSCRIBERS: Final = 100
RATE: Final = 500
"""Events a second on the channel with the tail."""
SECONDS: Final = 4.0


class Subject:
    """A server, and clients on it; with ``watched`` somebody reads its metrics, and has its dashboard open."""

    def __init__(self, stack: ExitStack, watched: bool) -> None:
        self.metrics, self.dashboard = free_port(), free_port()
        more = {"metrics": {"port": self.metrics}, "dashboard": {"port": self.dashboard}} if watched else {}
        self.process, port = stack.enter_context(soundpost(**more))
        self.swarm = stack.enter_context(clients(port))
        self.publish = Publisher(port)
        if watched:
            threading.Thread(target=self._read_metrics, daemon=True).start()
            stack.enter_context(stream(self.dashboard, "live"))

    def _read_metrics(self) -> None:
        while True:
            time.sleep(READ_METRICS_EVERY)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as answer:
                    answer.read()
            except OSError:
                return

    def cost_of(self, command: str, count: int) -> float:
        """Return the seconds of CPU time of one of so many things that clients do."""
        before = self.process.cpu()
        self.swarm.do(command)
        return (self.process.cpu() - before) / count

    def costs(self) -> dict[str, float]:
        """Return the seconds of CPU time of each kind of work."""
        costs = {"connect and subscribe": self.cost_of("connect 300 round", 300)}
        before = self.process.cpu()
        for _ in range(50):
            self.publish(channel="round")
        time.sleep(0.1)
        costs["delivery, 300 subscribers"] = (self.process.cpu() - before) / 50 / 300
        self.swarm.do("disconnect 300")
        time.sleep(0.2)
        before = self.process.cpu()
        for _ in range(1_000):
            self.publish()
        costs["publish, one subscriber"] = (self.process.cpu() - before) / 1_000
        costs["client event to one other member"] = self.cost_of("whisper 1000 private-bench", 1_000)
        return costs


@contextmanager
def stream(port: int, path: str) -> Iterator[list[dict[str, Any]]]:
    """Read a stream of the dashboard's in a thread; its messages are in the list."""
    found: list[dict[str, Any]] = []
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(f"GET /api/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def read() -> None:
        with sock.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"data: "):
                    found.append(json.loads(line[6:]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield found
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        reader.join()
        sock.close()


def compare(rounds: int) -> None:
    """Print what each kind of work costs without and with metrics and dashboard."""
    found: list[list[dict[str, float]]] = [[], []]
    with ExitStack() as stack:
        subjects = [Subject(stack, watched) for watched in (False, True)]
        for subject in subjects:
            subject.swarm.do("connect 1 bench")
            subject.swarm.do("connect 2 private-bench")
        for number in range(rounds + 1):  # the first is for warming up
            for index in (0, 1) if number % 2 else (1, 0):
                costs = subjects[index].costs()
                found[index] += [costs] if number else []
    print("| CPU of the server | off | on | ratio |\n|---|---|---|---|")
    for name in found[0][0]:
        off, on = ([costs[name] for costs in each] for each in found)
        ratio = statistics.median(b / a for a, b in zip(off, on, strict=True))
        print(
            f"| {name} | {statistics.median(off) * 1e6:.1f} µs | {statistics.median(on) * 1e6:.1f} µs | {ratio:.2f} |"
        )


def busy(subject: Subject) -> tuple[float, list[float]]:
    """Return the seconds of CPU time of an event on the busy channel, and those until publishes to another channel
    were answered."""
    answers: list[float] = []
    before, began = subject.process.cpu(), time.perf_counter()
    for number in range(round(RATE * SECONDS)):
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        subject.publish(channel="busy")
        if number % 10 == 0:
            sent = time.perf_counter()
            subject.publish(channel="other")
            answers.append(time.perf_counter() - sent)
    return (subject.process.cpu() - before) / (RATE * SECONDS), answers


def tails(rounds: int) -> None:
    """Print what a tail of a busy channel costs, and what it shows."""
    cost: list[list[float]] = [[], []]
    answers: list[list[float]] = [[], []]
    lines = left_out = 0
    with ExitStack() as stack:
        subject = Subject(stack, watched=True)
        subject.swarm.do(f"connect {SUBSCRIBERS} busy")
        subject.swarm.do("connect 1 other")
        busy(subject)
        for _ in range(rounds):
            for tailed in (0, 1):
                with ExitStack() as inner:
                    told = inner.enter_context(stream(subject.dashboard, "tail?app=1&channel=busy")) if tailed else []
                    time.sleep(0.3)
                    each, took = busy(subject)
                    time.sleep(0.5)
                cost[tailed].append(each)
                answers[tailed] += took
                lines += sum(len(message["lines"]) for message in told)
                left_out += sum(message["left_out"] for message in told)
    print("\n| 50,000 deliveries a second | without a tail | with a tail of that channel |\n|---|---|---|")
    row("CPU of the server for each event to 100 clients", "µs", 1e6, [statistics.median(each) for each in cost])
    row("answer to a publish to another channel, median", "ms", 1e3, [statistics.median(each) for each in answers])
    row("the same, p99", "ms", 1e3, [statistics.quantiles(each, n=100)[98] for each in answers])
    events = round(RATE * SECONDS) * rounds
    print(f"\nOf {events:,} events the tail showed {lines:,}, and said of {left_out:,} that it left them out.")


def row(name: str, unit: str, factor: float, figures: list[float]) -> None:
    print(f"| {name} | " + " | ".join(f"{figure * factor:.2f} {unit}" for figure in figures) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    need_files(2_000)
    on_one_core()
    compare(rounds)
    tails(rounds)


if __name__ == "__main__":
    main()
