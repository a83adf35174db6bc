"""Pauses of Redis while it works on histories, and the memory that histories take.

While a command runs, Redis serves nobody else. Its slow log has the longest one. Two processes have the clients.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import redis as redis_client
from cluster import redis
from processes import FRAME, HERE, NotMeasuredError, need_files

from resuming.batches import Batches
from resuming.over_redis import KEPT, hosts, put_first

BEHIND = 50
HERDS = 2
"""Processes of clients."""
SILENCE = 5.0
"""Seconds for which Redis is away: a host notices after three."""


class Pause(NamedTuple):
    """What came of a mass of work."""

    seconds: float
    """Until it was done."""
    longest: float
    """Seconds of the longest command."""
    command: str
    """The longest command, its beginning."""


class SlowLog:
    """The slow log of a Redis, from now on."""

    def __init__(self, client: redis_client.Redis) -> None:
        self._client = client
        client.config_set("slowlog-log-slower-than", 100)
        client.config_set("slowlog-max-len", 100_000)
        client.slowlog_reset()
        self._began = time.monotonic()

    def end(self) -> Pause:
        """Return the longest command since the beginning."""
        seconds = time.monotonic() - self._began
        entries: list[dict[str, Any]] = self._client.slowlog_get(100_000)
        longest = max(entries, key=lambda entry: int(entry["duration"]), default=None)
        if longest is None:
            return Pause(seconds, 0.0, "none")
        return Pause(seconds, longest["duration"] / 1e6, longest["command"][:60].decode(errors="replace"))


@contextmanager
def herd(port: int, number: int, channels: int) -> Iterator[subprocess.Popen[str]]:
    """Clients of one process (see ``herd.py``)."""
    command = [sys.executable, str(HERE / "resuming" / "herd.py"), str(port), str(number), str(channels), str(BEHIND)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
        try:
            yield crowd
        finally:
            crowd.kill()


def mass_resume(number: int, channels: int) -> Pause:
    """Let so many clients come back at once, each 50 events behind on one of the channels."""
    need_files(number)
    with redis() as (pid, url), hosts(1, url, BEHIND + 10, "*") as servers, ExitStack() as stack:
        put_first(pid)
        ((_, port),) = servers
        batches = Batches(port)
        herds = [stack.enter_context(herd(port, number // HERDS, channels)) for _ in range(HERDS)]
        all_say(herds, "POSITION")
        for channel in range(channels):
            batches.publish(f"herd-{channel}", BEHIND)
        tell(herds, "connect")
        all_say(herds, "CONNECTED")
        log = SlowLog(redis_client.Redis.from_url(url))
        tell(herds, "resume")
        all_say(herds, "DONE")
        return log.end()


def tell(herds: list[subprocess.Popen[str]], word: str) -> None:
    """Send a line to all clients."""
    for crowd in herds:
        assert crowd.stdin is not None
        print(word, file=crowd.stdin, flush=True)


def all_say(herds: list[subprocess.Popen[str]], word: str) -> None:
    """Wait for a line of all clients. Raises NotMeasuredError for another one."""
    for crowd in herds:
        assert crowd.stdout is not None
        line = crowd.stdout.readline()
        if not line.startswith(word):
            raise NotMeasuredError(f"expected {word}, got {line!r}")


def flush(events: int, channels: int = 100) -> Pause:
    """Let events wait while Redis is away, and go to it when it is back."""
    with redis() as (pid, url), hosts(1, url, KEPT, "*") as ((_, port),):
        batches, client = Batches(port), redis_client.Redis.from_url(url)
        batches.publish("warm-up", 1)
        put_first(pid)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(SILENCE)
        for number in range(channels):
            for _ in range(events // channels // 50):
                batches.publish(f"channel-{number}", 50)
        os.kill(pid, signal.SIGCONT)
        log = SlowLog(client)
        while stored(client) < events + 1:
            time.sleep(0.02)
        return log.end()


def stored(client: redis_client.Redis) -> int:
    """The number of events in all histories."""
    keys = list(client.scan_iter("*:s:*", count=1_000))
    return sum(client.xlen(key) for key in keys)


def memory(channels: int, each: int) -> tuple[float, float]:
    """Bytes of Redis per kept event, beside its frame: of the stream alone, and of all memory in use."""
    with redis() as (_, url), hosts(1, url, KEPT, "*") as ((_, port),):
        batches, client = Batches(port), redis_client.Redis.from_url(url)
        batches.publish("warm-up", 50)
        before = client.info("memory")["used_memory"]
        for number in range(channels):
            for _ in range(each // 50):
                batches.publish(f"channel-{number:03}", 50)
        while stored(client) < channels * each + 50:
            time.sleep(0.05)
        used = client.info("memory")["used_memory"] - before
        key = next(client.scan_iter("*:s:channel-000", count=10_000))
        stream = client.memory_usage(key, samples=0) or 0
        frame = len(FRAME) + len("channel-000") - len("bench")
        return stream / each - frame, used / (channels * each) - frame


def print_rest(clients: int) -> None:
    """Print the tables of this module."""
    print("\n| memory of Redis for each kept event, beside its frame | stream alone | all |\n|---|---|---|")
    for channels, each in ((1, KEPT), (1_000, 100)):
        stream, used = memory(channels, each)
        where = "one channel" if channels == 1 else f"{channels:,} channels"
        print(f"| {each} events on {where} | {stream:.0f} B | {used:.0f} B |", flush=True)
    print("\n| what Redis has to do | done after | longest command | which |\n|---|---|---|---|")
    for channels in (1, 1_000):
        pause = mass_resume(clients, channels)
        _print_pause(f"{clients:,} clients come back to {channels:,} channel{'s' * (channels > 1)}", pause)
    _print_pause("10,000 events that waited", flush(10_000))


def _print_pause(what: str, pause: Pause) -> None:
    print(f"| {what} | {pause.seconds:.1f} s | {pause.longest * 1e3:.1f} ms | `{pause.command}` |", flush=True)
