"""Real worker processes of task queues, for tests; and what their modules have in common.

Workers know of the server by the environment, as applications do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from soundpost import Broadcaster
from support.ending import end
from support.harness import DEFAULT_APP, until
from support.raw_socket import PATIENCE

TESTS: Final = Path(__file__).parents[1]


class Worker:
    """A process that takes jobs. Its output goes to a file, in which to look for what it did."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for_log(self, text: str) -> None:
        until(lambda: text in self.log(), lambda: f"{text!r} in {self.log()}", 60)


@contextmanager
def running_worker(folder: Path, *command: str, port: int, redis_url: str) -> Iterator[Worker]:
    """Run ``python -m command`` as a worker that sends to the server at ``port``. Ended by its pid."""
    environ = {
        **os.environ,
        **PATIENCE,
        "PYTHONPATH": str(TESTS),
        "REDIS_URL": redis_url,
        "SOUNDPOST_APP_ID": DEFAULT_APP.id,
        "SOUNDPOST_APP_KEY": DEFAULT_APP.key,
        "SOUNDPOST_APP_SECRET": DEFAULT_APP.secret,
        "SOUNDPOST_HOST": "127.0.0.1",
        "SOUNDPOST_PORT": str(port),
    }
    file = folder / "worker.log"
    with file.open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", *command], env=environ, stdout=log, stderr=log, cwd=folder)
    try:
        yield Worker(file)
    finally:
        end(process)


@contextmanager
def broadcasting_by(queue: str, port: int = 1) -> Iterator[Broadcaster]:
    """A broadcaster that puts its messages into a queue. (Where the server is, is the workers' affair.)"""
    broadcaster = Broadcaster()
    broadcaster.configure(app_id=DEFAULT_APP.id, key=DEFAULT_APP.key, secret="s3cret", port=port, deliver=queue)
    yield broadcaster
    broadcaster.close()
