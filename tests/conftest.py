"""Fixtures of all suites."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from harness import RunningServer, running_server

settings.register_profile("soundpost", derandomize=True, deadline=None, database=None)
settings.load_profile("soundpost")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with one app (id 1, key app-key, secret app-secret) and default settings."""
    with running_server() as running:
        yield running
