"""Fixtures of all suites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings

from support.harness import RunningServer, running_server
from support.redis_kinds import missing

settings.register_profile("soundpost", derandomize=True, deadline=None, database=None)
settings.load_profile("soundpost")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with one app (id 1, key app-key, secret app-secret) and default settings."""
    with running_server() as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests of each group passed: unit, conformance, clients and so on."""
    groups = Counter(report.nodeid.split("/")[1] for report in terminalreporter.stats.get("passed", []))
    terminalreporter.write_line("passed by group: " + ", ".join(f"{name} {n}" for name, n in sorted(groups.items())))
    for kind in missing():
        terminalreporter.write_line(f"without {kind}: PyPI has no package of it for this machine")
