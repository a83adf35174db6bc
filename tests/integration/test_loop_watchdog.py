"""The watchdog ends a process whose loop hangs, with its stack in the log, but no process that was suspended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.harness import TIMEOUT, until

PROGRAM = """
import asyncio, re, sys, time, uvloop
from soundpost.server.processes.loop_watchdog import LoopWatchdog
from soundpost.server.processes.logs import set_up_logging

def stand_still():
    time.sleep(1000)

def burn():
    while True:
        sum(range(1000))

async def main():
    set_up_logging(debug=False, process="")
    heartbeat = LoopWatchdog(check_interval=0.2, max_missed=5)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while True:
        command = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
        if command == "end":
            heartbeat.stop()
            return
        globals().get(command, print)()
        print("done", flush=True)

uvloop.run(main())
"""


@contextmanager
def beating() -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str], command: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{command}\n")
    process.stdin.flush()


def ended(process: subprocess.Popen[str]) -> str:
    """Its log, once it has ended by itself."""
    assert process.wait(TIMEOUT) == 70
    assert process.stderr is not None
    return process.stderr.read()


def test_a_loop_that_waits_for_something_ends_the_process() -> None:
    with beating() as process:
        tell(process, "stand_still")
        log = ended(process)
    assert "CRITICAL soundpost.server: the event loop has hung for 1 s: this process ends" in log
    assert " in stand_still" in log


def test_a_loop_that_computes_for_ever_ends_the_process() -> None:
    with beating() as process:
        tell(process, "burn")
        assert " in burn" in ended(process)


def test_a_process_that_was_stopped_goes_on() -> None:
    with beating() as process:
        for _ in range(3):
            os.kill(process.pid, signal.SIGSTOP)
            until(lambda: _state(process.pid) == "T", "it is stopped")
            time.sleep(2)
            os.kill(process.pid, signal.SIGCONT)
            tell(process, "nothing")
            assert process.stdout is not None
            process.stdout.readline()
        tell(process, "end")
        assert process.wait(TIMEOUT) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def _state(pid: int) -> str:
    return subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout[0]
