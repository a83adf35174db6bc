"""The server under measurement: ``serve.py PORT [REDIS_URL [METRICS_PORT DASHBOARD_PORT]]``, with one app and no limits
in the way. REDIS_URL is ``-`` for none.
"""

from __future__ import annotations

import sys

from soundpost.config.settings import DashboardSettings, MetricsSettings, ScalingSettings, ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.server.processes.run import run

port, redis, metrics, dashboard = [*sys.argv[1:], *("-", "", "")[len(sys.argv) - 2 :]]
app = AppSettings(
    id="1",
    key="bench-key",
    secret="bench-secret",
    max_presence_members=100_000,
    max_client_events_per_second=1_000_000,
    activity_timeout=3600,
)
settings = Settings(
    server=ServerSettings(host="127.0.0.1", port=int(port)),
    scaling=ScalingSettings(redis=None if redis == "-" else redis),
    metrics=MetricsSettings(port=int(metrics) if metrics else None),
    dashboard=DashboardSettings(port=int(dashboard) if dashboard else None),
    apps=(app,),
)
run(settings, on_ready=lambda _: print("READY", flush=True))
