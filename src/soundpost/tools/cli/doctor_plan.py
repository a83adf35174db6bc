"""Plan of ``soundpost doctor``: options first, then the files that they name, then the configuration here."""

from __future__ import annotations

import os
from dataclasses import replace

import typer

from soundpost.config import Loaded
from soundpost.config.application import ApplicationServer
from soundpost.errors import ConfigurationError
from soundpost.tools.cli.calling_application import calling_application, load_here
from soundpost.tools.cli.doctor_here import (
    allowed_origin,
    backend_here,
    chosen_app,
    config_warnings,
    inside_of,
    placeholders_in,
    public_here,
    running_here,
    server_files,
    tls_ports,
    unknown_public,
)
from soundpost.tools.cli.doctor_named import named_settings
from soundpost.tools.cli.doctor_options import DoctorOptions
from soundpost.tools.doctor import CheckPlan
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.dotenv import read_env_file
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.network import connect, look_up_addresses
from soundpost.tools.doctor.sourced_address import (
    SourcedAddress,
    app_url_in,
    backend_in,
    page_in,
    public_in,
    text_of,
    variables_of,
)


def plan_of(options: DoctorOptions) -> CheckPlan:
    """Return the plan. Raises BadParameter, and ConfigurationError for a configuration that cannot be used."""
    folder = calling_application().directory
    files = tuple(read_env_file(path) for path in options.env)
    named = named_settings(options, EnvSettings(files))
    if not files and options.url is None and (folder / ".env").is_file():
        files = (read_env_file(folder / ".env"),)
    here = EnvSettings((variables_of(os.environ), *files))
    plan = CheckPlan(
        stated_public=named.public if options.url else None,
        key=named.key.text,
        app_id=named.app_id.text,
        secret=named.secret.text,
        credential_sources={
            "key": named.key.location,
            "app_id": named.app_id.location,
            "secret": named.secret.location,
        },
        origin=options.origin or page_in(EnvSettings(files)),
        verify=not options.insecure,
        slow=options.slow,
        connections=options.connections,
        files=files,
    )
    plan = _with_addresses(plan, named.public, named.backend)
    plan = _with_configuration(plan, options, here)
    if plan.backend is None:
        plan = replace(plan, backend=plan.public, backend_source=plan.public_source)
    if plan.public is not None and not plan.key:
        raise typer.BadParameter("--key is missing: the app's key, with which browsers connect")
    if plan.public is None and not files and plan.connections is None and not plan.can_publish:
        raise typer.BadParameter(
            "nothing to examine: no server is configured or running here. Give --url https://ws.example.com --key KEY, "
            "or --env with a .env file, or call it where soundpost.toml is"
        )
    return plan


def _with_addresses(plan: CheckPlan, public: SourcedAddress | None, backend: SourcedAddress | None) -> CheckPlan:
    """Return the plan, with these addresses where it has none."""
    if plan.public is None and public is not None:
        plan = replace(plan, public=public.base_url, public_source=public.source)
    if plan.backend is None and backend is not None:
        plan = replace(plan, backend=backend.base_url, backend_source=backend.source)
    return plan


def _with_configuration(plan: CheckPlan, options: DoctorOptions, here: EnvSettings) -> CheckPlan:
    """Return the plan, with missing values from the configuration here."""
    try:
        loaded = load_here(options.config)
    except ConfigurationError:
        if options.url is None or options.config is not None:
            raise
        return plan  # another server is examined: the configuration here does not matter
    is_named = plan.public is not None or plan.backend is not None
    if loaded.generated:
        return _without_server(plan, options, here, loaded, is_named=is_named)
    application = calling_application().server
    is_app_named = bool(plan.app_id or plan.key)
    app = chosen_app(loaded, plan.app_id if is_app_named else loaded.app_id or "", plan.key)
    if app is None and options.url is not None:
        return plan
    if app is not None:
        plan = replace(plan, key=plan.key or app.key, app_id=plan.app_id or app.id, secret=plan.secret or app.secret)
        if application is not None and not is_app_named:
            plan = replace(plan, credential_sources=dict.fromkeys(("key", "app_id", "secret"), application.location))
    if application is not None and application.site_url:
        return _of_embedded_server(plan, options, here, loaded, application)
    inside = inside_of(loaded.settings.server)
    if is_named and options.config is None and not _is_examined(plan, options, inside, is_known=app is not None):
        return plan
    public = public_here(loaded, here, options.config)
    if public.is_stated:
        plan = replace(plan, stated_public=plan.stated_public or public.address)
    if plan.public is None and not public.is_known:
        plan = replace(plan, public=inside, public_source="the server itself", unknown_public=unknown_public(loaded))
    plan = _with_addresses(plan, public.address, backend_here(loaded, here))
    return replace(
        plan,
        inside=inside,
        settings=loaded.settings,
        origin=plan.origin or (None if app is None else allowed_origin(app, plan.public or inside)),
        config_warnings=config_warnings(loaded),
        server_files=server_files(loaded, options.config),
        public_ports=tls_ports(loaded),
        placeholders=placeholders_in(loaded, plan),
    )


def _of_embedded_server(
    plan: CheckPlan, options: DoctorOptions, here: EnvSettings, loaded: Loaded, application: ApplicationServer
) -> CheckPlan:
    """Return the plan for a server that is embedded in the application's site: no other server runs here."""
    site = SourcedAddress(parse_base_url(application.site_url), f"{application.location}: the site's address")
    public = public_here(loaded, here, options.config)
    plan = _with_addresses(plan, public.address if public.is_stated else site, site)
    return replace(plan, is_embedded=True, placeholders=placeholders_in(loaded, plan))


def _without_server(
    plan: CheckPlan, options: DoctorOptions, here: EnvSettings, loaded: Loaded, *, is_named: bool
) -> CheckPlan:
    """Return the plan, filled from a server that runs here, where none is configured."""
    if is_named or options.env:
        return plan
    url = app_url_in(here)
    if url is not None:
        plan = replace(
            plan, key=plan.key or url.key, app_id=plan.app_id or url.app_id, secret=plan.secret or url.secret
        )
    backend = None if url is None else backend_in(here)
    public = public_in(here) or backend
    if public is None:
        return running_here(plan, loaded)
    return replace(_with_addresses(plan, public, backend), key=plan.key or text_of(here.frontend("APP_KEY")))


def _is_examined(plan: CheckPlan, options: DoctorOptions, inside: BaseUrl, *, is_known: bool) -> bool:
    """Return whether the server configured here is the one that options and named files mean."""
    named = (plan.public, plan.backend)
    if options.url is None and any(each is not None and each.is_same_listener(inside) for each in named):
        return True
    return is_known and _listens(inside)


def _listens(base_url: BaseUrl) -> bool:
    try:
        connect(base_url, look_up_addresses(base_url), 1.0).sock.close()
    except FaultFound:
        return False
    return True
