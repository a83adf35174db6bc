"""An example as its README has it: started by its one command, on free ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from support.browser import Page
from support.harness import until
from support.raw_socket import PATIENCE, TIMEOUT
from support.redis_process import free_port

ROOT: Final = Path(__file__).parents[2]
SCREENSHOTS: Final = os.environ.get("SOUNDPOST_SCREENSHOTS", "")
"""A folder for pictures of the pages, for who wants to look at them."""
_BUILD_TIME: Final = 300


@contextmanager
def running_example(name: str, **variables: str) -> Iterator[str]:
    """Run ``examples/NAME/start``, with more environment variables; give its site's address once that answers."""
    port, soundpost_port = free_port(), free_port()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SOUNDPOST_")}
    environ = {**inherited, **PATIENCE, "PORT": str(port), "SOUNDPOST_PORT": str(soundpost_port), **variables}
    with tempfile.NamedTemporaryFile(prefix="soundpost-example-", suffix=".log") as log:
        process = subprocess.Popen([ROOT / "examples" / name / "start"], env=environ, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"

        def is_up() -> bool:
            assert process.poll() is None, Path(log.name).read_text()
            try:  # the page is of use once the realtime server is there too
                httpx.get(f"http://127.0.0.1:{soundpost_port}/up", timeout=TIMEOUT)
                return httpx.get(url, follow_redirects=True, timeout=TIMEOUT).status_code == 200
            except httpx.HTTPError:
                return False

        try:
            until(is_up, lambda: f"{name}: {Path(log.name).read_text()}", _BUILD_TIME)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            left = [each for each in (port, soundpost_port) if is_listened_to(each)]
            assert left == [], f"{name} has ended before its servers"


def is_listened_to(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def picture(page: Page, name: str, width: int = 1000, height: int = 620) -> None:
    """Take a screenshot, if somebody wants to look at it."""
    if SCREENSHOTS:
        page.screenshot(Path(SCREENSHOTS) / f"{name}.png", width, height)
