"""Attack a server, and measure what its other clients notice: ``python benchmarks/attacks.py [--seconds 20]``.

Linux, two cores. The server runs on core 0; attackers (``support/hostile.py``) and five bystanders run on core 1,
each in a process of its own. Everything stays on this machine and ends by itself. A row is an attack: the lag of the
bystanders' pings, how many bystanders are still connected, how the server ended (0: it lived, and stopped when it was
told to), the most memory it took. Exits 1 if a bystander was cut off, waited longer than 250 ms, waited longer than
50 ms at the 99th percentile, or if the server did not live.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from processes import free_port, publish_request

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support.attackers import Attack, attacking
from support.bystanders import Seen, seen, watching
from support.hostile import over_http, over_websockets, replays, slow_readers, that_never_read
from support.nginx_process import running_nginx
from support.raw_socket import RawSocket

TESTS = Path(__file__).parents[1] / "tests"
KEY = "bench-key"
EMBEDDED = "support.embedded_app:app"
BYSTANDERS = 5
UNLIMITED = "history, no limit by address"
"""The setup that shows what the limit is worth, measured on demand."""
P99, WORST = 0.050, 0.250
"""Seconds that a bystander may wait."""
COLUMNS = (
    "attack",
    "server",
    "sent",
    "taken",
    "connections",
    "p50",
    "p99",
    "worst",
    "bystanders left",
    "exit",
    "memory",
)


class Setup(NamedTuple):
    """A server to attack. ``command`` listens at ``{port}``; ``app``: options of the app; ``nginx``: in front of it."""

    name: str
    command: tuple[str, ...]
    app: dict[str, object] = {}  # noqa: RUF012 - never written to
    nginx: bool = False


START = (sys.executable, "-m", "soundpost", "start", "--host", "127.0.0.1", "--port", "{port}")
SETUPS = {
    each.name: each
    for each in (
        Setup("plain", START),
        Setup(
            "rate limits",
            START,
            {
                "max_connections_per_ip": 50,
                "rate_limiting": {"enabled": True, "max_attempts": 6_000, "terminate_on_limit": True},
            },
        ),
        Setup("history", START, {"history": [{"channels": ["kept"], "events": 200}]}),
        Setup(
            UNLIMITED,
            START,
            {"history": [{"channels": ["kept"], "events": 200}], "max_replays_per_ip": 1 << 50},
        ),
        Setup("2 workers", (*START, "--workers", "2")),
        Setup("Nginx", START, nginx=True),
        Setup("uvicorn", (sys.executable, "-m", "uvicorn", "support.embedded_app:app", "--port", "{port}")),
        Setup(
            "hypercorn", (sys.executable, "-m", "hypercorn", "support.embedded_app:app", "--bind", "127.0.0.1:{port}")
        ),
    )
}


class Server:
    """A running server. ``port``: where its clients connect."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def memory(self) -> int:
        """Bytes of resident memory of its processes."""
        pids = [self.process.pid]
        for pid in pids:
            with Path(f"/proc/{pid}/task/{pid}/children").open() as children:
                pids += [int(child) for child in children.read().split()]
        return sum(_resident(pid) for pid in pids)

    def stop(self) -> int:
        """Have it stop; return its exit status, negative for a signal."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def replays_of(server: Server) -> Attack:
    """Fill a history, and return the attack that asks for the whole of it."""
    with RawSocket.open(server.port, KEY) as client:
        client.send_event("pusher:subscribe", {"channel": "kept", "resume": ""})
        position = client.read_event()["position"]
    publisher = socket.create_connection(("127.0.0.1", server.port), 60)
    for _ in range(200):
        publisher.sendall(publish_request(channel="kept", data="x" * 9_000))
        if b" 200 " not in publisher.recv(65_536):
            raise SystemExit("The history could not be filled.")
    publisher.close()
    return replays(KEY, position)


def attacks_on(setup: Setup) -> Mapping[str, Attack | Callable[[Server], Attack]]:
    """What a server is attacked with: everything, or on those around the same server what goes another way."""
    if "history" in setup.app:
        return {"replays of a full history": replays_of}
    sockets = over_websockets(KEY)
    if setup.name in ("plain", "uvicorn"):
        return {**sockets, **over_http(), **that_never_read(KEY), "slow readers of small events": slow_readers(KEY)}
    if setup.name == "rate limits":
        return {name: attack for name, attack in sockets.items() if name in ("empty pings", "empty fragments")}
    chosen = ("text frames of one byte", "empty pings", "pusher pings")
    attacks = {name: attack for name, attack in sockets.items() if name in chosen}
    return attacks if setup.nginx else attacks | {"pipelined requests": over_http()["pipelined requests"]}


def _resident(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 if "VmRSS:" in status else 0


@contextmanager
def running(setup: Setup) -> Iterator[Server]:
    """Start a server on core 0, and Nginx on core 1 if it is to be in front."""
    port = free_port()
    app = {"id": "1", "key": KEY, "secret": "bench-secret", **setup.app}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soundpost-attacks-")))
        settings = {"server": {}, "apps": [app]}
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("SOUNDPOST_", "REVERB_"))}
        environ |= {"PYTHONPATH": str(TESTS), "EMBEDDED": json.dumps(settings), "XDG_RUNTIME_DIR": str(folder)}
        (folder / "soundpost.toml").write_text(_toml(app))
        log = stack.enter_context((folder / "log").open("wb"))
        command = [part.format(port=port) for part in setup.command]
        process = subprocess.Popen(
            ["taskset", "-c", "0", *command], cwd=folder, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None:
                    break
                time.sleep(0.05)
        front = stack.enter_context(running_nginx([port])) if setup.nginx else port
        yield Server(process, front, folder / "log")


def _value(value: object) -> str:
    """Return a value as TOML has it; tables are inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _toml(app: dict[str, object]) -> str:
    return "\n".join(["[[apps]]", *(f"{name} = {_value(value)}" for name, value in app.items())]) + "\n"


class Row(NamedTuple):
    """What one attack did."""

    attack: str
    setup: str
    sent: int
    taken: int
    connections: int
    seen: Seen
    exit_status: int
    memory: tuple[int, int]
    """Resident bytes before, and the most there were."""

    @property
    def held(self) -> bool:
        """Whether the bystanders noticed too little to complain, and the server lived."""
        seen = self.seen
        calm = seen.p99 <= P99 and seen.worst <= WORST
        return calm and seen.survivors == seen.clients and self.exit_status in (0, -signal.SIGTERM)

    def __str__(self) -> str:
        cells = (
            self.attack,
            self.setup,
            f"{self.sent / 1e6:,.1f} MB",
            f"{self.taken / 1e6:,.0f} MB",
            f"{self.connections:,}",
            f"{self.seen.p50 * 1e3:.1f} ms",
            f"{self.seen.p99 * 1e3:.1f} ms",
            f"{self.seen.worst * 1e3:.0f} ms",
            f"{self.seen.survivors} of {self.seen.clients}",
            f"{self.exit_status}",
            f"{self.memory[0] >> 20} → {self.memory[1] >> 20} MiB",
        )
        return f"| {' | '.join(cells)} |"


def publish_small_events(publisher: socket.socket) -> None:
    """Publish 200 events of a few bytes, with one write."""
    publisher.sendall(publish_request(channel="lobby", data="x") * 200)
    answers = b""
    while answers.count(b"\r\n\r\n{}") < 200:
        answers += publisher.recv(65_536)


def measured(name: str, attack: Attack | Callable[[Server], Attack], setup: Setup, seconds: float) -> Row:
    """Attack a server of its own."""
    with running(setup) as server:
        if not isinstance(attack, Attack):
            attack = attack(server)
        before = most = server.memory()
        bystanders = watching(server.port, KEY, BYSTANDERS, seconds)
        publisher = (
            socket.create_connection(("127.0.0.1", server.port), 60) if name.startswith("slow readers") else None
        )
        with attacking(server.port, attack, seconds) as attackers:
            end = time.monotonic() + seconds + 5
            while attackers.poll() is None and time.monotonic() < end:
                if publisher is None:
                    select.select([], [], [], 0.05)
                else:
                    publish_small_events(publisher)
                if server.process.poll() is None:
                    most = max(most, server.memory())
            out = attackers.communicate()[0] if attackers.poll() is not None else "{}"
        done = json.loads(out or "{}")
        found = seen(bystanders)
        status = server.stop()
        if os.environ.get("ATTACKS_LOG"):
            print(server.log.read_text(errors="replace")[-3000:], file=sys.stderr)
    traffic = done.get("sent", 0), done.get("taken", 0), done.get("connections", 0)
    return Row(name, setup.name, *traffic, found, status, (before, most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="how long each attack takes (20)")
    usual = [name for name in SETUPS if name != UNLIMITED]
    parser.add_argument("--servers", nargs="+", choices=list(SETUPS), default=usual, help="of: %(choices)s")
    parser.add_argument("--attacks", help="only those whose name has this in it")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("An attack needs two cores: one for the server, one for everybody else.")
    os.sched_setaffinity(0, {1})
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    held = True
    for setup in (SETUPS[name] for name in options.servers):
        for name, attack in attacks_on(setup).items():
            if options.attacks is None or options.attacks in name:
                row = measured(name, attack, setup, options.seconds)
                print(row, flush=True)
                held = held and row.held
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
