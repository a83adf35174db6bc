"""A Node.js process with a real client in it, spoken to in JSON lines."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from support.raw_socket import TIMEOUT

SCRIPTS: Final = Path(__file__).parents[1] / "clients" / "node"

Report = dict[str, Any]


class NodeError(Exception):
    """A command failed in the client; ``status`` and ``body`` are those of an HTTP answer, if it came to one."""

    def __init__(self, message: str, status: int | None, body: str | None) -> None:
        super().__init__(message if body is None else f"{message}: {body}")
        self.status = status
        self.body = body


class NodeProcess:
    """Runs ``node/{script}``; remembers what it reports until a test asks for it."""

    def __init__(self, script: str, options: object) -> None:
        self._process = subprocess.Popen(
            ["node", str(SCRIPTS / script), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._news = threading.Condition()
        self._reports: list[Report] = []
        self._ended = False
        self._commands = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        self.expect("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def stop(self) -> None:
        """End the process; the client's connection is gone when this returns."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(TIMEOUT)

    def run(self, command: str, *args: Any) -> Any:
        """Run a command in the client and give what it returns. Raises NodeError."""
        self._commands += 1
        number = self._commands
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "run": command, "args": args}) + "\n")
        self._process.stdin.flush()
        answer = self.expect("answer", id=number)
        if "error" in answer:
            raise NodeError(**answer["error"])
        return answer["value"]

    def expect(self, report: str, where: Callable[[Report], bool] | None = None, **fields: Any) -> Report:
        """The first report of this kind with these fields that no test has asked for yet; waits until it is there."""
        wanted = {"report": report, **fields}
        deadline = time.monotonic() + TIMEOUT
        with self._news:
            while True:
                for index, found in enumerate(self._reports):
                    if _fits(found, wanted) and (where is None or where(found)):
                        return self._reports.pop(index)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    state = "the process has ended" if self._ended else f"not within {TIMEOUT:.0f} s"
                    raise AssertionError(f"no report {wanted}: {state}; there are {self._reports}")
                self._news.wait(left)

    def has(self, report: str, **fields: Any) -> bool:
        """Whether there already is such a report. For what must *not* come: ask after something later has come."""
        wanted = {"report": report, **fields}
        with self._news:
            return any(_fits(found, wanted) for found in self._reports)

    def reports(self) -> list[Report]:
        """All reports that no test has asked for yet."""
        with self._news:
            return list(self._reports)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._reports.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def _fits(found: Report, wanted: Report) -> bool:
    return all(name in found and found[name] == value for name, value in wanted.items())
