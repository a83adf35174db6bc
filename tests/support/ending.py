"""How tests end the processes they started: by their ids, and for sure."""

from __future__ import annotations

import subprocess
from typing import Any

from support.raw_socket import TIMEOUT


def end(process: subprocess.Popen[Any], seconds: float = TIMEOUT) -> None:
    """Tell a process to end, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
