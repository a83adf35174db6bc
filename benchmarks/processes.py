"""The processes of a measurement: a server on core 0, clients and whoever publishes on core 1; each ended for sure.

Whatever waits here can be ended by ``at_most``, which gives up with NotMeasuredError.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from soundpost.wire import messages, signatures

HERE = Path(__file__).parent
PAYLOAD = json.dumps({"text": "x" * 190})
FRAME = messages.event("OrderPlaced", "bench", PAYLOAD)


class NotMeasuredError(Exception):
    """Why there is no figure."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise NotMeasuredError in whatever still runs after so many seconds. Main thread only."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise NotMeasuredError(f"took longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def need_files(count: int) -> None:
    """Raise this process's limit of open files, which the ones it starts inherit. Raises NotMeasuredError if it
    cannot be high enough for so many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1_000_000 if hard == resource.RLIM_INFINITY else hard
    if most < count + 100:
        raise NotMeasuredError(f"only {most:,} files may be open (ulimit -Hn)")
    if 0 <= soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def cpu_time(pid: int) -> float:
    """Seconds of CPU time of a process so far, user and system, of all threads, ended ones too: its CPU-time clock,
    whose number is made as clock_getcpuclockid(3) of Linux makes it."""
    return time.clock_gettime((~pid << 3) | 2)


class Process:
    """A server, pinned to core 0 unless ``cores`` says otherwise. Raises NotMeasuredError if it does not start."""

    def __init__(self, *command: str, cores: str = "0") -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            ["taskset", "-c", cores, *command], stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=HERE
        )
        assert self._process.stdout is not None
        try:
            ready = self._process.stdout.readline()
            if not ready.startswith("READY"):
                self._errors.seek(0)
                last = (self._errors.read().strip().splitlines() or ["it said nothing"])[-1]
                raise NotMeasuredError(f"the server did not start: {last}")
        except BaseException:
            self.stop()
            raise

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        return cpu_time(self._process.pid)

    def cpu_of_all(self) -> list[float]:
        """Seconds of CPU time so far: its own, and those of its child processes, such as workers."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [cpu_time(pid), *[cpu_time(int(child)) for child in children]]

    def rss(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def answer_to_signal(self) -> str:
        """The line that it prints on SIGUSR1."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGUSR1)
        return self._process.stdout.readline()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()


class Clients:
    """A swarm of clients on core 1 (see ``swarm.py``)."""

    def __init__(self, port: int, protocol: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "swarm.py"), str(port), protocol],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def do(self, command: str) -> dict[str, Any]:
        """The answer to a command. Raises NotMeasuredError if the clients ended over it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["nothing said"])[-1]
            raise NotMeasuredError(f"the clients ended at '{command[:60]}': {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def receive(self, size: int) -> None:
        """Wait for so many bytes. Raises NotMeasuredError if there come more: frames of another length than thought
        of."""
        received = self.do(f"received {size}")["received"]
        if received != size:
            raise NotMeasuredError(f"the clients received {received:,} bytes where {size:,} were expected")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()


class Publisher:
    """One keep-alive connection to the API, with TLS or without."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")

    def __call__(self, socket_id: str | None = None, data: str = PAYLOAD, channel: str = "bench") -> None:
        """Publish an event."""
        self.send(publish_request(socket_id, data, channel))

    def send(self, request: bytes) -> None:
        """Send a request, and wait until it is answered; it may be that the event waits for Redis."""
        self._socket.sendall(request)
        answer = b""
        while not answer.endswith((b"{}", b'{"delivered":"local"}')):
            part = self._socket.recv(65_536)
            answer += part
            if not part or not answer.startswith(b"HTTP/1.1 200"):
                raise NotMeasuredError(f"a publish was answered {answer[:200]!r}")

    def get(self, route: str) -> bytes:
        """The body of the answer to a signed GET of ``/apps/1/ROUTE``."""
        query = signatures.signed_query("bench-key", "bench-secret", "GET", f"/apps/1/{route}", int(time.time()))
        request = f"GET /apps/1/{route}?{urllib.parse.urlencode(query)} HTTP/1.1\r\nHost: bench\r\n\r\n"
        self._socket.sendall(request.encode())
        with self._socket.makefile("rb") as answer:
            if b" 200 " not in answer.readline():
                raise NotMeasuredError(f"GET {route} was not answered 200")
            size = 0
            while (line := answer.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            return answer.read(size)

    def close(self) -> None:
        self._socket.close()


def publish_request(socket_id: str | None = None, data: str = PAYLOAD, channel: str = "bench") -> bytes:
    """A signed request. The floor's publisher makes one for every event too: how long clients have to catch up
    between two events decides what a send costs."""
    event = {"name": "OrderPlaced", "channels": [channel], "data": data}
    if socket_id is not None:
        event["socket_id"] = socket_id
    body = json.dumps(event).encode()
    now = int(time.time())
    query = signatures.signed_query("bench-key", "bench-secret", "POST", "/apps/1/events", now, body=body)
    head = f"POST /apps/1/events?{urllib.parse.urlencode(query)} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}"
    return f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body


def free_port() -> int:
    """A port nobody listens on; none of those that the kernel gives to clients, which could take it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10_000, 15_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def soundpost(**settings: Any) -> Iterator[tuple[Process, int]]:
    """A server with settings as ``serve.py`` takes them, and its port."""
    port = free_port()
    process = Process(sys.executable, str(HERE / "serve.py"), str(port), json.dumps(settings))
    try:
        yield process, port
    finally:
        process.stop()


@contextmanager
def clients(port: int, protocol: str = "pusher") -> Iterator[Clients]:
    swarm = Clients(port, protocol)
    try:
        yield swarm
    finally:
        swarm.stop()


def on_one_core() -> None:
    """Keep this process, and the clients that it starts, to core 1."""
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("A measurement needs two cores: one for the server, one for the clients.")
    os.sched_setaffinity(0, {1})


def median_of(rounds: int, *measures: Callable[[], Any]) -> list[list[Any]]:
    """Run the measures in turn, so that what disturbs one round disturbs all of them."""
    results: list[list[Any]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, kept in zip(measures, results, strict=True):
            kept.append(measure())
    return results
