"""Command ``soundpost deploy``: configurations of programs that run or front the server, made from its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.tools.cli.deploy_monitoring import grafana, prometheus
from soundpost.tools.cli.deploy_options import (
    FRONT,
    OUTPUT,
    SIZE,
    AlsoSiteOption,
    ApiOption,
    ApiOptions,
    ConfigOption,
    ConnectionsOption,
    FrontOptions,
    ListenOption,
    NodeOption,
    OutputOptions,
    ServerNameOption,
    UserOption,
    with_option_groups,
)

if TYPE_CHECKING:
    from soundpost.config import Loaded
    from soundpost.tools.deploy import Deployment, DeployPlan

deploy = typer.Typer(
    name="deploy",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Print a configuration for Nginx, Supervisor, systemd, Caddy, Docker, Compose, Kubernetes, Prometheus or
    Grafana.

    The configuration is made from the settings of the server, complete and commented. --write writes the files to
    their places; files that are not its own, or that were edited, need --force. The next steps are printed on standard
    error. The command env prints the .env lines of backend and frontend.

    \b
    [bold]Examples[/]
    soundpost deploy nginx --server-name ws.example.com
    soundpost deploy nginx --server-name ws.example.com --api internal --connections 50000 --write
    soundpost deploy supervisor --write
    """,
)


@deploy.command()
@with_option_groups
def nginx(
    context: typer.Context,
    *,
    front: FrontOptions,
    connections: ConnectionsOption = None,
    node: NodeOption = None,
    api: ApiOptions,
    also_site: AlsoSiteOption = False,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="A complete nginx.conf, for an Nginx with no other site.", rich_help_panel=FRONT),
    ] = False,
    nginx_version: Annotated[
        str | None,
        typer.Option(help="Version of Nginx, such as 1.26.", rich_help_panel=OUTPUT, show_default="the one installed"),
    ] = None,
    ipv6: Annotated[
        bool | None,
        typer.Option(
            "--ipv6/--no-ipv6",
            help="Listen on IPv6 too.",
            rich_help_panel=FRONT,
            show_default="if this machine has it",
        ),
    ] = None,
    output: OutputOptions,
) -> None:
    """Nginx: TLS on 443 for browsers, forwarded to the server inside.

    \b
    [bold]Examples[/]
    soundpost deploy nginx --server-name ws.example.com --write
    soundpost deploy nginx --server-name www.example.com --also-site
    soundpost deploy nginx --server-name ws.example.com --node 10.0.0.1:8080 --node 10.0.0.2:8080
    """
    from soundpost.tools.cli.deploy_command import command_that_writes
    from soundpost.tools.cli.deploy_plan import (
        certificate_state,
        load_configuration,
        plan_of_proxy,
        refuse_site_of_others,
    )
    from soundpost.tools.deploy import installed_nginx
    from soundpost.tools.deploy import nginx as target
    from soundpost.tools.deploy.nginx_options import NginxOptions

    if also_site and whole:
        raise typer.BadParameter("--also-site adds to a site, --whole is a file of its own: give one of them")
    loaded = load_configuration(output.config)
    plan = plan_of_proxy(loaded, front, api, connections, nodes=tuple(node or ()))
    if not (also_site or whole):
        refuse_site_of_others(installed_nginx.sites_of(output.root or Path("/"), plan.site), loaded, plan, output)
    options = NginxOptions(
        also_site=also_site,
        whole=whole,
        http2_is_a_directive=installed_nginx.http2_is_a_directive(
            installed_nginx.version() if nginx_version is None else nginx_version
        ),
        ipv6=installed_nginx.has_ipv6() if ipv6 is None else ipv6,
        main_file=installed_nginx.main_file(output.root or Path("/")),
        certificate=certificate_state(plan, output),
        writes=output.write,
        command=command_that_writes(context),
    )
    _output(target.deployment(plan, options), loaded, plan, output, Path("/"))


@deploy.command()
@with_option_groups
def caddy(
    *,
    front: FrontOptions,
    connections: ConnectionsOption = None,
    node: NodeOption = None,
    api: ApiOptions,
    also_site: AlsoSiteOption = False,
    output: OutputOptions,
) -> None:
    """Caddy: TLS for browsers, with certificates that Caddy gets and renews itself."""
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_of_proxy
    from soundpost.tools.deploy import caddy as target

    loaded = load_configuration(output.config)
    plan = plan_of_proxy(loaded, front, api, connections, nodes=tuple(node or ()))
    deployment = target.deployment(plan, target.CaddyOptions(also_site=also_site))
    _output(deployment, loaded, plan, output, Path("/"))


@deploy.command()
@with_option_groups
def supervisor(
    *,
    user: UserOption = None,
    connections: ConnectionsOption = None,
    server_name: ServerNameOption = None,
    log: Annotated[
        str | None,
        typer.Option(help="Log file.", rich_help_panel=SIZE, show_default="/var/log/supervisor/soundpost.log"),
    ] = None,
    output: OutputOptions,
) -> None:
    """Supervisor: a program that starts the server, and starts it again whenever it ends."""
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_of_service
    from soundpost.tools.deploy import supervisor as target
    from soundpost.tools.deploy.service import service_of

    loaded = load_configuration(output.config, needs_app=True)
    plan = plan_of_service(loaded, server_name, connections)
    deployment = target.deployment(plan, service_of(output.config, Path.cwd(), user), log=log)
    _output(deployment, loaded, plan, output, Path("/"))


@deploy.command()
@with_option_groups
def systemd(
    *,
    user: UserOption = None,
    connections: ConnectionsOption = None,
    server_name: ServerNameOption = None,
    output: OutputOptions,
) -> None:
    """systemd: a unit with readiness, watchdog and a sandbox."""
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_of_service
    from soundpost.tools.deploy import systemd as target
    from soundpost.tools.deploy.service import service_of

    loaded = load_configuration(output.config, needs_app=True)
    plan = plan_of_service(loaded, server_name, connections)
    deployment = target.deployment(plan, service_of(output.config, Path.cwd(), user))
    _output(deployment, loaded, plan, output, Path("/"))


@deploy.command()
@with_option_groups
def docker(
    *,
    connections: ConnectionsOption = None,
    server_name: ServerNameOption = None,
    output: OutputOptions,
) -> None:
    """Docker: a small image with a health check, whose user is not root. --write writes the Dockerfile here."""
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_of_service
    from soundpost.tools.deploy import docker as target

    loaded = load_configuration(output.config)
    plan = plan_of_service(loaded, server_name, connections)
    _output(target.deployment(plan), loaded, plan, output, Path(), in_container=True)


@deploy.command()
@with_option_groups
def compose(
    context: typer.Context,
    *,
    with_nginx: Annotated[
        bool, typer.Option("--with-nginx", help="Nginx with TLS too.", rich_help_panel=FRONT)
    ] = False,
    front: FrontOptions,
    connections: ConnectionsOption = None,
    api: ApiOptions,
    output: OutputOptions,
) -> None:
    """Docker Compose: the server, Redis, and Nginx if wanted; secrets are files. --write writes the files here."""
    from soundpost.tools.cli.deploy_command import command_that_writes
    from soundpost.tools.cli.deploy_plan import certificate_state, load_configuration, plan_of_proxy
    from soundpost.tools.deploy import compose as target

    loaded = load_configuration(output.config, needs_app=True)
    plan = plan_of_proxy(loaded, front, api, connections, name_needed=with_nginx)
    options = target.ComposeOptions(
        with_nginx=with_nginx,
        config=output.config,
        folder=output.root or Path(),
        certificate=certificate_state(plan, output),
        writes=output.write,
        command=command_that_writes(context),
    )
    _output(target.deployment(plan, options), loaded, plan, output, Path(), in_container=True)


@deploy.command()
@with_option_groups
def kubernetes(
    *,
    server_name: ServerNameOption = None,
    image: Annotated[str | None, typer.Option(help="Image.", rich_help_panel=SIZE, show_default="soundpost")] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="Pods.", rich_help_panel=SIZE, show_default="2 with Redis, else 1")
    ] = None,
    autoscale: Annotated[
        int | None, typer.Option(min=1, help="Largest number of pods, scaled by CPU.", rich_help_panel=SIZE)
    ] = None,
    ingress_class: Annotated[str, typer.Option(help="Class of the Ingress.", rich_help_panel=FRONT)] = "nginx",
    connections: ConnectionsOption = None,
    api: ApiOption = "public",
    output: OutputOptions,
) -> None:
    """Kubernetes: all objects, with an Ingress for ingress-nginx. --write writes the files here."""
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_for, server_name_of
    from soundpost.tools.deploy import kubernetes as target

    loaded = load_configuration(output.config, needs_app=True)
    plan = plan_for(loaded, server_name_of(loaded, server_name), connections, api_is_internal=api == "internal")
    defaults = target.KubernetesOptions()
    options = target.KubernetesOptions(image or defaults.image, replicas, autoscale, ingress_class)
    deployment = target.deployment(plan, options, output.config)
    _output(deployment, loaded, plan, output, Path(), in_container=True)


@deploy.command()
def env(
    *,
    server_name: ServerNameOption = None,
    listen: ListenOption = None,
    node: NodeOption = None,
    show_secret: Annotated[bool, typer.Option("--show-secret", help="Print the secret too.")] = False,
    config: ConfigOption = None,
) -> None:
    """Lines for the .env of an application: where it publishes, where browsers connect; for Laravel too.

    \b
    [bold]Examples[/]
    soundpost deploy env
    soundpost deploy env --show-secret >> /srv/site/.env
    """
    from soundpost.tools.cli.addresses import ServerAddress
    from soundpost.tools.cli.deploy_output import env_lines
    from soundpost.tools.cli.deploy_plan import load_configuration, plan_of_application

    loaded = load_configuration(config)
    plan = plan_of_application(loaded, server_name, listen, tuple(node or ()))
    typer.echo(env_lines(loaded, plan, ServerAddress(*plan.backend, plan.prefix), show_secret=show_secret))


deploy.command()(prometheus)
deploy.command()(grafana)


def _output(
    deployment: Deployment,
    loaded: Loaded,
    plan: DeployPlan,
    output: OutputOptions,
    default_root: Path,
    *,
    in_container: bool = False,
) -> None:
    from soundpost.tools.cli.deploy_output import output_deployment

    output_deployment(
        deployment,
        loaded,
        plan,
        write=output.write,
        force=output.force,
        root=output.root or default_root,
        config=output.config,
        in_container=in_container,
    )
