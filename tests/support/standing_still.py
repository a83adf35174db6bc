"""A process that stands still for a while, as on a machine that is paused."""

from __future__ import annotations

import asyncio

import pytest


def stand_still(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let seconds pass on the loop's clock in which the loop does nothing."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + seconds)
