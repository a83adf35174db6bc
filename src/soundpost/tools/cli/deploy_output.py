"""Output of ``soundpost deploy``: files, printed or written, next steps, ``.env`` lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
import typer

from soundpost.config import Loaded
from soundpost.core.app_settings import AppSettings
from soundpost.tools.cli.addresses import ServerAddress
from soundpost.tools.cli.calling_application import calling_application
from soundpost.tools.cli.deploy_plan import UNKNOWN_NAME, address_of_browsers, command_for_env_lines
from soundpost.tools.cli.snippets import dotenv_lines, public_url
from soundpost.tools.deploy import Deployment, DeployPlan
from soundpost.tools.deploy.writing import write as write_files

_PLAIN: Final = re.compile(r"[-A-Za-z0-9_.:/+=@]+")


def output_deployment(
    deployment: Deployment,
    loaded: Loaded,
    plan: DeployPlan,
    *,
    write: bool,
    force: bool,
    root: Path,
    config: Path | None,
    in_container: bool,
) -> None:
    """Print or write the files, and print the next steps on standard error.

    ``in_container`` tells that only this target knows where applications publish. ``config`` is the option.
    """
    _output_files(deployment, loaded, write=write, force=force, root=root)
    _say_next(deployment, loaded, plan, written=write)
    if in_container:
        backend = ServerAddress(*deployment.backend, plan.prefix)
        lines = env_lines(loaded, plan, backend, show_secret=False).splitlines()
        typer.echo(f"\nBackend and frontend, .env\n\n{_indented(lines)}\n", err=True)
    else:
        command = command_for_env_lines(loaded, plan, config)
        typer.echo(f"\nThe .env lines of your application: {command}\n", err=True)


def output_monitoring(deployment: Deployment, loaded: Loaded, *, write: bool, force: bool, root: Path) -> None:
    """Print or write files for a program that watches the server, and print the next steps on standard error."""
    _output_files(deployment, loaded, write=write, force=force, root=root)
    typer.echo(f"\n{_heading(written=write)}\n\n{_indented(deployment.steps)}\n", err=True)


def _output_files(deployment: Deployment, loaded: Loaded, *, write: bool, force: bool, root: Path) -> None:
    for warning in (*loaded.warnings, *deployment.warnings):
        typer.secho(f"warning: {warning}", fg=typer.colors.YELLOW, err=True)
    if write:
        for path, is_new in write_files(deployment.files, root, force=force):
            typer.echo(f"Wrote {path}" if is_new else f"{path} is up to date")
    else:
        printed = [file for file in deployment.files if file.is_printed]
        for file in printed:
            if len(printed) > 1:
                typer.echo(f"# ---- {file.path} ----\n")
            typer.echo(file.text, nl=False)
        others = [str(file.path) for file in deployment.files if not file.is_printed]
        if others:
            typer.echo(f"--write also writes {', '.join(others)}", err=True)


def _say_next(deployment: Deployment, loaded: Loaded, plan: DeployPlan, *, written: bool) -> None:
    browser = address_of_browsers(loaded, plan)
    steps = list(deployment.steps)
    if plan.server_name != UNKNOWN_NAME and not loaded.public.host:
        steps.append(
            f'# so that pages and the doctor know the address: public_url = "{public_url(browser)}" in [server]'
        )
    writing = any(step.endswith(" --write") for step in steps)
    typer.echo(f"\n{_heading(written=written or writing)}\n\n{_indented(steps)}", err=True)


def _heading(*, written: bool) -> str:
    return "Next" if written else "Next steps, after --write"


def env_lines(loaded: Loaded, plan: DeployPlan, backend: ServerAddress, *, show_secret: bool) -> str:
    """Return the ``.env`` lines of an application; without ``show_secret`` with a place for the secret."""
    browser = address_of_browsers(loaded, plan)
    if plan.server_name != UNKNOWN_NAME or loaded.public.host:
        return _lines(loaded, backend, browser, show_secret=show_secret)
    hint = "# Nothing here says where browsers connect: --server-name ws.example.com tells it."
    unknown = browser._replace(host="<name browsers connect to>")
    return f"{hint}\n{_lines(loaded, backend, unknown, show_secret=show_secret)}"


def _lines(loaded: Loaded, backend: ServerAddress, browser: ServerAddress, *, show_secret: bool) -> str:
    app = loaded.settings.apps[0]
    if loaded.generated:
        app = AppSettings(id="<app id>", key="<app key>", secret="<app secret>")
        return dotenv_lines(app, backend, browser)
    if show_secret:
        secret = app.secret if _PLAIN.fullmatch(app.secret) else f"'{app.secret}'"
        return dotenv_lines(msgspec.structs.replace(app, secret=secret), backend, browser)
    # Not the secret itself: this is read over shoulders, and kept in logs.
    location = _where(loaded)
    shown = msgspec.structs.replace(app, secret=f"<secret-of-app-{app.id}>")
    fill_in = f"# Fill the secret in: it is in {location}. 'soundpost deploy env --show-secret' prints it."
    return f"{fill_in}\n{dotenv_lines(shown, backend, browser)}"


def _where(loaded: Loaded) -> str:
    """Return the location of the credentials: the last file that values came from."""
    if not loaded.sources:
        application = calling_application().server
        return application.location if application is not None else "the environment"
    return str((calling_application().directory / loaded.sources[-1]).absolute())


def _indented(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"  {line}" if line else "" for line in lines)
