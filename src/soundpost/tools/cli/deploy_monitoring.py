"""Commands ``soundpost deploy prometheus`` and ``grafana``: configurations of programs that watch the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soundpost.tools.cli.deploy_options import OUTPUT, SIZE, OutputOptions, with_option_groups


@with_option_groups
def prometheus(
    *,
    node: Annotated[
        list[str] | None,
        typer.Option(
            "--node",
            help="Address of the metrics of one of several servers, host:port; repeat for each.",
            rich_help_panel=SIZE,
            show_default="the one configured here",
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="A complete prometheus.yml, for a Prometheus with no other job.", rich_help_panel=OUTPUT
        ),
    ] = False,
    output: OutputOptions,
) -> None:
    """Prometheus: the scrape job for the server's metrics, and alerts.

    Alerts: a server is down, its loop lags, clients are too slow or refused, webhooks fail, Redis is away, workers die,
    the certificate ends, files or connections come near their limit.

    \b
    [bold]Examples[/]
    soundpost deploy prometheus --write
    soundpost deploy prometheus --node 10.0.0.1:9100 --node 10.0.0.2:9100
    """
    from soundpost.tools.cli.deploy_output import output_monitoring
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_of_service
    from soundpost.tools.deploy import prometheus as target

    loaded = load_configuration(output.config)
    options = target.PrometheusOptions(tuple(node or ()), whole)
    deployment = target.deployment(plan_of_service(loaded, None, None), options)
    output_monitoring(deployment, loaded, write=output.write, force=output.force, root=output.root or Path("/"))


@with_option_groups
def grafana(*, output: OutputOptions) -> None:
    """Grafana: a board with the figures of all servers.

    \b
    [bold]Examples[/]
    soundpost deploy grafana --write
    soundpost deploy grafana > soundpost.json
    """
    from soundpost.tools.cli.deploy_output import output_monitoring
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_of_service
    from soundpost.tools.deploy import grafana as target

    loaded = load_configuration(output.config)
    deployment = target.deployment(plan_of_service(loaded, None, None))
    output_monitoring(deployment, loaded, write=output.write, force=output.force, root=output.root or Path("/"))
