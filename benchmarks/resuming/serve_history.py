"""The server under measurement: ``serve_history.py PORT OPTIONS``; it tells the longest pause of its loop on SIGUSR1.

OPTIONS is JSON: ``events`` that each channel keeps, 0 for none; ``workers``; ``redis``, a URL; ``channels``, a pattern
of those that keep events.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from soundpost.config.settings import ScalingSettings, ServerSettings, Settings
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.server.processes.run import run

sys.path.append(str(Path(__file__).parents[1]))

from resuming.loop_probe import LoopProbe


def begin() -> None:
    """Say that the server listens, and watch its loop."""
    print("READY", flush=True)
    if "redis" not in options:  # a timer has its own cost for each event, as events take longer
        probes.append(LoopProbe())


probes: list[LoopProbe] = []
options = json.loads(sys.argv[2])
patterns = (options.get("channels", "*"),)
history = (HistorySettings(channels=patterns, events=options["events"]),) if options["events"] else ()
app = AppSettings(
    id="1", key="bench-key", secret="bench-secret", activity_timeout=3600, max_batch_size=100, history=history
)
server = ServerSettings(
    host="127.0.0.1", port=int(sys.argv[1]), workers=options.get("workers", 1), max_history_size=1 << 30
)
scaling = ScalingSettings(redis=options.get("redis"))
if __name__ == "__main__":
    run(Settings(server=server, scaling=scaling, apps=(app,)), on_ready=lambda _: begin())
