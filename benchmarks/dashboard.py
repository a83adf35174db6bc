"""Cost of metrics, the dashboard and a tail of a busy channel for a server, printed as tables.

``python benchmarks/dashboard.py [--rounds 10]``: Linux, two cores; three minutes. The server runs on core 0, clients
and this script on core 1.

- Three servers take turns at each kind of work: two without metrics and dashboard, one with both, whose metrics are
  read every five seconds and whose page is open. A ratio is the median of those of all rounds; in brackets is the range
  of the middle half of them. The ratio of the two that are off says what a ratio is worth on this machine.
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from processes import Publisher, clients, free_port, need_files, on_one_core, soundpost

READ_METRICS_EVERY: Final = 5.0
IDLE: Final = 10.0
"""Seconds for which servers are watched that have nothing to do."""
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
        self.publish()  # a connection without any request is closed after 10 s, and other servers are to start yet
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

    def cost_of(self, work: Callable[[], object], count: int) -> float:
        """Return the seconds of CPU time of one of so many things that clients do."""
        before = self.process.cpu()
        work()
        return (self.process.cpu() - before) / count

    def connect(self) -> float:
        """Return the cost of a client that connects and subscribes."""
        return self.cost_of(lambda: self.swarm.do("connect 300 round"), 300)

    def deliver(self) -> float:
        """Return the cost of an event for each of 300 subscribers."""

        def publish() -> None:
            for _ in range(50):
                self.publish(channel="round")
            time.sleep(0.1)

        return self.cost_of(publish, 50 * 300)

    def disconnect(self) -> float:
        """Return the cost of a client that leaves."""

        def leave() -> None:
            self.swarm.do("disconnect 300")
            time.sleep(0.2)

        return self.cost_of(leave, 300)

    def publish_to_one(self) -> float:
        """Return the cost of a publish to one subscriber."""

        def publish() -> None:
            for _ in range(1_000):
                self.publish()

        return self.cost_of(publish, 1_000)

    def whisper(self) -> float:
        """Return the cost of a client event."""
        return self.cost_of(lambda: self.swarm.do("whisper 500 private-bench"), 500)


WORK: Final = {
    "connect and subscribe": Subject.connect,
    "delivery, 300 subscribers": Subject.deliver,
    "leave": Subject.disconnect,
    "publish, one subscriber": Subject.publish_to_one,
    "client event to one other member": Subject.whisper,
}
"""Kinds of work, in the order in which they are done."""


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
    """Print what each kind of work costs without and with metrics and dashboard, and what these cost by themselves."""
    found: list[dict[str, list[float]]] = [{name: [] for name in WORK} for _ in range(3)]
    with ExitStack() as stack:
        subjects = [Subject(stack, watched) for watched in (False, False, True)]
        for subject in subjects:
            subject.swarm.do("connect 2 private-bench")  # the first client is the one that sends client events
            subject.swarm.do("connect 1 bench")
        for number in range(rounds + 1):  # the first is for warming up
            for name, work in WORK.items():
                for index in (0, 1, 2) if number % 2 else (2, 1, 0):
                    cost = work(subjects[index])
                    found[index][name] += [cost] if number else []
        before = [subject.process.cpu() for subject in subjects]
        time.sleep(IDLE)
        off, _, on = (subject.process.cpu() - used for subject, used in zip(subjects, before, strict=True))
    print("| CPU of the server | off | on | ratio | ratio of two that are off |\n|---|---|---|---|---|")
    for name in WORK:
        bare, control, watched = (each[name] for each in found)
        figures = f"{statistics.median(bare) * 1e6:.1f} µs | {statistics.median(watched) * 1e6:.1f} µs"
        print(f"| {name} | {figures} | {ratio(bare, watched)} | {ratio(bare, control)} |")
    print(f"\nA second without any work takes {off / IDLE * 1e3:.1f} ms off, {on / IDLE * 1e3:.1f} ms on.")


def ratio(off: list[float], on: list[float]) -> str:
    """Return the median of the ratios of all rounds, with the middle half of them."""
    first, middle, third = statistics.quantiles((b / a for a, b in zip(off, on, strict=True)), n=4)
    return f"{middle:.2f} ({first:.2f} to {third:.2f})"


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
