"""Well-behaved clients beside an attack, and how long the server lets them wait: ``bystanders.py '{"port": …, …}'``.

Each sends a ``pusher:ping`` every few milliseconds, once the one before was answered.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from soundpost.wire.frames import TEXT
from support.raw_socket import RawSocket, client_frame

PAUSE: Final = 0.01
"""Seconds between an answer and the next ping of a client."""
GIVE_UP: Final = 60.0
"""Seconds that an answer may take."""
_PING: Final = client_frame(TEXT, b'{"event":"pusher:ping","data":{}}')


@dataclass(frozen=True)
class Seen:
    """How bystanders fared. Lags in seconds, of pings that were answered."""

    clients: int
    survivors: int
    pings: int
    p50: float
    p99: float
    worst: float


def watch(port: int, key: str, clients: int, seconds: float) -> Seen:
    """Ping for so long, over so many connections, in one thread."""
    selector = selectors.DefaultSelector()
    sent: dict[RawSocket, float] = {}
    due: dict[RawSocket, float] = {}
    now = time.monotonic()
    for number in range(clients):
        client = RawSocket.open(port, key)
        selector.register(client.socket, selectors.EVENT_READ, client)
        due[client] = now + PAUSE * number / clients
    lags: list[float] = []
    end = now + seconds
    alive = set(due)
    while alive and ((now := time.monotonic()) < end or sent) and now < end + GIVE_UP:
        for client in [client for client, at in due.items() if at <= now]:
            del due[client]
            if now < end:
                client.send(_PING)
                sent[client] = time.monotonic()
        wait = min(due.values(), default=now + 0.05) - time.monotonic()
        for ready, _ in selector.select(max(0.0, wait)):
            client = ready.data
            try:
                answer = client.socket.recv(65_536)
            except OSError:
                answer = b""
            now = time.monotonic()
            if not answer or answer[0] == 0x88:
                alive.discard(client)
                sent.pop(client, None)
                selector.unregister(client.socket)
            elif b"pusher:pong" in answer and client in sent:
                lags.append(now - sent.pop(client))
                due[client] = now + PAUSE
    lags.extend(time.monotonic() - at for at in sent.values())  # never answered
    lags.sort()
    if not lags:
        return Seen(clients, len(alive), 0, GIVE_UP, GIVE_UP, GIVE_UP)
    return Seen(
        clients,
        len(alive),
        len(lags),
        lags[len(lags) // 2],
        lags[min(len(lags) - 1, len(lags) * 99 // 100)],
        lags[-1],
    )


def watching(port: int, key: str, clients: int, seconds: float, *prefix: str) -> subprocess.Popen[str]:
    """The same in a process of its own, which prints it: see :func:`seen`."""
    arguments = json.dumps({"port": port, "key": key, "clients": clients, "seconds": seconds})
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [*prefix, sys.executable, "-m", "support.bystanders", arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True)


def seen(process: subprocess.Popen[str]) -> Seen:
    """What a process of :func:`watching` has seen, once it ends."""
    out, _ = process.communicate(timeout=600)
    return Seen(**json.loads(out))


if __name__ == "__main__":
    print(json.dumps(asdict(watch(**json.loads(sys.argv[1])))), flush=True)
