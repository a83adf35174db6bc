"""Measure what histories cost, and a herd of clients that all come back at once, and print it as tables.

``python benchmarks/history.py [--rounds 5] [--turns 20] [--clients 10000] [--workers 2] [--redis]``: Linux, two
cores; some minutes; without a herd for ``--clients 0``. The server runs on core 0 (workers on both), clients and this
script on core 1. CPU time is that of the server's process over the work done. ``--redis`` measures what histories cost
over Redis instead.

- Publishes are measured at two servers, with and without history, that take ``--turns`` turns of 300 requests. A
  difference is the median of those of all turns.
- A pause is the longest CPU time between two calls of a timer in the server's event loop, so other programs on the
  machine do not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from processes import (
    FRAME,
    HERE,
    PAYLOAD,
    NotMeasuredError,
    Process,
    Publisher,
    clients,
    free_port,
    need_files,
    on_one_core,
)
from resuming import over_redis, redis_pauses
from resuming.batches import Batches, signed

BEHIND = 50
"""Events that each client of a herd has missed."""
CHANNELS = 1_000
"""Channels of a herd that is on many."""


@contextmanager
def server(events: int, workers: int = 1) -> Iterator[tuple[Process, int]]:
    """Run a server that keeps so many events of each channel; none for 0."""
    port = free_port()
    options = json.dumps({"events": events, "workers": workers, "cores": 2 if workers > 1 else 1})
    command = [sys.executable, str(HERE / "resuming" / "serve_history.py"), str(port), options]
    process = Process(*command, cores="0" if workers == 1 else "0,1")
    try:
        yield process, port
    finally:
        process.stop()


class Publishing(NamedTuple):
    """A way to publish, whose cost with a history is measured against that without."""

    what: str
    channels: int = 1
    """Channels of one request."""
    batch: bool = False
    """True for a batch with an event for each channel, False for one event."""
    socket_id: str | None = None
    key: bool = False
    """True for requests that can be repeated: with an ``Idempotency-Key``."""
    subscribers: int = 1
    """Subscribers of the first channel."""
    events: int = 100
    """Kept events of each channel. There are as many from the beginning, so that each new one drops another."""

    def request(self, number: int) -> bytes:
        """Return a signed request."""
        channels = ["bench", *(f"bench-{index}" for index in range(1, self.channels))]
        event = {"name": "OrderPlaced", "data": PAYLOAD} | ({"socket_id": self.socket_id} if self.socket_id else {})
        body: dict[str, object] = event | {"channels": channels}
        if self.batch:
            body = {"batch": [event | {"channel": channel} for channel in channels]}
        headers = f"Idempotency-Key: key-{number}\r\n" if self.key else ""
        return signed("batch_events" if self.batch else "events", body, headers)


PUBLISHING = (
    Publishing("one channel"),
    Publishing("one channel, a connection does not get it", socket_id="123456789.987654321"),
    Publishing("one channel, with an idempotency key", key=True),
    Publishing("10 channels in a request", channels=10),
    Publishing("10 events in a batch", channels=10, batch=True),
    Publishing("one channel with 1,000 subscribers", subscribers=1_000),
    Publishing("one channel that keeps 10,000 events", events=10_000),
)


def publishing(way: Publishing, rounds: int, requests: int = 300) -> tuple[list[float], list[float]]:
    """Seconds of CPU per event without and with history, of two servers that take turns, in so many rounds."""
    need_files(2 * way.subscribers)
    with ExitStack() as running:
        subjects = []
        for events in (0, way.events):
            process, port = running.enter_context(server(events))
            swarm = running.enter_context(clients(port))
            swarm.do(f"connect {way.subscribers} bench")
            for channel in ["bench", *(f"bench-{index}" for index in range(1, way.channels))]:
                for _ in range(0, max(events, 500), 100):
                    Batches(port).publish(channel, 100)
            subjects.append((process, Publisher(port)))
        results: list[list[float]] = [[], []]
        for round_number in range(rounds + 1):  # the first is for warming up
            for (process, publisher), result in zip(subjects, results, strict=True):
                made = [way.request(round_number * requests + number) for number in range(requests)]
                before = process.cpu()
                for request in made:
                    publisher.send(request)
                result.append((process.cpu() - before) / (requests * way.channels))
        return results[0][1:], results[1][1:]


def memory(channels: int, each: int, socket_ids: bool = False) -> float:
    """Bytes of memory per kept event beside its frame; ``socket_ids``: each with another connection that does not get
    it."""
    with server(each) as (process, port):
        batches = Batches(port)
        batches.publish("warm-up", 50, socket_ids)
        before = process.rss()
        for number in range(channels):
            for start in range(0, each, 50):
                batches.publish(f"channel-{number}", min(50, each - start), socket_ids)
        frame = (
            len(FRAME) + len(f',"position":"{"x" * 12}.{time.time_ns() // 1000}"') + len("channel-123") - len("bench")
        )
        return (process.rss() - before) / (channels * each) - frame


class Returned(NamedTuple):
    """What came of a herd that came back."""

    seconds: float
    """Until every client had everything."""
    connecting: float
    """Longest CPU time between two calls of a timer in the server, or the parent of workers, in seconds, while all
    connect."""
    resuming: float
    """The same while all resume."""
    cpu: float
    """Seconds of CPU of the server per client; with workers of their parent alone."""


def herd(number: int, channels: int, behind: int, workers: int = 1) -> Returned:
    """Let so many clients come back at once, each so many events behind on one of the channels."""
    need_files(number)
    with server(BEHIND + 10, workers) as (process, port):
        batches = Batches(port)
        command = [
            sys.executable,
            str(HERE / "resuming" / "herd.py"),
            str(port),
            str(number),
            str(channels),
            str(behind),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
            assert crowd.stdin is not None
            assert crowd.stdout is not None
            try:
                expect(crowd.stdout.readline(), "POSITION")
                if behind:
                    for channel in range(channels):
                        batches.publish(f"herd-{channel}", behind)
                process.answer_to_signal()  # forget pauses up to now
                print("connect", file=crowd.stdin, flush=True)
                expect(crowd.stdout.readline(), "CONNECTED")
                connecting = float(process.answer_to_signal())
                before = process.cpu()
                print("resume", file=crowd.stdin, flush=True)
                seconds = float(expect(crowd.stdout.readline(), "DONE"))
                resuming = float(process.answer_to_signal())
                return Returned(seconds, connecting, resuming, (process.cpu() - before) / number)
            finally:
                crowd.kill()


def expect(line: str, word: str) -> str:
    """Return what follows a word at the beginning of a line. Raises NotMeasuredError for any other line."""
    if not line.startswith(word):
        raise NotMeasuredError(f"expected {word}, got {line!r}")
    return line.removeprefix(word).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--redis", action="store_true", help="measure histories over Redis; needs redis-server")
    options = parser.parse_args()
    on_one_core()
    if options.redis:
        over_redis.print_table(options.rounds)
        redis_pauses.print_rest(options.clients)
        return
    med = statistics.median

    print("| publish, CPU per event | without history | with history | difference |\n|---|---|---|---|")
    for way in PUBLISHING:
        off, on = publishing(way, options.turns)
        difference = med(kept - bare for bare, kept in zip(off, on, strict=True))
        print(
            f"| {way.what} | {med(off) * 1e6:.1f} µs | {med(on) * 1e6:.1f} µs | {difference * 1e6:+.1f} µs |",
            flush=True,
        )

    print("\n| memory per kept event beside its frame | all connections get it | one does not |\n|---|---|---|")
    for channels, each in ((1_000, 100), (20_000, 1)):
        figures = " | ".join(f"{memory(channels, each, socket_ids):.0f} B" for socket_ids in (False, True))
        print(f"| {channels:,} channels with {each} each | {figures} |", flush=True)
    if not options.clients:
        return

    print(
        "\n| clients that come back at once | events behind | all have everything after "
        "| longest pause while they connect, resume | CPU each |"
    )
    print("|---|---|---|---|---|")
    for channels in (1, CHANNELS):
        for workers in sorted({1, options.workers}):
            for behind in (0, BEHIND):
                runs = [herd(options.clients, channels, behind, workers) for _ in range(options.rounds)]
                seconds, connecting, resuming, cpu = (med(figures) for figures in zip(*runs, strict=True))
                where = "one channel" if channels == 1 else f"{channels:,} channels"
                serving = "one process" if workers == 1 else f"{workers} workers"
                cost = f"{cpu * 1e6:.0f} µs" if workers == 1 else f"{cpu * 1e6:.0f} µs of the parent"
                print(
                    f"| {options.clients:,} on {where}, {serving} | {behind} | {seconds:.2f} s "
                    f"| {connecting * 1e3:.0f}, {resuming * 1e3:.0f} ms | {cost} |",
                    flush=True,
                )


if __name__ == "__main__":
    try:
        main()
    except NotMeasuredError as error:
        raise SystemExit(f"not measured: {error}") from None
