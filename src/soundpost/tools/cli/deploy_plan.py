"""Plan of ``soundpost deploy``, from configuration and options."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from soundpost.config import Loaded, load
from soundpost.config.load import LOCAL_HOSTS
from soundpost.errors import ConfigurationError
from soundpost.invocation import soundpost_command
from soundpost.tools.cli.addresses import ServerAddress, browser_address
from soundpost.tools.cli.calling_application import calling_application, load_here
from soundpost.tools.cli.deploy_options import ApiOptions, FrontOptions, OutputOptions
from soundpost.tools.cli.snippets import public_url
from soundpost.tools.deploy import DeployPlan
from soundpost.tools.deploy.certificates import CertificateState, state_of
from soundpost.wire.origins import name_as_sent

UNKNOWN_NAME: Final = "localhost"
"""Server name of a plan if nothing says under which name browsers connect."""


def load_configuration(config: Path | None, *, needs_app: bool = False) -> Loaded:
    """Return the configuration. Raises ConfigurationError; with ``needs_app`` also if no app is configured."""
    loaded = load_here(config)
    if loaded.generated and needs_app:
        raise ConfigurationError(
            "no app is configured here, so the server would have other credentials at every start: "
            "'soundpost init' writes a soundpost.toml to keep"
        )
    if loaded.generated:
        loaded.warnings.append("no app is configured here: 'soundpost init' writes a soundpost.toml with credentials")
    unknown = _unknown_to_the_service(loaded, config)
    if unknown is not None:
        loaded.warnings.append(unknown)
    return loaded


def _unknown_to_the_service(loaded: Loaded, config: Path | None) -> str | None:
    """Return a warning if the app is known from an application's settings only, which no service reads."""
    calling = calling_application()
    if calling.server is None:
        return None
    service = load(environ=os.environ, directory=calling.directory, config_file=config)
    app = loaded.settings.apps[0]
    if any((each.id, each.key, each.secret) == (app.id, app.key, app.secret) for each in service.settings.apps):
        return None
    return (
        f"the server that is deployed reads soundpost.toml, .env and its environment, but not "
        f"{calling.server.location}: write the id, key and secret of app {app.id} into one of them"
    )


def server_name_of(loaded: Loaded, option: str | None, *, needed: bool = True) -> str | None:
    """Return the name that browsers connect to, as they send it. Raises ConfigurationError if it is ``needed``."""
    for name in (option, loaded.public.host, loaded.settings.server.hostname, loaded.backend.host):
        if name and (name == option or name not in LOCAL_HOSTS):
            return name_as_sent(name.strip("[]"))
    if needed:
        raise ConfigurationError(
            "the name for browsers is not set: give --server-name ws.example.com, or set "
            'public_url = "https://ws.example.com" under [server]'
        )
    return None


def tls_port_of(loaded: Loaded, option: int | None) -> int:
    """Return the port that browsers connect to."""
    if option is not None:
        return option
    for address in (loaded.public, loaded.backend):
        if address.scheme == "https" and address.port:
            return address.port
    return 443


def plan_for(loaded: Loaded, name: str | None, connections: int | None, **more: object) -> DeployPlan:
    """Return the plan; ``more`` are fields that only some commands set."""
    wanted = loaded.settings.server.max_connections or 10_000 if connections is None else connections
    more.setdefault("tls_port", tls_port_of(loaded, None))
    return DeployPlan(settings=loaded.settings, server_name=name or UNKNOWN_NAME, connections=wanted, **more)  # type: ignore[arg-type]


def plan_of_service(loaded: Loaded, option: str | None, connections: int | None) -> DeployPlan:
    """Return the plan for the server alone; ``option`` is the name that ``--server-name`` gives.

    Browsers connect to the public address, or to the server itself if it serves TLS, or to a proxy on port 443.
    """
    name = server_name_of(loaded, option, needed=False)
    if option is None and (loaded.public.host or loaded.settings.server.tls.certificate):
        address = browser_address(loaded)
        return plan_for(loaded, name, connections, scheme=address.scheme, tls_port=address.port)
    return plan_for(loaded, name, connections)


def plan_of_proxy(
    loaded: Loaded,
    front: FrontOptions,
    api: ApiOptions,
    connections: int | None,
    *,
    nodes: tuple[str, ...] = (),
    name_needed: bool = True,
) -> DeployPlan:
    """Return the plan for a proxy in front of ``nodes``; empty means the server configured here.

    Raises ConfigurationError if ``name_needed`` and nothing says under which name browsers connect, and for a
    certificate without its key.
    """
    if bool(front.certificate) != bool(front.key):
        raise ConfigurationError("--certificate and --key go together: give both, or none for Let's Encrypt's files")
    plan = plan_for(
        loaded,
        server_name_of(loaded, front.server_name, needed=name_needed),
        connections,
        tls_port=tls_port_of(loaded, front.listen),
        http_port=front.http_port,
        certificate=front.certificate,
        key=front.key,
        nodes=nodes,
        api_is_internal=api.api == "internal",
        api_from=tuple(api.api_from or ()),
    )
    _warn_of_other_address(loaded, plan)
    return plan


def plan_of_application(
    loaded: Loaded, server_name: str | None, listen: int | None, nodes: tuple[str, ...]
) -> DeployPlan:
    """Return the plan for an application beside the server, or beside ``nodes``; the options are those of a proxy."""
    if server_name is None and listen is None:
        return replace(plan_of_service(loaded, None, None), nodes=nodes)
    name = server_name_of(loaded, server_name, needed=False)
    return plan_for(loaded, name, None, tls_port=tls_port_of(loaded, listen), nodes=nodes)


def command_for_env_lines(loaded: Loaded, plan: DeployPlan, config: Path | None) -> str:
    """Return the command that prints the ``.env`` lines for a server, or a proxy, of this plan."""
    words = [soundpost_command(), "deploy", "env"]
    usual = address_of_browsers(loaded, plan_of_application(loaded, None, None, ()))
    if address_of_browsers(loaded, plan) != usual:
        words += ["--server-name", plan.server_name, "--listen", str(plan.tls_port)]
    for node in plan.nodes:
        words += ["--node", node]
    return " ".join([*words, *(["--config", shlex.quote(str(config))] if config is not None else [])])


def address_of_browsers(loaded: Loaded, plan: DeployPlan) -> ServerAddress:
    """Return the address at which browsers connect once the plan is carried out."""
    return ServerAddress(plan.scheme, plan.server_name, plan.tls_port, browser_address(loaded).path)


def _warn_of_other_address(loaded: Loaded, plan: DeployPlan) -> None:
    """Warn if the public address differs from the one that the proxy serves."""
    public, served = browser_address(loaded), address_of_browsers(loaded, plan)
    public = public._replace(host=name_as_sent(public.host))
    if loaded.public.host and public != served:
        loaded.warnings.append(
            f"browsers connect to {public_url(public)}, but this proxy serves {public_url(served)}: "
            f'set public_url = "{public_url(served)}" under [server]'
        )
    if served.path != plan.prefix:
        loaded.warnings.append(
            f"browsers get the path {served.path!r}, but the server's path is {plan.prefix!r}, and this proxy "
            f'forwards paths unchanged: set path = "{served.path}" under [server]'
        )


def certificate_state(plan: DeployPlan, output: OutputOptions) -> CertificateState:
    """Return the state of the certificate where the proxy runs: unknown for files below another root."""
    return state_of(plan) if output.root is None else CertificateState.UNKNOWN


def refuse_site_of_others(files: Sequence[Path], loaded: Loaded, plan: DeployPlan, output: OutputOptions) -> None:
    """Warn of a site that the name has in Nginx already. Raises ConfigurationError if another were to be written."""
    if not files:
        return
    warning = (
        f"{plan.server_name} has a site in Nginx already, in {', '.join(map(str, files))}, which a second file would "
        "replace: --also-site adds Soundpost to that site"
    )
    if output.write and not output.force:
        raise ConfigurationError(f"{warning}; --force writes it anyway")
    loaded.warnings.append(warning)
