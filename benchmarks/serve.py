"""The server under measurement: ``serve.py PORT [REDIS_URL]``, with one app and no limits in the way."""

from __future__ import annotations

import sys

from soundpost.config.settings import ScalingSettings, ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.server.processes.run import run

app = AppSettings(
    id="1",
    key="bench-key",
    secret="bench-secret",
    max_presence_members=100_000,
    max_client_events_per_second=1_000_000,
    activity_timeout=3600,
)
settings = Settings(
    server=ServerSettings(host="127.0.0.1", port=int(sys.argv[1])),
    scaling=ScalingSettings(redis=sys.argv[2] if sys.argv[2:] else None),
    apps=(app,),
)
run(settings, on_ready=lambda _: print("READY", flush=True))
