"""Processes that are told what to do in lines of JSON, and answer each in one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, TypeVar

T = TypeVar("T", int, list[str])

TESTS: Final = Path(__file__).parents[2]


class Told:
    """A Python process of a module below ``support``; ended when its ``with`` ends."""

    def __init__(self, module: str, *arguments: str) -> None:
        environ = {**os.environ, "PYTHONPATH": str(TESTS)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def do(self, command: str, *arguments: Any) -> Any:
        """The answer to a command. Raises EOFError if the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(f"process {self.process.pid} has ended at {command}")
        return json.loads(line)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)


def wait_for_none(missing: Callable[[], T], seconds: float) -> T:
    """Wait until nothing is missing, at most so long, in a program without a loop; what is."""
    deadline = time.monotonic() + seconds
    while (left := missing()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


async def none_left(missing: Callable[[], T], seconds: float) -> T:
    """Wait until nothing is missing, at most so long; what is."""
    deadline = time.monotonic() + seconds
    while left := missing():
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.05)
    return left


async def answer_lines(commands: Callable[[str], Callable[..., Any]]) -> None:
    """Run commands by their names until standard input ends. A command may be a coroutine function."""
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command, *arguments = json.loads(line)
        answer = commands(command)(*arguments)
        if asyncio.iscoroutine(answer):
            answer = await answer
        print(json.dumps(answer), flush=True)
