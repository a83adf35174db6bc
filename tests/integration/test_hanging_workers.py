"""A worker that hangs is killed and started again by its parent (this process, with short times)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator

import pytest

from soundpost.backplane.hub_messages import EventMessage
from soundpost.config.settings import ServerSettings, Settings
from soundpost.server.processes import worker_pool, worker_process
from soundpost.server.processes.workers import Workers
from support.harness import DEFAULT_APP, TIMEOUT

SETTINGS = Settings(server=ServerSettings(host="127.0.0.1", port=0, shutdown_timeout=1), apps=(DEFAULT_APP,))


@pytest.fixture
async def workers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    monkeypatch.setattr(worker_pool, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(worker_process, "_MAX_UNANSWERED", 1_000)
    started = Workers(SETTINGS, 2, playground=False, debug=False)
    await started.start()
    yield started
    await started.stop()


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> str:
    """Wait for a line of the parent's log, as it was when it was written."""
    async with asyncio.timeout(TIMEOUT):
        while not (found := [line for line in caplog.text.splitlines() if text in line]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found[0]


@pytest.mark.parametrize("why", ["it has not answered for", "it has not read"])
async def test_a_worker_that_stands_still_is_killed_and_started_again(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    caplog.set_level(logging.INFO, "soundpost.workers")
    worker = workers._pool.workers[0]
    assert worker.process is not None
    pid = worker.process.pid

    os.kill(pid, signal.SIGSTOP)
    if why == "it has not read":
        monkeypatch.setattr(worker_process, "_MAX_UNREAD", 1_000_000)
        worker.link.send(EventMessage("1", "room", bytes(10_000_000), None))
    else:
        monkeypatch.setattr(worker_process, "_MAX_UNANSWERED", 20)

    assert f"worker 1 (process {pid}) hangs: {why} " in await logged(caplog, "hangs")
    assert f"worker 1 (process {pid}) was killed by SIGKILL" in await logged(caplog, "is started again at once")
    assert "worker 1 (process " in await logged(caplog, "serves now")
    assert worker.process.pid != pid
