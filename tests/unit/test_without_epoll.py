"""Systems other than Linux, whose ``select`` has no epoll: macOS."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

WITHOUT_EPOLL: Final = """
import select
for name in dir(select):
    if name.lower().startswith("epoll"):
        delattr(select, name)
import soundpost.server.processes.run
import soundpost.server.server
"""


def test_the_server_can_be_imported() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT_EPOLL], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
