"""A real uvicorn process with an ASGI application of the tests: ``with running_uvicorn("package.module:app") as url``.

Run as a script it is that process: ``uvicorn_process.py APPLICATION OPTIONS``, which prints its port.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from support.ending import end
from support.raw_socket import PATIENCE, TIMEOUT


class UvicornProcess(NamedTuple):
    """``port`` on 127.0.0.1; ``log`` has what it wrote to its standard error."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """All it has written to its standard error so far."""
        return self.log_file.read_text(errors="replace")


@contextmanager
def running_uvicorn(
    application: str, environ: Mapping[str, str] | None = None, **options: str
) -> Iterator[UvicornProcess]:
    """Start uvicorn on a free port of 127.0.0.1; ``application`` as on its command line, ``options`` as
    :class:`uvicorn.Config` has them. Ended by its pid."""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])
    with tempfile.NamedTemporaryFile(prefix="soundpost-test-", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, application, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **PATIENCE, "PYTHONPATH": path, **(environ or {})},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], 2 * TIMEOUT)
            line = process.stdout.readline() if ready else b""
            assert line, f"uvicorn did not start:\n{Path(log.name).read_text()}"
            yield UvicornProcess(process, int(line), Path(log.name))
        finally:
            end(process)
            process.stdin.close()
            process.stdout.close()


def _end_with_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _serve(application: str, given: dict[str, Any]) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and sockets:
                print(sockets[0].getsockname()[1], flush=True)
                threading.Thread(target=_end_with_parent, daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {"log_level": "warning", "timeout_graceful_shutdown": 3, **given}
    Server(uvicorn.Config(application, **options)).run(sockets=[listener])


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
