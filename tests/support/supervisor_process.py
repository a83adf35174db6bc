"""A real Supervisor for tests."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.ending import end
from support.harness import TIMEOUT, until

_CONFIGURATION: Final = """\
[unix_http_server]
file={folder}/s.sock

[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{folder}/s.sock

[include]
files = {included}
"""


class Supervisor:
    """Supervisor with one more file; :meth:`control` is ``supervisorctl``."""

    def __init__(self, configuration: Path) -> None:
        self._configuration = configuration

    def control(self, *arguments: str) -> str:
        """What ``supervisorctl`` says."""
        command = [_program("supervisorctl"), "-c", str(self._configuration), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT, check=False)
        return done.stdout + done.stderr

    def pid(self, program: str) -> int:
        """The process id of a program that runs."""
        return int(self.control("pid", program))


@contextmanager
def running_supervisor(included: Path) -> Iterator[Supervisor]:
    """Supervisor as Debian configures it, in a folder of its own; ended with all it started."""
    with tempfile.TemporaryDirectory(prefix="soundpost-supervisor-") as name:
        folder = Path(name)
        file = folder / "supervisord.conf"
        file.write_text(_CONFIGURATION.format(folder=folder, included=included))
        log = folder / "output"
        with log.open("wb") as output:
            command = [_program("supervisord"), "-n", "-c", str(file)]
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        try:
            until(
                lambda: (folder / "s.sock").exists() or process.poll() is not None, lambda: log.read_text(), 2 * TIMEOUT
            )
            assert process.poll() is None, log.read_text()
            yield Supervisor(file)
        finally:
            end(process, 3 * TIMEOUT)


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"the tests need {name}: apt-get install supervisor, or brew install supervisor"
    return found
