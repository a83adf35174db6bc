"""A status that is asked for by the control socket."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from soundpost import compilation
from soundpost.config.settings import ServerSettings, Settings
from soundpost.server.processes.control import ControlServer
from soundpost.server.processes.status import Status


async def test_the_package_is_looked_through_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(server=ServerSettings(), apps=())
    supervision = SimpleNamespace(
        status=lambda: Status.of(settings, 1, None, {}, [], draining=False),
        reload=None,
        restart=None,
        restart_all=None,
        stop=None,
    )
    threads: list[int] = []

    def event_loop() -> str:
        threads.append(threading.get_ident())
        return "a loop"

    monkeypatch.setattr(compilation, "_event_loop", event_loop)
    compilation.build.cache_clear()
    try:
        reply = await ControlServer(cast("Any", supervision), cast("Any", None), "name")._reply(b'{"do":"status"}')
    finally:
        compilation.build.cache_clear()
    assert reply.status is not None
    assert reply.status.build is not None
    assert reply.status.build.event_loop == "a loop"
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
