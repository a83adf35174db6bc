"""The server under measurement: ``serve.py PORT OPTIONS``. Its app keeps history on ``kept-…`` and ``herd-…``.

OPTIONS is JSON: ``workers``; ``redis``, a URL; ``webhooks``, the URL of an endpoint.
"""

from __future__ import annotations

import json
import sys

import msgspec

from soundpost.config.settings import ScalingSettings, ServerSettings, Settings
from soundpost.core.app_settings import AppSettings, HistorySettings, WebhookSettings
from soundpost.server.processes.run import run

options = json.loads(sys.argv[2])
hook = options.get("webhooks")
app = AppSettings(
    id="1",
    key="bench-key",
    secret="bench-secret",
    max_presence_members=100_000,
    max_channels_per_event=1_000,
    max_replays_per_ip=1 << 40,
    activity_timeout=3600,
    history=(HistorySettings(channels=("kept-*", "herd-*")),),
    webhooks=() if hook is None else (WebhookSettings(url=hook),),
)
server = ServerSettings(
    host="127.0.0.1",
    port=int(sys.argv[1]),
    workers=options.get("workers", 1),
    max_history_size=1 << 30,
    private_webhooks=True,
)
settings = Settings(server=server, scaling=ScalingSettings(redis=options.get("redis")), apps=(app,))


def load() -> Settings:
    """Return the settings for a reload: with another option of the app."""
    return msgspec.structs.replace(settings, apps=(msgspec.structs.replace(app, activity_timeout=3601),))


if __name__ == "__main__":
    run(settings, on_ready=lambda _: print("READY", flush=True), load=load)
