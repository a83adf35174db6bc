"""Programs that broadcast in the background, as real processes; and what a server has heard of them in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.ending import end
from support.harness import DEFAULT_APP, RunningServer
from support.raw_socket import PATIENCE, TIMEOUT

TESTS: Final = Path(__file__).parents[1]
EVENTS: Final = 10
"""How many each of them broadcasts, one right after the other."""
PROGRAM: Final = f"""
import atexit, multiprocessing, os, signal, sys, threading, time

def tell(who="main"):
    import soundpost
    for number in range({EVENTS}):
        soundpost.publish("orders", f"{{who}} {{number}}")
"""


def names_of(who: str) -> list[str]:
    """The names of the events that one of them broadcasts."""
    return [f"{who} {number}" for number in range(EVENTS)]


def environment(port: int, **more: str) -> dict[str, str]:
    """Where the server is, as applications are told."""
    return {
        **os.environ,
        **PATIENCE,
        "PYTHONPATH": str(TESTS),
        "SOUNDPOST_URL": f"http://{DEFAULT_APP.key}:{DEFAULT_APP.secret}@127.0.0.1:{port}/apps/{DEFAULT_APP.id}",
        "SOUNDPOST_DELIVER": "background",
        "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",  # from Python 3.12 on: os.fork beside threads
        **more,
    }


@contextmanager
def started(folder: Path, *command: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``python command`` in a folder; its output goes to ``log``. Ended by its pid."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        yield process
    finally:
        end(process)


def program(folder: Path, code: str) -> str:
    """Write a program that has ``tell``, and gets to know Soundpost by it; give its name."""
    folder.mkdir(exist_ok=True)
    (folder / "program.py").write_text(PROGRAM + code)
    return "program.py"


@contextmanager
def listening(server: RunningServer) -> Iterator[Callable[[], list[str]]]:
    """Subscribe; what this gives is called at the end and gives the names of all events that came, in order."""
    with server.connect() as client:
        client.subscribe("orders")

        def heard() -> list[str]:
            server.publish("orders", "end")
            names: list[str] = []
            while "end" not in names:
                names.append(client.read_event()["event"])
            return names[:-1]

        yield heard


def run(folder: Path, code: str, server: RunningServer) -> tuple[int, list[str], str]:
    """Run a program to its end: how it ended, what the server got, and what was logged."""
    with (
        listening(server) as heard,
        started(folder, program(folder, code), environ=environment(server.port)) as process,
    ):
        status = process.wait(6 * TIMEOUT)
        return status, heard(), (folder / "log").read_text()
