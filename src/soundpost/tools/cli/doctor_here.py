"""Facts for the doctor from the configuration of this folder: addresses, the app, the server's machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from soundpost.config import Loaded, ServerSettings
from soundpost.config.load import LOCAL_HOSTS
from soundpost.core.app_settings import AppSettings
from soundpost.environment.placeholders import is_placeholder
from soundpost.environment.toml_document import FILE_NAME
from soundpost.tools.cli.addresses import ServerAddress, browser_address, local_address, published_address
from soundpost.tools.cli.calling_application import calling_application
from soundpost.tools.cli.running_server import find_running
from soundpost.tools.doctor import CheckPlan
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.hosts import is_loopback, is_unspecified
from soundpost.tools.doctor.plan import UnknownPublic
from soundpost.tools.doctor.sourced_address import SourcedAddress, app_url_in, backend_in, locations_of, public_in
from soundpost.wire.addresses import is_loopback_host

_OF_APPLICATIONS: Final = ("SOUNDPOST_PUBLIC_", "SOUNDPOST_BROADCAST_", "SOUNDPOST_URL", "SOUNDPOST_DELIVER")
"""Settings of an application, which the server does not know."""
_PARTS: Final = ("URL", "HOST", "PORT", "SCHEME")


class PublicHere(NamedTuple):
    """Address for browsers by the configuration here."""

    address: SourcedAddress
    is_stated: bool
    """True if a setting for it says the address: ``public_url``, or ``SOUNDPOST_PUBLIC_…``."""
    is_known: bool
    """True if the address can be right: false for the own address of a server that listens on loopback only, while the
    configuration speaks of another name, or of none at all."""


def public_here(loaded: Loaded, here: EnvSettings, config: Path | None) -> PublicHere:
    """Return the address for browsers; ``here`` are the variables of environment and ``.env``."""
    address = _base_url_of(browser_address(loaded))
    public = loaded.public
    if any(part is not None for part in (public.host, public.port, public.scheme, public.path)):
        source = locations_of(here.public(part) for part in _PARTS) or _configured_public(config)
        is_known = public.host is not None or not _is_behind_a_proxy(loaded)
        return PublicHere(SourcedAddress(address, source), is_stated=is_known, is_known=is_known)
    frontend = public_in(here)
    if frontend is not None:
        return PublicHere(frontend, is_stated=False, is_known=True)
    application = calling_application().server
    if application is not None:
        source = application.location
    else:
        source = (loaded.backend.host is not None and _published_locations(here)) or f"{config or FILE_NAME}: [server]"
    return PublicHere(SourcedAddress(address, source), is_stated=False, is_known=not _is_behind_a_proxy(loaded))


def _configured_public(config: Path | None) -> str:
    application = calling_application().server
    if application is not None and any(application.public.values()):
        return application.location
    return f"{config or FILE_NAME}: public_url"


def unknown_public(loaded: Loaded) -> UnknownPublic:
    """Return why the address for browsers is unknown, and an address to try."""
    server = loaded.settings.server
    where = "on a Unix socket" if server.unix_socket is not None else f"on {server.host}"
    if server.hostname is None or is_loopback_host(server.hostname):
        return UnknownPublic(f"the server listens {where} only", None)
    guess = BaseUrl("https", server.hostname, 443, server.path)
    return UnknownPublic(f"hostname is {server.hostname}, but the server listens {where} only", guess)


def backend_here(loaded: Loaded, here: EnvSettings) -> SourcedAddress | None:
    """Return the address to which applications publish; None for a server on a Unix socket only."""
    application = calling_application().server
    if application is not None:
        return SourcedAddress(_base_url_of(published_address(loaded)), application.location)
    if app_url_in(here) is not None:
        return backend_in(here)
    if loaded.backend.host is None and loaded.settings.server.unix_socket is not None:
        return None
    source = _published_locations(here) or "the server's own address"
    return SourcedAddress(_base_url_of(published_address(loaded)), source)


def inside_of(server: ServerSettings) -> BaseUrl:
    """Return the address at which the server listens, for programs of its machine."""
    inside = _base_url_of(local_address(server))
    if server.unix_socket is not None:
        inside = inside._replace(host="localhost", port=80, unix_socket=server.unix_socket)
    return inside


def running_here(plan: CheckPlan, loaded: Loaded) -> CheckPlan:
    """Return the plan, filled from the server that runs here with credentials for one run, if there is one."""
    running = find_running(None, loaded.settings.server.port)
    if running is None:
        return plan
    base_url = parse_base_url(running.url)
    return replace(
        plan,
        public=base_url,
        backend=base_url,
        inside=base_url,
        settings=msgspec.structs.replace(loaded.settings, apps=()),  # each run has new credentials
        key=running.key,
        app_id=running.app_id,
        secret=running.secret,
    )


def chosen_app(loaded: Loaded, app_id: str, key: str) -> AppSettings | None:
    """Return the configured app with this id and key, of which either may be empty; None if there is none."""
    for app in loaded.settings.apps:
        if app_id in ("", app.id) and key in ("", app.key):
            return app
    return None


def allowed_origin(app: AppSettings, public: BaseUrl) -> str | None:
    """Return an origin that the app allows; None if it allows any, or patterns only."""
    if "*" in app.allowed_origins:
        return None
    plain = [origin for origin in app.allowed_origins if "*" not in origin]
    if not plain:
        return None
    return plain[0].rstrip("/") if "://" in plain[0] else f"{public.scheme}://{plain[0]}"


def config_warnings(loaded: Loaded) -> tuple[str, ...]:
    """Return the configuration's warnings, without those of settings that are an application's."""
    return tuple(each for each in loaded.warnings if not any(name in each for name in _OF_APPLICATIONS))


def tls_ports(loaded: Loaded) -> tuple[int, ...]:
    """Return the ports at which browsers may find TLS: the usual one, and that of ``public_url``."""
    url = loaded.settings.server.public_url
    address = None if url is None else parse_base_url(url)
    return (443,) if address is None or not address.is_tls else tuple(dict.fromkeys((address.port, 443)))


def server_files(loaded: Loaded, config: Path | None) -> tuple[Path, ...]:
    """Return the files that the server reads at its start."""
    folder, tls = calling_application().directory, loaded.settings.server.tls
    names = [source for source in loaded.sources if source in (FILE_NAME, ".env")]
    names += [str(each) for each in (config, tls.certificate, tls.key) if each is not None]
    return tuple((folder / name).absolute() for name in names)


def placeholders_in(loaded: Loaded, plan: CheckPlan) -> tuple[str, ...]:
    """Return the locations of secrets that are well-known examples, other than the files that are examined."""
    application = calling_application().server
    own = "" if application is None else application.app["secret"]
    in_files = {value.text for file in plan.files for value in file.values.values()}
    return tuple(
        f"the secret of app {app.id}" + (f" in {application.location}" if application and app.secret == own else "")
        for app in loaded.settings.apps
        if is_placeholder(app.secret) and app.secret not in in_files
    )


def _is_behind_a_proxy(loaded: Loaded) -> bool:
    """Return whether browsers need a proxy whose address is unknown.

    A server on loopback without any name is one for development: its browsers are on the same machine.
    """
    server, host = loaded.settings.server, loaded.backend.host
    if host is not None and host not in LOCAL_HOSTS:
        return False
    if server.unix_socket is not None:
        return host is None
    has_name = server.hostname is not None and not (is_loopback(server.hostname) or is_unspecified(server.hostname))
    return has_name and is_loopback_host(server.host) and server.tls.certificate is None


def _published_locations(here: EnvSettings) -> str:
    return locations_of(here.backend(part) for part in ("HOST", "PORT", "SCHEME"))


def _base_url_of(address: ServerAddress) -> BaseUrl:
    return BaseUrl(address.scheme, address.host, address.port, address.path)
