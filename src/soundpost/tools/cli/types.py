"""Command ``soundpost types``: TypeScript types of an application's events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soundpost.errors import ConfigurationError
from soundpost.tools.cli.events import ModulesArgument, prepare_import


def types(
    modules: ModulesArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write.", show_default="standard output")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if the file is not up to date.")] = False,
) -> None:
    """Write TypeScript types of events, for useEcho of @laravel/echo-react and @laravel/echo-vue.

    \b
    [bold]Examples[/]
    soundpost types shop.events --output frontend/events.d.ts
    soundpost types shop.events --output frontend/events.d.ts --check
    """
    from soundpost.broadcasting.catalogue import events_in
    from soundpost.tools.typescript import declarations

    if check and output is None:
        raise typer.BadParameter("--check needs --output: the file to compare with")
    prepare_import()
    found = events_in(modules)
    if not found:
        raise ConfigurationError(
            f"no events in {', '.join(modules)}: an event is a class with channels, by broadcast_on or on="
        )
    text = declarations(found, f"soundpost types {' '.join(modules)}")
    if output is None:
        typer.echo(text, nl=False)
    elif check:
        _check(output, text)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {len(found)} event{'s' if len(found) != 1 else ''} to {output}")


def _check(file: Path, text: str) -> None:
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        typer.secho(f"{file} is not up to date: call the command without --check", fg=typer.colors.RED, err=True)
        raise typer.Exit(1)
