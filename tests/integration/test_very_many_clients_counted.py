"""The benchmark with very many clients, with few: what it counts as lost or doubled, and its whole course."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.harness import DEFAULT_APP, http_request, running_server
from support.operated import publication

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class Clients:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def clients(folder: Path, port: int) -> Iterator[Clients]:
    program = folder / "clients"
    subprocess.run(["cc", "-o", program, BENCHMARKS / "crowding/clients.c", "-lm"], check=True)
    with subprocess.Popen(
        [program, str(port), DEFAULT_APP.key, "9"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Clients(process)
        finally:
            process.kill()


def publish(port: int, number: int, sent: int = 1) -> None:
    assert http_request(port, publication("all", "e", f"x@{number}@{sent}@")).status == 200


def test_events_that_are_skipped_or_come_twice_are_counted(tmp_path: Path) -> None:
    with running_server() as server, clients(tmp_path, server.port) as crowd:
        assert crowd.ask("connect 20 all 5")["here"] == 20
        publish(server.port, 1)
        publish(server.port, 2)
        assert crowd.ask("await 2 20000") == {"here": 20, "without": 0}
        assert {name: crowd.ask("report")[name] for name in ("events", "gaps", "twice")} == {
            "events": 40,
            "gaps": 0,
            "twice": 0,
        }
        publish(server.port, 2)
        publish(server.port, 4)
        crowd.ask("await 4 20000")
        report = crowd.ask("report")
        assert (report["gaps"], report["twice"]) == (20, 20)


def test_an_event_that_does_not_come_is_lost(tmp_path: Path) -> None:
    with running_server() as server, clients(tmp_path, server.port) as crowd:
        crowd.ask("connect 3 all 3")
        assert crowd.ask("await 1 10") == {"here": 3, "without": 3}
        assert crowd.ask("report")["not_there"] == 3


def test_clients_that_are_cut_off_come_back(tmp_path: Path) -> None:
    with running_server() as server, clients(tmp_path, server.port) as crowd:
        crowd.ask("connect 10 all 10")
        crowd.ask("leave 4")
        assert crowd.ask("connect 4 all 10")["here"] == 10
        report = crowd.ask("report")
        assert (report["here"], report["refused"], report["ended"]) == (10, 0, 0)


def test_the_whole_course_with_few_clients(tmp_path: Path) -> None:
    command = [sys.executable, "hundred_thousand.py", "--clients", "60", "--workers", "2", "--drain-time", "1"]
    done = subprocess.run(
        [*command, "--every", "0.2", "--minutes", "2", "--results", tmp_path],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    phases = [line.split(" | ")[0].strip("| ") for line in done.stdout.splitlines()]
    assert phases.count("all workers are replaced") == 2  # in the table of phases, and in that of memory
