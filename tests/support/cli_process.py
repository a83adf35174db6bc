"""``python -m soundpost`` as real processes, whose output is waited for, never slept for."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from support.raw_socket import TIMEOUT

_PLACEHOLDER: Final = "the secret of app 1 is a placeholder"


class Process:
    """A running command; ``out`` and ``err`` are the lines that were read so far."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.out: list[str] = []
        self.err: list[str] = []
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._out = self._reader(popen.stdout)
        self._err = self._reader(popen.stderr)

    @staticmethod
    def _reader(stream: IO[str]) -> queue.Queue[str | None]:
        lines: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            for line in stream:
                lines.put(line.rstrip("\n"))
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        return lines

    def wait_for(self, pattern: str, *, err: bool = False) -> re.Match[str]:
        """Read stdout (or stderr) up to a line in which ``pattern`` is found."""
        lines, seen = (self._err, self.err) if err else (self._out, self.out)
        while True:
            try:
                line = lines.get(timeout=TIMEOUT)
            except queue.Empty:
                raise AssertionError(f"no line with {pattern!r} within {TIMEOUT:.0f} s, but: {seen}") from None
            if line is None:
                lines.put(None)
                raise AssertionError(f"the output ended without {pattern!r}: {seen}, {self.rest_of_err()}")
            seen.append(line)
            found = re.search(pattern, line)
            if found:
                return found

    def wait_for_start(self, pattern: str = "listening on") -> re.Match[str]:
        """Read the log up to the line that says where a server listens. The lines before it can still be waited for."""
        before: list[str] = []
        while True:
            try:
                line = self._err.get(timeout=TIMEOUT)
            except queue.Empty:
                raise AssertionError(f"no line with {pattern!r} within {TIMEOUT:.0f} s, but: {before}") from None
            if line is None:
                raise AssertionError(f"the log ended without {pattern!r}: {before}")
            found = re.search(pattern, line)
            if found:
                self.err.append(line)
                self._put_back(before)
                return found
            before.append(line)

    def _put_back(self, lines: list[str]) -> None:
        with self._err.mutex:
            self._err.queue.extendleft(reversed(lines))

    def err_so_far(self) -> list[str]:
        """What is on stderr by now, without a wait."""
        while not self._err.empty() and (line := self._err.get()) is not None:
            self.err.append(line)
        return self.err

    def rest_of_err(self) -> list[str]:
        """All of stderr, which must have ended or be about to."""
        while (line := self._err.get(timeout=TIMEOUT)) is not None:
            self.err.append(line)
        self._err.put(None)
        return self.err

    def faults(self) -> list[str]:
        """All of stderr but for the lines of a log at the level INFO: nothing, if nothing was wrong.

        The apps of most tests have placeholders for secrets, which ``soundpost start`` warns of.
        """
        return [line for line in self.rest_of_err() if " INFO " not in line and _PLACEHOLDER not in line]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.popen.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait for the end."""
        return self.popen.wait(TIMEOUT)


class Shell:
    """A directory and an environment to run commands in."""

    def __init__(self, directory: Path, runtime: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("SOUNDPOST_", "REVERB_"))
        }
        self.environ["XDG_RUNTIME_DIR"] = str(runtime)
        self._stack = stack

    def start(self, *arguments: str) -> Process:
        """Run a command in the background; it is killed at the end of the test if it still runs."""
        return self.start_python("-m", "soundpost", *arguments)

    def start_python(self, *arguments: str) -> Process:
        """Run Python with these arguments in the background, like :meth:`start`."""
        popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.enter_context(popen)
        self._stack.callback(popen.kill)
        return Process(popen)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.run_python("-m", "soundpost", *arguments, stdin=stdin)

    def run_python(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments to its end."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def server(self, *arguments: str) -> tuple[Process, int]:
        """Start a server on a free loopback port, and wait until it says where it listens."""
        process = self.start("start", "--host", "127.0.0.1", "--port", "0", *arguments)
        return process, int(process.wait_for_start(r"listening on https?://127\.0\.0\.1:(\d+)")[1])

    def listener(self, *arguments: str) -> Process:
        """Start ``listen``, and wait until it is subscribed."""
        process = self.start("listen", *arguments)
        process.wait_for("^listening on", err=True)
        return process


@contextmanager
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty directory, whose processes end with it."""
    with ExitStack() as stack:
        directory = tmp_path / "work"
        directory.mkdir()
        yield Shell(directory, tmp_path / "runtime", stack)
