"""Grafana, which draws what Prometheus has collected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from soundpost.tools.deploy.grafana_board import TITLE, board
from soundpost.tools.deploy.layout import comment
from soundpost.tools.deploy.plan import ConfigFile, Deployment, DeployPlan

_BOARD: Final = Path("/var/lib/grafana/dashboards/soundpost.json")
_PROVIDER: Final = Path("/etc/grafana/provisioning/dashboards/soundpost.yaml")


def deployment(plan: DeployPlan) -> Deployment:
    """Return the board, and the file by which Grafana finds it."""
    files = (
        ConfigFile(_BOARD, f"{json.dumps(board(), indent=2)}\n", takes_comments=False),
        ConfigFile(_PROVIDER, _provider(), of_other_target=True),
    )
    steps = (
        f"# by hand instead: Dashboards, New, Import, and the file {_BOARD.name}",
        "systemctl restart grafana-server",
        f"# then, in Grafana: Dashboards, {TITLE}; the data source is the Prometheus of soundpost deploy prometheus",
    )
    return Deployment(files, steps, plan.backend)


def _provider() -> str:
    return f"""\
{comment("Grafana takes its boards from this folder.")}
apiVersion: 1
providers:
  - name: soundpost
    type: file
    allowUiUpdates: true
    options:
      path: {_BOARD.parent}
"""
