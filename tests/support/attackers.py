"""Clients that send as much as they can: ``attackers.py '{"port": …, …}'``, or :class:`Attack` in another process.

They write whatever the server takes, without a rest, and come back when they are closed. Bounded by a time and by a
number of connections; what they sent is printed at the end as a line of JSON.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

AT_ONCE: Final = 65_536
"""Bytes of a write."""
MAX_CONNECTIONS: Final = 20_000
"""Connections that one attack opens in all."""


@dataclass(frozen=True)
class Attack:
    """What each of the attackers does: send ``opening``, then ``payload`` over and over.

    Both are text in Latin-1. ``reads``: it takes what the server answers. ``bytes_per_second``: of all of them
    together; 0: as many as the server takes. ``comes_back``: it connects again when it is closed. ``renewed_after``:
    bytes that it takes before it closes the connection for another one; 0: it never does.
    """

    opening: str
    payload: str
    connections: int = 4
    reads: bool = True
    bytes_per_second: int = 0
    comes_back: bool = True
    renewed_after: int = 0


class _Attacker:
    """One connection. Written to when it can be, ended when the server ends it."""

    def __init__(self, port: int, attack: Attack) -> None:
        self._attack = attack
        self._opening = attack.opening.encode("latin-1")
        payload = attack.payload.encode("latin-1")
        self._payload = payload * max(1, AT_ONCE // len(payload)) if payload else b""
        self._at = 0
        self.taken = 0
        self.socket = socket.socket()
        if not attack.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # the kernel does not read for it either
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)

    def write(self, most: int) -> int:
        """Send what the socket takes; return how many bytes of payload that was."""
        if self._opening:
            self._opening = self._opening[self.socket.send(self._opening) :]
            return 0
        if not self._payload:
            return 0
        sent = self.socket.send(self._payload[self._at : self._at + most])
        self._at = (self._at + sent) % len(self._payload)
        return sent

    def read(self) -> bool:
        """Take what has come; return whether the connection goes on."""
        taken = len(self.socket.recv(1 << 20))
        self.taken += taken
        return taken > 0 and not 0 < self._attack.renewed_after <= self.taken


def flood(port: int, attack: Attack, seconds: float) -> dict[str, Any]:
    """Attack for so long; return how many bytes were sent and taken, and over how many connections."""
    began = time.monotonic()
    opened = sent = taken = 0
    attackers: dict[int, _Attacker] = {}
    while (now := time.monotonic() - began) < seconds:
        while len(attackers) < attack.connections and opened < (
            MAX_CONNECTIONS if attack.comes_back else attack.connections
        ):
            try:
                attacker = _Attacker(port, attack)
            except OSError:
                break
            attackers[attacker.socket.fileno()] = attacker
            opened += 1
        if not attackers:
            break
        ahead = attack.bytes_per_second and sent > attack.bytes_per_second * now
        most = AT_ONCE if not attack.bytes_per_second else max(512, attack.bytes_per_second // 200)
        may_write = [] if ahead else list(attackers)
        readable, writable, _ = select.select(list(attackers) if attack.reads else [], may_write, [], 0.005)
        for number in {*readable, *writable}:
            attacker = attackers[number]
            try:
                if number in readable and not attacker.read():
                    raise ConnectionError
                if number in writable:
                    sent += attacker.write(most)
            except BlockingIOError:
                continue
            except OSError:
                attacker.socket.close()
                taken += attacker.taken
                del attackers[number]
    for attacker in attackers.values():
        taken += attacker.taken
        with suppress(OSError):
            attacker.socket.close()
    return {"sent": sent, "taken": taken, "connections": opened, "seconds": round(time.monotonic() - began, 1)}


@contextmanager
def attacking(port: int, attack: Attack, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Attack from another process, for so long at most; it is ended at the end of the block."""
    arguments = json.dumps({"port": port, "attack": asdict(attack), "seconds": seconds})
    process = subprocess.Popen([sys.executable, str(Path(__file__)), arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    os.nice(10)  # bystanders on the same core are not to wait for us
    print(json.dumps(flood(given["port"], Attack(**given["attack"]), given["seconds"])), flush=True)
