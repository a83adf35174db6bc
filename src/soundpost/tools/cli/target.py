"""Server and app for ``trigger``, ``listen`` and ``bench``: from options, configuration, or a running server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.wire.addresses import AddressError, host_of, path_of, split_url

if TYPE_CHECKING:
    from soundpost.config import Loaded
    from soundpost.tools.cli.addresses import ServerAddress

_SERVER = "Server (default: the one configured here, or running here)"
_APP = "App (default: the one configured here, or of the server running here)"

UrlOption = Annotated[
    str | None,
    typer.Option(help="Base address, such as https://ws.example.com.", rich_help_panel=_SERVER, show_default=False),
]
HostOption = Annotated[str | None, typer.Option(help="Host.", rich_help_panel=_SERVER, show_default=False)]
PortOption = Annotated[int | None, typer.Option(help="Port.", rich_help_panel=_SERVER, show_default=False)]
SchemeOption = Annotated[str | None, typer.Option(help="http or https.", rich_help_panel=_SERVER, show_default=False)]
PathOption = Annotated[str | None, typer.Option(help="Path prefix.", rich_help_panel=_SERVER, show_default=False)]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Accept any TLS certificate.", rich_help_panel=_SERVER)
]
AppIdOption = Annotated[str | None, typer.Option(help="App id.", rich_help_panel=_APP, show_default=False)]
KeyOption = Annotated[str | None, typer.Option(help="App key.", rich_help_panel=_APP, show_default=False)]
SecretOption = Annotated[str | None, typer.Option(help="App secret.", rich_help_panel=_APP, show_default=False)]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Configuration file.", rich_help_panel=_APP, show_default="soundpost.toml")
]


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """Options of the command line; None stands for an option not given."""

    url: str | None = None
    host: str | None = None
    port: int | None = None
    scheme: str | None = None
    path: str | None = None
    app_id: str | None = None
    key: str | None = None
    secret: str | None = field(default=None, repr=False)
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Base URL of a server, and the credentials of one of its apps; empty where unknown."""

    base_url: str
    app_id: str
    key: str
    secret: str = field(repr=False)
    for_this_run: bool = False
    """True if the credentials are those that a running server made for its run, which applications do not have."""


def resolve(options: TargetOptions, needs: tuple[str, ...]) -> Target:
    """Return the target. ``needs`` of ``app_id``, ``key`` and ``secret`` must be known.

    Raises ConfigurationError, and BadParameter for options that contradict each other.
    """
    _check(options)
    if all(getattr(options, name) for name in needs) and (options.url or options.host):
        return _filled(options, options.url or _address(options, None).url, "", "", "")

    from soundpost.config.load import LOCAL_HOSTS
    from soundpost.tools.cli.calling_application import load_here
    from soundpost.tools.cli.running_server import find_running

    loaded = load_here(options.config)
    if not loaded.generated:
        if options.app_id is None and options.key is None:
            options = replace(options, app_id=loaded.app_id)
        app_id, key, secret = _app(options, loaded)
        return _filled(options, options.url or _address(options, loaded).url, app_id, key, secret)
    host = options.host or loaded.backend.host
    elsewhere = options.url is not None or (host is not None and host not in LOCAL_HOSTS)
    running = None if elsewhere else find_running(options.port, loaded.settings.server.port)
    if running is not None:
        target = _filled(options, running.url, running.app_id, running.key, running.secret)
        return replace(target, for_this_run=target.secret == running.secret)
    target = _filled(options, options.url or _address(options, loaded).url, "", "", "")
    missing = [name for name in needs if not getattr(target, name)]
    if missing:
        raise ConfigurationError(
            f"no app is configured here and no server with credentials of its own runs{_at(options)}: start one with "
            f"'soundpost start', set {', '.join(_VARIABLES[name] for name in missing)}, or give "
            f"{', '.join(_OPTIONS[name] for name in missing)}"
        )
    return target


_OPTIONS = {"app_id": "--app-id", "key": "--key", "secret": "--secret"}
_VARIABLES = {"app_id": "SOUNDPOST_APP_ID", "key": "SOUNDPOST_APP_KEY", "secret": "SOUNDPOST_APP_SECRET"}


def _check(options: TargetOptions) -> None:
    if options.url is not None:
        if options.host or options.port is not None or options.scheme or options.path:
            raise typer.BadParameter(
                "--url has all parts of the address: leave out --host, --port, --scheme and --path"
            )
        try:
            split_url(options.url)
        except AddressError as error:
            raise typer.BadParameter(f"--url {redacted(options.url)}: {error}") from None
        if not options.url.startswith(("http://", "https://")):
            raise typer.BadParameter(
                f"--url {redacted(options.url)}: expected an address such as https://ws.example.com"
            )
    if options.host is not None:
        try:
            host_of(options.host)
        except AddressError as error:
            raise typer.BadParameter(f"--host {error}") from None
    if options.path is not None:
        try:
            path_of(options.path)
        except AddressError as error:
            raise typer.BadParameter(f"--path {error}") from None
    if options.scheme not in (None, "http", "https"):
        raise typer.BadParameter(f"--scheme {options.scheme!r}: expected http or https")
    if options.port is not None and not 0 < options.port < 65536:
        raise typer.BadParameter(f"--port {options.port}: expected a number from 1 to 65535")


def _filled(options: TargetOptions, base_url: str, app_id: str, key: str, secret: str) -> Target:
    return Target(base_url, options.app_id or app_id, options.key or key, options.secret or secret)


def _app(options: TargetOptions, loaded: Loaded) -> tuple[str, str, str]:
    """Return id, key and secret of the configured app that options name, or of the first app."""
    apps = loaded.settings.apps
    for app in apps:
        if options.app_id in (None, app.id) and options.key in (None, app.key):
            return app.id, app.key, app.secret
    if options.key and options.secret:
        return apps[0].id, "", ""
    known = ", ".join(app.id for app in apps)
    raise ConfigurationError(
        f"no configured app has this {'--app-id' if options.app_id else '--key'}; configured are the apps {known}: "
        "for another one give --app-id, --key and --secret"
    )


def _address(options: TargetOptions, loaded: Loaded | None) -> ServerAddress:
    """Return the address in options; else that of ``SOUNDPOST_HOST/PORT/SCHEME``; else the configured server's own."""
    from soundpost.config import ServerSettings
    from soundpost.tools.cli.addresses import ServerAddress, local_address, published_address

    if loaded is None or options.host or options.port is not None:
        base = local_address(loaded.settings.server if loaded else ServerSettings())
    else:
        base = published_address(loaded)
    scheme = options.scheme or ("https" if options.port == 443 else base.scheme)
    usual = {"https": 443, "http": 80}[scheme] if options.scheme and options.host else base.port
    path = base.path if options.path is None else "/" + options.path.strip("/") if options.path.strip("/") else ""
    return ServerAddress(scheme, options.host or base.host, options.port or usual, path)


def _at(options: TargetOptions) -> str:
    return f" on port {options.port}" if options.port is not None else ""
