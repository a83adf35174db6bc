"""Slow clients that are closed with 4100: all are counted, one a minute is logged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.protocol.stage import APP, Stage
from soundpost.asgi.handlers import endpoint_of
from soundpost.asgi.runtime import EmbeddedRuntime
from soundpost.config.settings import ServerSettings, Settings
from soundpost.server.server import Server


def daemon() -> Server:
    return Server(Settings(apps=(APP,)))


def embedded() -> EmbeddedRuntime:
    return EmbeddedRuntime(ServerSettings(), [APP], endpoint_of(None))


@pytest.mark.parametrize("start", [daemon, embedded])
async def test_of_many_slow_clients_one_is_logged(
    start: Callable[[], Server | EmbeddedRuntime], caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    stage = Stage()

    for _ in range(100):
        server.close_slow_client(stage.connect())

    assert server.overflows == 100
    (record,) = caplog.records
    assert (record.levelname, "read too slowly" in record.getMessage()) == ("WARNING", True)
