"""Output of ``soundpost deploy``: files, printed or written, next steps, ``.env`` lines."""

from __future__ import annotations

from pathlib import Path

import typer

from soundpost.config import Loaded
from soundpost.core.app_settings import AppSettings
from soundpost.tools.cli.addresses import ServerAddress
from soundpost.tools.cli.deploy_plan import UNKNOWN_NAME, address_of_browsers
from soundpost.tools.cli.snippets import dotenv_lines, public_url
from soundpost.tools.deploy import Deployment, DeployPlan
from soundpost.tools.deploy.writing import write as write_files


def output_deployment(
    deployment: Deployment, loaded: Loaded, plan: DeployPlan, *, write: bool, force: bool, root: Path
) -> None:
    """Print or write the files, and print the next steps on standard error."""
    for warning in (*loaded.warnings, *deployment.warnings):
        typer.secho(f"warning: {warning}", fg=typer.colors.YELLOW, err=True)
    if write:
        for path, is_new in write_files(deployment.files, root, force=force):
            typer.echo(f"Wrote {path}" if is_new else f"{path} is as it should be")
    else:
        printed = [file for file in deployment.files if file.is_printed]
        for file in printed:
            if len(printed) > 1:
                typer.echo(f"# ---- {file.path} ----\n")
            typer.echo(file.text, nl=False)
        others = [str(file.path) for file in deployment.files if not file.is_printed]
        if others:
            typer.echo(f"--write also writes {', '.join(others)}", err=True)
    _say_next(deployment, loaded, plan, written=write)


def _say_next(deployment: Deployment, loaded: Loaded, plan: DeployPlan, *, written: bool) -> None:
    browser = address_of_browsers(loaded, plan)
    steps = list(deployment.steps)
    if plan.server_name == UNKNOWN_NAME:
        browser = browser._replace(host="<name browsers connect to>")
    elif not loaded.public.host:
        steps.append(
            f'# so that pages and the doctor know the address: public_url = "{public_url(browser)}" in [server]'
        )
    writing = any(step.endswith(" --write") for step in steps)
    heading = "Next" if written or writing else "Next, once it is written (--write)"
    typer.echo(f"\n{heading}\n\n{_indented(steps)}", err=True)
    app = loaded.settings.apps[0]
    if loaded.generated:
        app = AppSettings(id="<app id>", key="<app key>", secret="")
    # Not the secret itself: this is read over shoulders, and kept in logs.
    shown = AppSettings(id=app.id, key=app.key, secret=f"<secret of this app, as in {_where(loaded)}>")
    backend = ServerAddress(*deployment.backend, plan.prefix)
    lines = dotenv_lines(shown, backend, browser).splitlines()
    typer.echo(f"\nBackend and frontend, .env\n\n{_indented(lines)}\n", err=True)


def _where(loaded: Loaded) -> str:
    return loaded.sources[-1] if loaded.sources else "soundpost.toml"


def _indented(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"  {line}" if line else "" for line in lines)
