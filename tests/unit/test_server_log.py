"""The server's log: news that an operator waits for, always; every client that comes and goes, with --debug."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

SCRIPT = """
import logging
from soundpost.server.processes.logs import set_up_logging
set_up_logging({options}, process="worker 2")
for name in ("soundpost.server", "asyncio"):
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)("%s of %s", level, name)
"""


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("level='error'", []),
        ("level='warning'", ["WARNING soundpost.server", "WARNING asyncio"]),
        (
            "level='debug'",
            ["DEBUG soundpost.server", "INFO soundpost.server", "WARNING soundpost.server", "WARNING asyncio"],
        ),
        ("level='info'", ["INFO soundpost.server", "WARNING soundpost.server", "WARNING asyncio"]),
        (
            "debug=True, level='error'",
            [
                "DEBUG soundpost.server",
                "INFO soundpost.server",
                "WARNING soundpost.server",
                "INFO asyncio",
                "WARNING asyncio",
            ],
        ),
    ],
)
def test_each_log_option_shows_its_levels(options: str, shown: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(options=options)], capture_output=True, text=True, check=True
    )
    found = [re.fullmatch(r"[-\d]+ [:,\d]+ (\w+) \[worker 2\] ([\w.]+): .*", line) for line in done.stderr.splitlines()]
    assert [" ".join(each.groups()) if each else None for each in found] == shown
