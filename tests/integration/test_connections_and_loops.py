"""Kept connections of the HTTP driver end with their event loop: async views in WSGI have one for each request."""

from __future__ import annotations

import asyncio
import gc
import warnings

import uvloop

from soundpost.broadcasting.drivers.http import HttpDriver
from soundpost.broadcasting.settings import ConnectionSettings
from support.harness import RunningServer
from support.raw_socket import TIMEOUT


def test_nothing_is_left_open_when_a_loop_ends(server: RunningServer) -> None:
    driver = HttpDriver(
        ConnectionSettings(app_id="1", key="app-key", secret="app-secret", port=server.port, timeout=TIMEOUT)
    )
    gc.collect()  # what other tests left
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(3):
            assert asyncio.run(driver.arequest("GET", "/channels")) == {"channels": {}}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(driver.arequest("GET", "/channels")) == {"channels": {}}
            assert runner.run(driver.arequest("GET", "/channels")) == {"channels": {}}
        gc.collect()
    assert [str(each.message) for each in caught] == []
