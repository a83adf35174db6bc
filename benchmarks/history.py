"""Measure what histories cost, and a herd of clients that all come back at once, and print it as tables.

``python benchmarks/history.py [--rounds 5] [--clients 10000] [--workers 2]``: Linux, two cores; some minutes. The
server runs on core 0 (workers on both), clients and this script on core 1. CPU time is that of the server's process
over the work done, median of interleaved rounds. A pause is the longest CPU time between two calls of a timer in the
server's event loop, so other programs on the machine do not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
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
    median_of,
    need_files,
    on_one_core,
)

from soundpost.wire import signatures

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


class Batches:
    """A kept connection to the API that publishes many events to a channel at once."""

    def __init__(self, port: int) -> None:
        self._publisher = Publisher(port)

    def publish(self, channel: str, number: int) -> None:
        event = {"name": "OrderPlaced", "channel": channel, "data": PAYLOAD}
        body = json.dumps({"batch": [event] * number}).encode()
        query = signatures.signed_query(
            "bench-key", "bench-secret", "POST", "/apps/1/batch_events", int(time.time()), body=body
        )
        head = f"POST /apps/1/batch_events?{urllib.parse.urlencode(query)} HTTP/1.1\r\nHost: bench\r\n"
        request = f"{head}Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n".encode() + body
        self._publisher.send(request)


def publishing(events: int, count: int = 3_000) -> float:
    """Seconds of CPU per publish to a channel with one subscriber, whose history is full."""
    with server(events) as (process, port), clients(port) as swarm:
        swarm.do("connect 1 bench")
        publish = Publisher(port)
        for _ in range(max(500, events + 100)):
            publish()
        before = process.cpu()
        for _ in range(count):
            publish()
        return (process.cpu() - before) / count


def memory(channels: int, each: int) -> float:
    """Bytes of memory per kept event beside its frame."""
    with server(each) as (process, port):
        batches = Batches(port)
        batches.publish("warm-up", 50)
        before = process.rss()
        for number in range(channels):
            for start in range(0, each, 50):
                batches.publish(f"channel-{number}", min(50, each - start))
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
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    on_one_core()
    med = statistics.median

    print("| what | without history | with history | difference |\n|---|---|---|---|")
    off, on = median_of(options.rounds, lambda: publishing(0), lambda: publishing(100))
    difference = med(kept - bare for bare, kept in zip(off, on, strict=True))
    print(
        f"| publish: CPU | {med(off) * 1e6:.1f} µs | {med(on) * 1e6:.1f} µs | {difference * 1e6:+.1f} µs |", flush=True
    )
    for channels, each in ((1_000, 100), (20_000, 1)):
        print(
            f"| memory per kept event beside its frame, {channels:,} channels with {each} each | – "
            f"| {memory(channels, each):.0f} B | – |",
            flush=True,
        )

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
