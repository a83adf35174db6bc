"""Garbage collection of a daemon's own process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from soundpost.config.settings import ServerSettings, Settings
from soundpost.server.processes.daemon import Daemon
from soundpost.server.processes.single_process import SingleProcess
from soundpost.server.processes.workers import Workers
from support.harness import DEFAULT_APP

SETTINGS = Settings(server=ServerSettings(host="127.0.0.1", port=0, shutdown_timeout=1), apps=(DEFAULT_APP,))


@pytest.fixture(autouse=True)
def _own_collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.parametrize("workers", [0, 2])
async def test_full_collections_are_rare_and_pass_over_what_exists_at_the_start(workers: int) -> None:
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    daemon: Daemon = (
        Workers(SETTINGS, workers, playground=False, debug=False)
        if workers
        else SingleProcess(SETTINGS, playground=False, debug=False)
    )
    await daemon.start()
    try:
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[2] > 1_000
    finally:
        await daemon.stop()
