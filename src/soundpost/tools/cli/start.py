"""Command ``soundpost start``: the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer

from soundpost.defaults import DEFAULT_PORT
from soundpost.tools.cli.start_log import StartLog, logged_start

if TYPE_CHECKING:
    from soundpost.config import Loaded
    from soundpost.config.settings import Settings
    from soundpost.server.connections.listening import Listening


def start(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="0.0.0.0; first runs 127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default=str(DEFAULT_PORT))
    ] = None,
    path: Annotated[str | None, typer.Option(help="Prefix of every path, such as /ws.", show_default="none")] = None,
    hostname: Annotated[str | None, typer.Option(help="Host name of the server, for printed snippets.")] = None,
    workers: Annotated[
        str | None, typer.Option(help="Processes that act as one server; auto: one for each core.", show_default="1")
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(help="Act as one with other hosts, over the Redis at this URL.", show_default="alone"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file.", show_default="soundpost.toml, if there is one")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print every message.")] = False,
    log_format: Annotated[str | None, typer.Option(help="Form of the log: text, or json.", show_default="text")] = None,
    log_level: Annotated[
        str | None, typer.Option(help="Lowest level in the log: debug, info, warning, error.", show_default="info")
    ] = None,
    dev: Annotated[bool, typer.Option("--dev", help="For development: --host 127.0.0.1 --debug.")] = False,
    playground: Annotated[
        bool | None,
        typer.Option("--playground/--no-playground", help="Serve the playground page.", show_default="first runs only"),
    ] = None,
) -> None:
    """Start the server.

    Without any configuration it makes credentials for this run and prints all that is needed to use it.
    Settings come from the command line, the environment (SOUNDPOST_…, or Laravel's REVERB_…), .env and
    soundpost.toml, in this order. Ctrl-C or SIGTERM stops it.

    \b
    [bold]Examples[/]
    soundpost start
    soundpost start --host 127.0.0.1 --port 9000 --debug
    soundpost start --workers auto --redis redis://10.0.0.5:6379
    SOUNDPOST_APP_ID=1 SOUNDPOST_APP_KEY=k SOUNDPOST_APP_SECRET=s soundpost start
    """
    from soundpost.tools.cli.calling_application import configuration_file, loader
    from soundpost.tools.cli.running_server import remove_server_file

    overrides = {
        "server.host": "127.0.0.1" if dev and host is None else host,
        "server.port": port,
        "server.path": path,
        "server.workers": workers,
        "scaling.redis": redis,
        "server.hostname": hostname,
        "server.playground": playground,
        "server.log_format": log_format,
        "server.log_level": log_level,
    }

    from soundpost.server.processes.run import run

    read = loader(config, overrides)
    announced: list[Path] = []
    with logged_start(log_format) as log:
        loaded = read()
        log.begin(loaded.settings.server, debug=debug or dev)
        for warning in (*loaded.warnings, *_address_mismatch_warnings(loaded, config), *_placeholders(loaded.settings)):
            log.warn(warning)
        try:
            run(
                loaded.settings,
                debug=debug or dev,
                playground=bool(loaded.settings.server.playground),
                on_ready=lambda listening: announced.extend(_report_ready(loaded, listening, log)),
                load=None if loaded.generated else lambda: _configured(read()),
                configuration=str(configuration_file(config)),
            )
        finally:
            for file in announced:
                remove_server_file(file)


def _address_mismatch_warnings(loaded: Loaded, config: Path | None) -> Iterator[str]:
    """Yield a warning if applications in this folder publish to another address than this server has."""
    from soundpost.tools.cli.address_mismatch import address_mismatch
    from soundpost.tools.cli.calling_application import calling_application, loader

    if config is None and calling_application().server is None:  # a calling application warns for itself
        warning = address_mismatch(loaded, loader(None, {}))
        if warning is not None:
            yield warning


def _configured(loaded: Loaded) -> Settings:
    """Return the settings for a running server. Raises ConfigurationError if no app is left."""
    from soundpost.errors import ConfigurationError

    if loaded.generated:
        raise ConfigurationError(
            "no app is configured any more: write its id, key and secret into soundpost.toml or the environment again"
        )
    return loaded.settings


def _report_ready(loaded: Loaded, listening: Listening, log: StartLog) -> list[Path]:
    """Print the banner, or log that the server listens; return the files to remove at the end."""
    from soundpost.server.processes.logs import stdout
    from soundpost.tools.cli.addresses import ServerAddress, browser_address, local_address
    from soundpost.tools.cli.banner import Banner
    from soundpost.tools.cli.running_server import write_server_file
    from soundpost.wire.addresses import is_loopback_host

    server, apps = loaded.settings.server, loaded.settings.apps
    local = local_address(server, listening.port)
    shown = ServerAddress("https" if listening.tls else "http", listening.host, listening.port, listening.path).url
    if server.unix_socket is not None:
        shown = f"unix:{server.unix_socket}"
    here_only = server.unix_socket is not None or is_loopback_host(server.host)
    network_host = None if here_only or not server.playground else _network_host(server.host)
    log.listens(shown, apps)
    if not loaded.generated:
        if log.has_banner:
            Banner(cast("IO[str]", stdout())).configured(
                shown, apps, local if server.playground else None, network_host=network_host
            )
        elif server.playground:
            log.offers_playground(local, network_host)
        return []
    app = apps[0]
    file = None
    if server.unix_socket is None:
        file = write_server_file(listening.port, local.url, app.id, app.key, app.secret)
    browser = browser_address(loaded, listening.port)
    Banner(cast("IO[str]", stdout())).first_run(
        shown,
        app,
        local,
        browser,
        playground=bool(server.playground),
        announced=file is not None,
        here_only=here_only,
        network_host=network_host,
    )
    return [] if file is None else [file]


def _network_host(host: str) -> str | None:
    """Return the host by which other machines reach a server that listens at ``host``; None without a network."""
    from soundpost.tools.cli.network_address import address_in_network
    from soundpost.wire.addresses import UNSPECIFIED

    return address_in_network() if host in UNSPECIFIED else host


def _placeholders(settings: Settings) -> Iterator[str]:
    """Yield a warning for each app whose secret is an example of documentation."""
    from soundpost.environment.placeholders import is_placeholder

    for app in settings.apps:
        if is_placeholder(app.secret):
            yield (
                f"the secret of app {app.id} is a placeholder that everybody knows: with it anybody may publish and "
                "subscribe as your application. 'openssl rand -hex 16' makes a new one"
            )
