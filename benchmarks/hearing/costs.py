"""Cost of webhooks for the server: CPU time of client events and joins, and the pauses of its loop."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from processes import Clients, NotMeasuredError, clients, free_port, need_files, soundpost

HELD = 4.0
"""Seconds after which ends have been sent that were held back."""


class CountedEndpoint:
    """An endpoint in a process of its own, which counts what it is told."""

    def __init__(self) -> None:
        self.port = free_port()
        self.told = 0
        self._process = subprocess.Popen(
            ["taskset", "-c", "1", sys.executable, str(Path(__file__).with_name("sink.py")), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def wait_for(self, events: int) -> None:
        """Wait for so many more events. Raises NotMeasuredError if there come more."""
        self.told += events
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.told}\n")
        self._process.stdin.flush()
        if int(self._line()) != self.told:
            raise NotMeasuredError("the endpoint was told more than happened")

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Subject:
    """A server with or without an endpoint, and its clients."""

    def __init__(self, stack: ExitStack, with_webhooks: bool) -> None:
        self.endpoint: CountedEndpoint | None = None
        if with_webhooks:
            self.endpoint = CountedEndpoint()
            stack.callback(self.endpoint.stop)
        url = None if self.endpoint is None else f"http://127.0.0.1:{self.endpoint.port}/hooks"
        app = {} if url is None else {"webhooks": [{"url": url}]}
        self.server, port = stack.enter_context(soundpost(app=app, probe=True))
        self.clients: Clients = stack.enter_context(clients(port))

    def wait_for(self, events: int) -> None:
        """Wait until the endpoint was told of so many more events, if there is one."""
        if self.endpoint is not None:
            self.endpoint.wait_for(events)

    def client_events(self, count: int) -> float:
        """Return the seconds of CPU time of a client event that one other member gets."""
        before = self.server.cpu()
        self.clients.do(f"whisper {count} presence-room")
        self.wait_for(count)
        return (self.server.cpu() - before) / count

    def client_events_at_once(self, count: int) -> float:
        """Return the same, of client events that come all at once."""
        before = self.server.cpu()
        self.clients.do(f"whisper_at_once {count} presence-room")
        self.wait_for(count)
        return (self.server.cpu() - before) / count

    def joins(self, count: int) -> float:
        """Return the seconds of CPU time in which a client connects and joins a presence channel of its own."""
        before = self.server.cpu()
        self.clients.do(f"connect {count} presence-{{i}}")
        self.wait_for(2 * count)
        used = self.server.cpu() - before
        self.clients.do(f"disconnect {count}")
        time.sleep(HELD)
        self.wait_for(2 * count)
        return used / count


def compared(rounds: int, events: int = 1_000, joins: int = 500) -> dict[str, Any]:
    """Return the medians of both costs in microseconds, without and with an endpoint, whose rounds take turns."""
    need_files(joins + 500)
    names = ("client_event_us", "client_event_at_once_us", "join_us")
    found: dict[str, list[list[float]]] = {name: [[], []] for name in names}
    with ExitStack() as stack:
        subjects = [Subject(stack, with_webhooks) for with_webhooks in (False, True)]
        for subject in subjects:
            subject.clients.do("connect 2 presence-room")
            subject.wait_for(3)
        for number in range(rounds + 1):  # the first is for warming up
            for index, subject in enumerate(subjects):
                costs = (subject.client_events(events), subject.client_events_at_once(events), subject.joins(joins))
                for name, cost in zip(names, costs, strict=True):
                    found[name][index] += [cost * 1e6] if number else []
    return {name: [round(statistics.median(costs), 1) for costs in both] for name, both in found.items()}


def mass_of_joins(with_webhooks: bool, count: int = 10_000, seconds: float = 10.0) -> dict[str, Any]:
    """Return what came of so many joins in so many seconds, of one presence channel each."""
    need_files(count + 500)
    with ExitStack() as stack:
        subject = Subject(stack, with_webhooks)
        subject.clients.do("connect 10 presence-warm-{i}")
        subject.wait_for(20)
        time.sleep(1)
        memory = subject.server.rss()
        subject.server.answer_to_signal()
        began = time.monotonic()
        steps, each = 100, count // 100
        for step in range(steps):
            subject.clients.do(f"connect {each} presence-{{i}}")
            time.sleep(max(0.0, began + (step + 1) * seconds / steps - time.monotonic()))
        joined = time.monotonic() - began
        subject.wait_for(2 * count)
        told = time.monotonic() - began
        longest = float(subject.server.answer_to_signal())
        joins_memory = subject.server.rss() - memory
        subject.clients.do(f"disconnect {count}")
        time.sleep(HELD / 2)
        leaving = float(subject.server.answer_to_signal())
        time.sleep(HELD / 2)
        subject.wait_for(2 * count)
        return {
            "joins": count,
            "seconds": round(joined, 1),
            "told_after_s": round(told - joined, 2),
            "pause_ms": round(longest * 1000, 1),
            "pause_leaving_ms": round(leaving * 1000, 1),
            "pause_ends_ms": round(float(subject.server.answer_to_signal()) * 1000, 1),
            "bytes_each": round(joins_memory / count),
        }
