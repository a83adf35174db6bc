"""Prometheus, which asks servers for their metrics, and says when something is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Final

from soundpost.errors import ConfigurationError
from soundpost.tools.deploy.alert_rules import JOB, alerts, rules_file
from soundpost.tools.deploy.layout import comment, quoted
from soundpost.tools.deploy.plan import ConfigFile, Deployment, DeployPlan
from soundpost.wire.addresses import reachable_host

_FOLDER: Final = Path("/etc/prometheus")
_SCRAPE: Final = _FOLDER / "soundpost" / "scrape.yml"
_RULES: Final = _FOLDER / "soundpost" / "rules.yml"
_TOKEN: Final = _FOLDER / "soundpost" / "token"
_MAIN: Final = _FOLDER / "prometheus.yml"
_INTERVAL: Final = "15s"
_NODE: Final = re.compile(r"([-A-Za-z0-9_.]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """Options for Prometheus alone."""

    targets: tuple[str, ...] = ()
    """Addresses of the metrics of several servers; empty means the server configured here."""
    whole: bool = False
    """True for a whole ``prometheus.yml``, for a Prometheus with no other job."""


def deployment(plan: DeployPlan, options: PrometheusOptions) -> Deployment:
    """Return the scrape job, the alert rules, and a file for the token. Raises ConfigurationError without metrics."""
    for target in options.targets:
        if not _NODE.fullmatch(target):
            raise ConfigurationError(f"--node {target!r}: expected an address such as 10.0.0.1:9100")
    metrics = plan.settings.metrics
    targets = options.targets or (_own_target(plan),)
    files = [ConfigFile(_RULES, _rules(plan))]
    if options.whole:
        files.insert(0, ConfigFile(_MAIN, _main(plan, targets)))
    else:
        files.insert(0, ConfigFile(_SCRAPE, _scrape(plan, targets)))
    steps = (
        []
        if options.whole
        else [
            f"# in {_MAIN}, at the top level: rule_files and scrape_config_files, as the two files say",
        ]
    )
    if metrics.token is not None:
        files.append(ConfigFile(_TOKEN, metrics.token, private=True, takes_comments=False))
        steps.append(f"chown prometheus: {_TOKEN}   # written by --write, mode 600")
    steps += [f"promtool check config {_MAIN}", "systemctl reload prometheus"]
    return Deployment(tuple(files), tuple(steps), plan.backend)


def _own_target(plan: DeployPlan) -> str:
    metrics = plan.settings.metrics
    if metrics.port is None:
        raise ConfigurationError(
            "the server has no metrics: set port = 9100 under [metrics], or name the metrics of other servers by "
            "--node 10.0.0.1:9100"
        )
    if metrics.port == 0:
        raise ConfigurationError(
            "port 0 of [metrics] takes another port at every start: set metrics.port to a fixed one, such as 9100"
        )
    host = reachable_host(metrics.host)
    return f"[{host}]:{metrics.port}" if ":" in host and not host.startswith("[") else f"{host}:{metrics.port}"


def _job(plan: DeployPlan, targets: tuple[str, ...]) -> str:
    addresses = "\n".join(f"          - {quoted(target)}" for target in targets)
    authorization = (
        f"""
    authorization:
      credentials_file: {_TOKEN}"""
        if plan.settings.metrics.token is not None
        else ""
    )
    return f"""\
scrape_configs:
  - job_name: {JOB}
    scrape_interval: {_INTERVAL}{authorization}
    static_configs:
      - targets:
{addresses}
"""


def _scrape(plan: DeployPlan, targets: tuple[str, ...]) -> str:
    main = f"rule_files: [{_RULES}]\nscrape_config_files: [{_SCRAPE}]"
    return f"""\
{comment("Soundpost in Prometheus: the scrape job for its metrics.")}
#
{comment(f"To be named in {_MAIN}:")}
#
{comment(indent(main, "  "))}
#
{comment("A Prometheus before 2.43 has no scrape_config_files: copy the job into scrape_configs there.")}

{_job(plan, targets)}"""


def _main(plan: DeployPlan, targets: tuple[str, ...]) -> str:
    return f"""\
{comment("Prometheus for Soundpost alone.")}

global:
  evaluation_interval: {_INTERVAL}

rule_files:
  - {_RULES}

# Alertmanager sends the alerts on: by mail, chat, pager.
# alerting:
#   alertmanagers:
#     - static_configs:
#         - targets: ["127.0.0.1:9093"]

{_job(plan, targets)}"""


def _rules(plan: DeployPlan) -> str:
    return f"""\
{comment("Alerts of Soundpost. critical: clients suffer now. warning: somebody should look today.")}

{rules_file(alerts(plan.server.max_connections))}"""
