"""The server under measurement: ``serve_webhooks.py PORT URL``; it tells the longest pause of its loop on SIGUSR1.

URL is the endpoint that is told of everything that Pusher tells of, ``-`` for none.
"""

from __future__ import annotations

import sys
from pathlib import Path

from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.server.processes.run import run

sys.path.append(str(Path(__file__).parents[1]))

from resuming.loop_probe import LoopProbe


def begin() -> None:
    """Say that the server listens, and watch its loop."""
    print("READY", flush=True)
    probes.append(LoopProbe())


probes: list[LoopProbe] = []
port, url = int(sys.argv[1]), sys.argv[2]
app = AppSettings(
    id="1",
    key="bench-key",
    secret="bench-secret",
    activity_timeout=3600,
    max_client_events_per_second=1_000_000,
    max_presence_members=100_000,
    webhooks=() if url == "-" else (WebhookSettings(url=url),),
)
if __name__ == "__main__":
    run(Settings(server=ServerSettings(host="127.0.0.1", port=port), apps=(app,)), on_ready=lambda _: begin())
