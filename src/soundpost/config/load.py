"""Load the configuration: command line, environment, ``.env``, ``soundpost.toml``, defaults, in this order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import msgspec

from soundpost.config.application import ApplicationServer
from soundpost.config.apps_section import build_apps, generated, have_no_credentials, nested, with_variables
from soundpost.config.options import OPTIONS, Setting, Values
from soundpost.config.other_servers import warnings_of_unread_variables
from soundpost.config.settings import (
    BackendAddress,
    DashboardSettings,
    MetricsSettings,
    PublicAddress,
    ScalingSettings,
    ServerSettings,
    Settings,
)
from soundpost.config.toml_file import TomlFile
from soundpost.config.url_variable import values_of_url
from soundpost.config.values import from_toml
from soundpost.config.variables import read_variables
from soundpost.environment.dotenv_file import read_dotenv
from soundpost.environment.toml_document import FILE_NAME, is_file
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted_url
from soundpost.wire.addresses import UNSPECIFIED, is_loopback_host, parse_public_url

LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")
"""Hosts that mean this machine."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The loaded configuration, its sources, and warnings."""

    settings: Settings
    app_id: str | None
    """The id of the app that variables or an application's settings name; None if the first app is meant."""
    generated: bool
    """True if no app was configured: the only app has credentials generated for this run."""
    backend: BackendAddress
    """The configured address to which applications publish; used by snippets and ``soundpost trigger``."""
    public: PublicAddress
    """The configured address at which browsers connect, with the parts of ``server.public_url``."""
    sources: tuple[str, ...]
    """The files that values came from."""
    warnings: list[str]
    """Sentences about settings that are valid, but perhaps not as their author thinks."""


def load(
    *,
    environ: Mapping[str, str],
    directory: Path,
    config_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    application: ApplicationServer | None = None,
) -> Loaded:
    """Return the configuration of a server started in ``directory``.

    ``config_file`` replaces ``soundpost.toml`` in that directory, and must exist. ``overrides`` are the options of the
    command line, ``{"server.port": 9000}``; None stands for an option not given. ``application`` is the application
    that has called the command: its settings win over those outside. Raises ConfigurationError.
    """
    warnings: list[str] = []
    sources: list[str] = []
    values = _command_line(overrides or {}, warnings)
    _add_missing(values, application.values() if application is not None else {})
    _add_missing(values, read_variables(environ, "environment", warnings))
    dotenv: dict[str, str] = {}
    if is_file(directory / ".env"):
        dotenv = read_dotenv(directory / ".env", environ, warnings)
        from_dotenv = read_variables(dotenv, ".env", warnings)
        sources += [".env"] if from_dotenv else []
        _add_missing(values, from_dotenv)
    _add_missing(values, application.listening() if application is not None else {})
    file = _toml_file(config_file, directory, {**dotenv, **environ})
    app_values = {keys: setting for keys, setting in values.items() if keys[0] == "app"}
    apps: list[Values] = []
    if file is not None:
        sources.append(str(config_file or FILE_NAME))
        warnings += file.warnings
        _add_missing(values, file.values)
        apps = file.apps
    locations = [file.app_location(number) for number in range(len(apps))] if file is not None and apps else [""]
    apps = with_variables(apps, app_values, warnings if application is None else [])
    fresh = have_no_credentials(apps) and not (file is not None and file.apps)
    both = (("environment", environ), (".env", dotenv))
    if fresh:
        of_url = next(filter(None, (values_of_url(variables, source) for source, variables in both)), {})
        _add_missing(values, of_url)
        url_app = _section_values(of_url, "app")
        apps = [{**(apps[0] if apps else {}), **url_app}] if url_app else apps
        fresh = not url_app
    for source, variables in both:
        warnings += warnings_of_unread_variables(variables, source, has_app=not fresh)
    if fresh:
        apps = [generated(apps[0] if apps else {})]
    server = _server(values, fresh)
    backend = msgspec.convert(nested(_section_values(values, "backend")), BackendAddress)
    if application is None:
        _warn_of_mixed_ports(values, server, warnings)
    elif warning := application.other_port(server.port):
        warnings.append(warning)
    scaling = msgspec.convert(nested(_section_values(values, "scaling")), ScalingSettings)
    settings = Settings(
        server=server,
        scaling=scaling,
        dashboard=_dashboard(values),
        metrics=_metrics(values),
        apps=build_apps(apps, locations, warnings),
    )
    _refuse_shared_ports(settings)
    if application is None:
        warnings += _warnings_of_another_url(both, settings)
    app_id = app_values.get(("app", "id"))
    return Loaded(
        settings,
        None if app_id is None else app_id.value,
        fresh,
        backend,
        _public(values, server),
        tuple(sources),
        warnings,
    )


def _warnings_of_another_url(sources: Iterable[tuple[str, Mapping[str, str]]], settings: Settings) -> Iterator[str]:
    """Yield a warning if applications here publish to an app of ``SOUNDPOST_URL`` that this server does not have."""
    for source, variables in sources:
        try:
            app = values_of_url(variables, source).get(("app", "id"))
        except ConfigurationError as error:
            yield str(error)
            continue
        if app is not None:
            if app.value not in (each.id for each in settings.apps):
                yield (
                    f"{app.location} names app {app.value!r}, which this server does not have: applications here "
                    "publish to that app, wherever it is"
                )
            return


def _command_line(overrides: Mapping[str, object], warnings: list[str]) -> Values:
    values: Values = {}
    for name, value in overrides.items():
        if value is None:
            continue
        option = OPTIONS[tuple(name.split("."))]
        location = f"command line: --{option.keys[-1].replace('_', '-')}"
        values[option.keys] = Setting(from_toml(option, value, location, strict=not isinstance(value, str)), location)
        if option.is_secret and isinstance(value, str) and redacted_url(value) != value:
            warnings.append(
                f"{location} has a password, which everybody on this machine sees in the list of processes: set "
                f"{option.variable}, or {option.variable}_FILE to a file with the URL"
            )
    return values


def _add_missing(values: Values, lower: Values) -> None:
    """Add the values of a source that ranks ``lower``, where no source before it has one."""
    has_public_url = ("server", "public_url") in values
    for keys, setting in lower.items():
        if not (has_public_url and keys[0] == "public"):  # parts of an older address
            values.setdefault(keys, setting)


def _section_values(values: Values, section: str) -> Values:
    return {keys: setting for keys, setting in values.items() if keys[0] == section}


def _toml_file(config_file: Path | None, directory: Path, variables: Mapping[str, str]) -> TomlFile | None:
    path = config_file or directory / FILE_NAME
    if config_file is None and not is_file(path):
        return None
    return TomlFile(path, str(config_file or FILE_NAME), variables.get)


def _server(values: Values, fresh: bool) -> ServerSettings:
    tls = {keys[-1]: values[keys] for keys in values if keys[:2] == ("server", "tls")}
    for name in ("key", "passphrase"):
        if name in tls and tls[name].value and not ("certificate" in tls and tls["certificate"].value):
            raise ConfigurationError(f"{tls[name].location} is set without a certificate: set tls.certificate too")
    server = msgspec.convert(nested(_section_values(values, "server")), ServerSettings)
    path = server.path.strip("/")
    # Without configured credentials, serve this machine only: the playground signs and publishes for every visitor.
    host = "127.0.0.1" if fresh and ("server", "host") not in values else server.host
    here_only = server.unix_socket is not None or is_loopback_host(host)
    return msgspec.structs.replace(
        server,
        host=host,
        path=f"/{path}" if path else "",
        playground=fresh and here_only if server.playground is None else server.playground,
    )


def _dashboard(values: Values) -> DashboardSettings:
    dashboard = msgspec.convert(nested(_section_values(values, "dashboard")), DashboardSettings)
    if dashboard.is_on and dashboard.password_hash is None and not is_loopback_host(dashboard.host):
        raise ConfigurationError(
            f"{values['dashboard', 'host'].location}={dashboard.host}: without a password the dashboard is for this "
            "machine only, since everybody who reaches it sees all clients and can publish. Call 'soundpost "
            "dashboard password', and write the printed line below [dashboard]"
        )
    return dashboard


def _metrics(values: Values) -> MetricsSettings:
    metrics = msgspec.convert(nested(_section_values(values, "metrics")), MetricsSettings)
    if metrics.is_on and metrics.token is None and not is_loopback_host(metrics.host):
        raise ConfigurationError(
            f"{values['metrics', 'host'].location}={metrics.host}: without a token metrics are for this machine only, "
            "since they name apps and webhooks. Set token below [metrics] (or SOUNDPOST_METRICS_TOKEN) to a long "
            "random text, such as 'openssl rand -hex 20' prints, and let Prometheus send it as its bearer token"
        )
    return metrics


def _refuse_shared_ports(settings: Settings) -> None:
    """Raise ConfigurationError if clients, dashboard and metrics do not have a port each."""
    server, dashboard, metrics = settings.server, settings.dashboard, settings.metrics
    listeners = [] if server.unix_socket else [("server", server.host, server.port)]
    if dashboard.is_on and dashboard.port:
        listeners.append(("dashboard", dashboard.host, dashboard.port))
    if metrics.port:
        listeners.append(("metrics", metrics.host, metrics.port))
    for (one, host, port), (other, other_host, other_port) in combinations(listeners, 2):
        if port == other_port and (host == other_host or host in UNSPECIFIED or other_host in UNSPECIFIED):
            raise ConfigurationError(
                f"port {port} is that of [{one}] and of [{other}]: give [{other}] one of its own, such as "
                f"{'9100' if other == 'metrics' else '8090'}"
            )


def _public(values: Values, server: ServerSettings) -> PublicAddress:
    url = parse_public_url(server.public_url) if server.public_url else None
    parts = {} if url is None else {name: part for name, part in url._asdict().items() if part is not None}
    return msgspec.convert({**parts, **nested(_section_values(values, "public"))}, PublicAddress)


def _warn_of_mixed_ports(values: Values, server: ServerSettings, warnings: list[str]) -> None:
    """Warn of a ``SOUNDPOST_PORT`` that was probably meant as the port to listen on: a common mistake."""
    host, port = values.get(("backend", "host")), values.get(("backend", "port"))
    if port is None or port.value == server.port or (host is not None and host.value not in LOCAL_HOSTS):
        return
    listening = "REVERB_SERVER_PORT" if "REVERB_" in port.location else "SOUNDPOST_SERVER_PORT"
    warnings.append(
        f"{port.location}={port.value} is the port where applications publish, but this server listens on "
        f"{server.port} ({listening})"
    )
