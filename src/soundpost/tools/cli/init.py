"""Command ``soundpost init``: credentials for a project, and what its framework needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.tools.setup.frameworks import Framework
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from soundpost.tools.setup.changes import Changes, ManualEdit
    from soundpost.tools.setup.plan import Setup


def init(
    framework: Annotated[
        Framework | None,
        typer.Option(help="Framework to set up; none: only credentials.", show_default="the one found in the folder"),
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="Folder of the project.", file_okay=False, exists=True, show_default="this folder")
    ] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes, and write nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing soundpost.toml with its credentials.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="Write the credentials to this file, and set up no framework.", show_default=False),
    ] = None,
) -> None:
    """Set a project up: write soundpost.toml with fresh credentials, and add what its framework needs.

    Looks for Django (manage.py), FastAPI, Starlette, Flask, Quart, Litestar and Laravel (composer.json). Shows each
    file and asks once; where nobody can be asked, it writes at once. Files that exist only get insertions. What cannot
    be inserted safely is printed. A second call finds nothing to do.

    \b
    [bold]Examples[/]
    soundpost init
    soundpost init --dry-run
    soundpost init --framework flask
    soundpost init --config /etc/soundpost/soundpost.toml
    """
    _check_folder()
    if config is not None:
        _only_credentials(config, force=force)
        return
    from soundpost.tools.setup.plan import plan_setup
    from soundpost.tools.setup.project import find_project

    directory = directory.resolve()
    setup = plan_setup(find_project(directory, framework), replace=force)
    _show(setup, directory)
    if not setup.changes.files:
        _print_manual_edits(setup.changes.manual_edits)
        if not setup.changes.manual_edits and not setup.project.unread:
            typer.echo("Nothing to do: the project has all of this already.")
        return
    if dry_run:
        _print_manual_edits(setup.changes.manual_edits)
        typer.echo("\nNothing was written, because of --dry-run.")
        return
    if not yes and is_terminal():
        typer.echo()
        if not typer.confirm("Write this?", default=True):
            typer.echo("Nothing was written.")
            raise typer.Exit(1)
    _write(setup.changes, setup.project.directory)
    _finish(setup, directory)


def _check_folder() -> None:
    """Check that this folder is still there. Raises ConfigurationError."""
    try:
        Path.cwd()
    except FileNotFoundError:
        from soundpost.errors import ConfigurationError

        raise ConfigurationError(
            "this folder has been deleted: go to the folder of your project (cd), and call it again"
        ) from None


def is_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _only_credentials(config: Path, *, force: bool) -> None:
    """Write the file with credentials, and nothing else. Raises ConfigurationError."""
    from soundpost.invocation import soundpost_command
    from soundpost.tools.setup.changes import Changes
    from soundpost.tools.setup.credentials_file import already_there, plan_credentials

    change = plan_credentials(config, str(config), replace=force)
    if change is None:
        raise already_there(str(config))
    _write(Changes(files=[change]), Path())
    typer.echo(
        f"Wrote {config} (readable by you only). Start the server with: {soundpost_command()} start --config {config}"
    )
    _warn_of_overrides(config, Path.cwd())


def _show(setup: Setup, directory: Path) -> None:
    """Print the project, the list of files, and the differences."""
    from soundpost.tools.setup.frameworks import Framework
    from soundpost.tools.setup.preview import differences, shown, summary

    project, files = setup.project, setup.changes.files
    if project.framework is not Framework.NONE:
        location = f": {shown(project.files[0], directory)}" if project.files else ""
        typer.secho(printable(f"{project.framework.display_name}{location}"), bold=True)
    for line in summary(setup.changes, directory):
        typer.echo(f"  {line}")
    for change in files:
        lines = list(differences(change, directory))
        if lines:
            typer.echo()
        for line in lines:
            colour = {"+": typer.colors.GREEN, "-": typer.colors.RED}.get(line[:1])
            typer.secho(line, fg=colour)
    for note in setup.changes.notes:
        typer.secho(printable(f"note: {note}"), fg=typer.colors.YELLOW, err=True)


def _write(changes: Changes, directory: Path) -> None:
    """Write all files; one that cannot be written becomes lines for a person.

    Messages have paths as seen from ``directory``. Raises ConfigurationError if the file with the credentials cannot be
    written.
    """
    from soundpost.errors import ConfigurationError
    from soundpost.tools.setup.changes import ManualEdit
    from soundpost.tools.setup.preview import shown
    from soundpost.tools.setup.source import UneditableError
    from soundpost.tools.setup.writing import write

    for change in list(changes.files):
        try:
            write(change)
        except UneditableError as error:
            location = shown(change.path, directory)
            if change.private:
                raise ConfigurationError(f"{location}: {error}") from None
            changes.files.remove(change)
            lines = change.manual_edit.lines if change.manual_edit else tuple(change.after.decode().splitlines())
            changes.manual_edits.append(ManualEdit(location, str(error), lines))


def _finish(setup: Setup, directory: Path) -> None:
    """Print the written files, the lines to add by hand, and the next steps."""
    from soundpost.invocation import soundpost_command
    from soundpost.tools.setup.next_steps import next_steps
    from soundpost.tools.setup.preview import shown

    written = [shown(change.path, directory) for change in setup.changes.files]
    if written:
        typer.echo()
        typer.echo(printable(f"Wrote {', '.join(written)}."))
    _print_manual_edits(setup.changes.manual_edits)
    if setup.credentials is not None:
        _warn_of_overrides(setup.credentials, setup.project.directory)
    typer.secho("\nNext", bold=True)
    if setup.project.directory.resolve() != Path.cwd():
        typer.echo(printable(f"   cd {setup.project.directory}"))
    for line in next_steps(setup.project, soundpost_command()):
        typer.echo(printable(f"   {line}".rstrip()))


def _print_manual_edits(found: list[ManualEdit]) -> None:
    from soundpost.tools.setup.preview import edit_lines

    for each in found:
        typer.echo()
        for line in edit_lines(each):
            typer.echo(line)


def _warn_of_overrides(config: Path, directory: Path) -> None:
    """Warn if the environment or ``.env`` would replace the new credentials."""
    from soundpost.config import load
    from soundpost.environment.toml_document import FILE_NAME, read_toml
    from soundpost.errors import ConfigurationError

    try:
        ids = {app.get("id") for app in read_toml(config, str(config)).get("apps", ())}
        usual = config == directory / FILE_NAME
        loaded = load(environ=os.environ, directory=directory, config_file=None if usual else config)
        problem = "" if ids & {app.id for app in loaded.settings.apps} else "\n".join(loaded.warnings)
    except ConfigurationError as error:
        problem = str(error)
    if problem:
        typer.secho(f"warning: {problem}", fg=typer.colors.YELLOW, err=True)
