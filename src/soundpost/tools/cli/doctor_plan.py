"""Plan of ``soundpost doctor``, from options, ``.env`` files and configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import typer

from soundpost.config import Loaded
from soundpost.core.app_settings import AppSettings
from soundpost.environment import plain_value
from soundpost.errors import ConfigurationError
from soundpost.tools.cli.addresses import ServerAddress, browser_address, local_address, published_address
from soundpost.tools.cli.calling_application import load_here
from soundpost.tools.cli.running import find_running
from soundpost.tools.doctor import CheckPlan
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.dotenv import Value, read_env_file
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.hosts import is_unspecified
from soundpost.tools.doctor.network import connect, look_up_addresses

_OF_APPLICATIONS: Final = ("SOUNDPOST_PUBLIC_", "SOUNDPOST_BROADCAST_", "SOUNDPOST_URL", "SOUNDPOST_DELIVER")
"""Settings of an application, which the server does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """Options of the command line; None stands for an option not given."""

    url: str | None
    backend_url: str | None
    key: str | None
    app_id: str | None
    secret: str | None = field(repr=False)
    origin: str | None
    env: tuple[Path, ...]
    config: Path | None
    connections: int | None
    slow: bool
    insecure: bool


def plan_of(options: DoctorOptions) -> CheckPlan:
    """Return the plan. Raises BadParameter, and ConfigurationError for a configuration that cannot be used."""
    public, key = _address_and_key(options)
    files = tuple(read_env_file(path) for path in options.env)
    here = Path(".env")
    if not files and options.url is None and here.is_file():
        files = (read_env_file(here),)
    env = EnvSettings(files)
    plan = CheckPlan(
        public=public or _public_of(env, os.environ),
        given_public=public,
        backend=None if options.backend_url is None else _place(options.backend_url, "--backend-url"),
        key=key or _text(env.app("KEY")) or _text(env.frontend("APP_KEY")),
        app_id=options.app_id or _text(env.app("ID")),
        secret=options.secret or _text(env.app("SECRET")),
        origin=options.origin or _page_of(env),
        verify=not options.insecure,
        slow=options.slow,
        connections=options.connections,
        files=files,
    )
    plan = _with_configuration(plan, options)
    if plan.backend is None:
        plan = replace(plan, backend=_backend_of(env) or plan.public)
    if plan.public is not None and not plan.key:
        raise typer.BadParameter("--key is missing: the app's key, with which browsers connect")
    if plan.public is None and not files and plan.connections is None:
        raise typer.BadParameter(
            "nothing to examine: no server is configured or running here. Give --url https://ws.example.com --key KEY, "
            "or --env with a .env file, or call it where soundpost.toml is"
        )
    return plan


def _address_and_key(options: DoctorOptions) -> tuple[BaseUrl | None, str]:
    """Return base URL and key of ``--url``, which may be a whole WebSocket URL from a browser's console."""
    if options.url is None:
        return None, options.key or ""
    place = _place(options.url, "--url")
    head, found, key = urlsplit(options.url).path.rpartition("/app/")
    if found and key:
        return place._replace(path=head.rstrip("/")), options.key or unquote(key)
    return place, options.key or ""


def _place(url: str, option: str) -> BaseUrl:
    try:
        return parse_base_url(url)
    except ConfigurationError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def _with_configuration(plan: CheckPlan, options: DoctorOptions) -> CheckPlan:
    """Return the plan, filled from the configuration here where options and files say nothing."""
    try:
        loaded = load_here(options.config)
    except ConfigurationError:
        if options.url is None or options.config is not None:
            raise
        return plan  # another server is examined: the configuration here does not matter
    if loaded.generated:
        return plan if plan.public is not None or options.env else _with_running(plan, loaded)
    app = _app(loaded, plan)
    if app is None:
        return plan
    plan = replace(plan, key=plan.key or app.key, app_id=plan.app_id or app.id, secret=plan.secret or app.secret)
    server = loaded.settings.server
    inside = _place_of(local_address(server))
    if server.unix_socket is not None:
        inside = inside._replace(host="localhost", port=80, unix_socket=server.unix_socket)
    if plan.given_public is not None and options.config is None and not _listens(inside):
        return plan  # the server that was named is not on this machine
    return replace(
        plan,
        public=plan.public or _place_of(browser_address(loaded)),
        backend=plan.backend or _published(loaded),
        inside=inside,
        settings=loaded.settings,
        origin=plan.origin or _allowed_origin(app, plan.public or _place_of(browser_address(loaded))),
        config_warnings=tuple(each for each in loaded.warnings if not any(name in each for name in _OF_APPLICATIONS)),
    )


def _with_running(plan: CheckPlan, loaded: Loaded) -> CheckPlan:
    """Return the plan, filled from the server that runs here with credentials for one run, if there is one."""
    running = find_running(None, loaded.settings.server.port)
    if running is None:
        return plan
    place = parse_base_url(running.url)
    return replace(
        plan,
        public=place,
        backend=place,
        inside=place,
        settings=loaded.settings,
        key=running.key,
        app_id=running.app_id,
        secret=running.secret,
    )


def _app(loaded: Loaded, plan: CheckPlan) -> AppSettings | None:
    """Return the configured app with the plan's id or key, or the first app."""
    for app in loaded.settings.apps:
        if plan.app_id in ("", app.id) and plan.key in ("", app.key):
            return app
    return None


def _published(loaded: Loaded) -> BaseUrl | None:
    """Return the URL that applications publish to; None for a server on a Unix socket only."""
    is_told = loaded.backend.host is not None or loaded.settings.server.unix_socket is None
    return _place_of(published_address(loaded)) if is_told else None


def _allowed_origin(app: AppSettings, public: BaseUrl) -> str | None:
    """Return an origin that the app allows; None if it allows any, or patterns only."""
    if "*" in app.allowed_origins:
        return None
    plain = [origin for origin in app.allowed_origins if "*" not in origin]
    if not plain:
        return None
    return plain[0].rstrip("/") if "://" in plain[0] else f"{public.scheme}://{plain[0]}"


def _public_of(env: EnvSettings, environ: Mapping[str, str]) -> BaseUrl | None:
    """Return the URL to which environment or files send browsers."""
    own = {name: plain_value(environ, f"SOUNDPOST_PUBLIC_{name}") for name in ("HOST", "PORT", "SCHEME", "PATH")}
    host = own["HOST"] or _text(env.public("HOST")) or _text(env.frontend("HOST"))
    if not host or is_unspecified(host) or "/" in host:
        return None
    port = own["PORT"] or _text(env.public("PORT")) or _text(env.frontend("PORT"))
    scheme = own["SCHEME"] or _text(env.public("SCHEME")) or _text(env.frontend("SCHEME"))
    path = own["PATH"] or _text(env.public("PATH"))
    if scheme not in ("http", "https"):
        scheme = "https" if port in ("443", "") or env.frontend("HOST") else "http"
    return _checked(scheme, host, port, path)


def _backend_of(env: EnvSettings) -> BaseUrl | None:
    """Return the URL to which the files let applications publish."""
    host, port, scheme = (_text(env.backend(name)) for name in ("HOST", "PORT", "SCHEME"))
    if not host or "/" in host:
        return None
    return _checked(scheme or ("https" if port == "443" else "http"), host, port, _text(env.named("SOUNDPOST_PATH")))


def _checked(scheme: str, host: str, port: str, path: str) -> BaseUrl | None:
    shown = f"[{host}]" if ":" in host else host
    try:
        return parse_base_url(f"{scheme}://{shown}{f':{port}' if port else ''}/{path.strip('/')}")
    except (ConfigurationError, ValueError):
        return None  # the check of the files names what is wrong


def _page_of(env: EnvSettings) -> str | None:
    """Return the origin of a Laravel application's pages."""
    page = urlsplit(_text(env.named("APP_URL")))
    return f"{page.scheme}://{page.netloc}" if page.scheme in ("http", "https") and page.netloc else None


def _place_of(address: ServerAddress) -> BaseUrl:
    return BaseUrl(address.scheme, address.host, address.port, address.path)


def _text(value: Value | None) -> str:
    return value.text.strip() if value is not None else ""


def _listens(place: BaseUrl) -> bool:
    try:
        connect(place, look_up_addresses(place), 1.0).sock.close()
    except FaultFound:
        return False
    return True
