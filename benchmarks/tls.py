"""Cost of TLS, and the best place to end it: ``python benchmarks/tls.py [--rounds 3] [--only Soundpost,Nginx]``.

Linux, two cores; what is not installed of Nginx, HAProxy and Caddy is left out. The server and the proxy are on core 0,
clients and publisher on core 1. A figure is CPU time of the server and the proxy together, over the work done; method
as in ``budgets.py``. Three rounds take about three minutes.

- connect: from accept to a subscribed client, with a full handshake, and with one that resumes by a ticket;
- delivery: of events to 1,000 subscribers, each once all have the one before;
- memory: RSS of all processes for each connection, after the first hundred.
"""

from __future__ import annotations

import argparse
import ssl
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from encrypting.clients import Client, trusting
from encrypting.ends import ENDS, Certificate, Measured
from machine import RESULTS, keep, on_what
from pages import write_section
from processes import FRAME, NotMeasuredError, Publisher, at_most, need_files, on_one_core, publish_request
from subjects.subject import microseconds

WARM = 100
SECONDS = 120.0
"""For one round of one candidate."""


class Costs(NamedTuple):
    """Of one candidate in one round: seconds of CPU, bytes of memory."""

    full: float
    resumed: float
    delivery: float
    memory: float
    cipher: str


def certificate_of(kind: str, folder: Path) -> Certificate:
    """A certificate for 127.0.0.1 that signs itself, with a key on a curve or an RSA key of 2,048 bits."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    keys = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"]}
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(made.key), "-out", str(made.chain)]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *keys[kind], *name, *files], check=True, capture_output=True)
    return made


def connected(
    measured: Measured, first: int, count: int, context: ssl.SSLContext | None, session: ssl.SSLSession | None
) -> tuple[float, list[Client]]:
    """Seconds of CPU per client, and the clients."""
    before = measured.cpu()
    clients = [Client(measured.port, first + number, context, session) for number in range(count)]
    return (measured.cpu() - before) / count, clients


def costs(name: str, certificate: Certificate, count: int, events: int) -> Costs:
    context = None if name == "no TLS" else trusting(certificate.chain)
    with ENDS[name](certificate) as measured:
        _, warm = connected(measured, 0, WARM, context, None)
        before = measured.rss()
        half = (count - WARM) // 2
        full, first = connected(measured, WARM, half, context, None)
        ticket = first[-1].session
        resumed, second = connected(measured, WARM + half, count - WARM - half, context, ticket)
        memory = (measured.rss() - before) / (count - WARM)
        clients = warm + first + second
        if context is not None and sum(client.has_resumed for client in second) < 0.9 * len(second):
            raise NotMeasuredError("tickets were not taken")
        port, publishes_over_tls = measured.publish_port, measured.publish_port is None
        with closing(Publisher(port or measured.port, context if publishes_over_tls else None)) as publisher:
            delivery = _delivery(measured, publisher, clients, events)
        cipher = clients[-1].cipher
        for client in clients:
            client.close()
    return Costs(full, resumed, delivery, memory, cipher)


def _delivery(measured: Measured, publisher: Publisher, clients: list[Client], events: int) -> float:
    before = 0.0
    for number in range(events + 3):  # three to warm up
        if number == 3:
            before = measured.cpu()
        publisher.send(publish_request())
        for client in clients:
            client.receive(len(FRAME))
    return (measured.cpu() - before) / (events * len(clients))


def row(name: str, runs: list[Costs], base: list[Costs]) -> str:
    """A line of the table; in brackets what is more than without TLS."""

    def cell(field: str, digits: int) -> str:
        figures = [getattr(run, field) * 1e6 for run in runs]
        shown = f"{statistics.median(figures):,.{digits}f} µs"
        if not base or runs is base:
            return shown
        ratios = [getattr(run, field) / getattr(bare, field) for run, bare in zip(runs, base, strict=False)]
        return f"{shown}, {statistics.median(ratios):.1f} ×"

    memory = statistics.median(run.memory for run in runs)
    cells = [name, cell("full", 0), cell("resumed", 0), cell("delivery", 2), f"{memory / 1e3:,.1f} kB", runs[0].cipher]
    return f"| {' | '.join(cells)} |"


def kept(size: int, name: str, runs: list[Costs]) -> dict[str, Any]:
    """What is written of a candidate."""
    figures = [
        {
            "full_us": microseconds(run.full),
            "resumed_us": microseconds(run.resumed),
            "delivery_us": microseconds(run.delivery),
            "memory_bytes": round(run.memory),
        }
        for run in runs
    ]
    return {"size": size, "candidate": name, "runs": figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(ENDS), help="what ends TLS, joined by commas (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=30)
    parser.add_argument("--key", choices=("ec", "rsa"), default="ec", help="kind of the certificate's key")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument("--page", type=Path, help="page to write the tables into, such as docs/performance.md")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - ENDS.keys():
        parser.error(f"no such end of TLS: {', '.join(sorted(unknown))}; there are {', '.join(ENDS)}")
    if options.clients < WARM + 20:
        parser.error(f"--clients {options.clients}: at least {WARM + 20}, as {WARM} are there to warm up")
    on_one_core()
    need_files(2 * options.clients)
    runs: dict[str, list[Costs]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        certificate = certificate_of(options.key, Path(folder))
        for number in range(options.rounds):
            for name in list(runs):
                try:
                    with at_most(SECONDS):
                        runs[name].append(costs(name, certificate, options.clients, options.events))
                except (NotMeasuredError, OSError) as error:
                    print(f"{name}, round {number + 1}: not measured: {error}", file=sys.stderr)
                    del runs[name]
    keep(options.results, "tls", options.rounds, [kept(options.clients, name, found) for name, found in runs.items()])
    head = ["TLS is ended by", "connect, full handshake", "connect, resumed", "delivery", "memory for each", "cipher"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [row(name, found, runs.get("no TLS", [])) for name, found in runs.items()]
    print("\n".join(lines))
    if options.page is not None:
        what = f"Medians of {options.rounds} rounds with {options.clients:,} clients.\n{on_what()}"
        write_section(options.page, "tls", "\n".join((what, "", *lines)))
    sys.exit(len(runs) < len(chosen))


if __name__ == "__main__":
    main()
