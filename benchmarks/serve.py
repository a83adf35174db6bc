"""The server under measurement: ``serve.py PORT [SETTINGS]``, with one app and no limits in the way.

SETTINGS is JSON: sections of settings, as ``server`` and ``scaling``, and the app's own as ``app``. With
``"probe": true`` the server tells the longest pause of its loop on SIGUSR1. At a reload the app gets another
``activity_timeout``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
from resuming.loop_probe import LoopProbe

from soundpost.config.settings import Settings
from soundpost.server.processes.run import run

given: dict[str, Any] = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
watches = given.pop("probe", False)
probes: list[LoopProbe] = []
app = {
    "id": "1",
    "key": "bench-key",
    "secret": "bench-secret",
    "max_presence_members": 100_000,
    "max_client_events_per_second": 1_000_000,
    "activity_timeout": 3600,
    **given.pop("app", {}),
}
server = {"host": "127.0.0.1", "port": int(sys.argv[1]), **given.pop("server", {})}


def settings(**changed: Any) -> Settings:
    """Return the settings, with some of the app's changed."""
    return msgspec.convert({**given, "server": server, "apps": [{**app, **changed}]}, Settings)


def begin() -> None:
    """Say that the server listens, and watch its loop if that was asked for."""
    print("READY", flush=True)
    if watches:
        probes.append(LoopProbe())


run(settings(), on_ready=lambda _: begin(), load=lambda: settings(activity_timeout=3601))
