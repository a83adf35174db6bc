"""Command ``soundpost events``: events of an application."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from soundpost.broadcasting.catalogue import DescribedEvent

ModulesArgument = Annotated[
    list[str], typer.Argument(help="Modules with events, or packages of such.", show_default=False)
]


def events(modules: ModulesArgument) -> None:
    """List events with the channels they go to, and what they carry.

    \b
    [bold]Examples[/]
    soundpost events shop.events
    """
    from soundpost.broadcasting.catalogue import events_in

    prepare_import()
    for line in lines(events_in(modules)):
        typer.echo(line)


def lines(events: Iterable[DescribedEvent]) -> Iterator[str]:
    """Yield three lines for each event: name, channels, fields."""
    for event in events:
        yield f"{event.name or '(named by broadcast_as)'}  {event.path}"
        yield f"    on    {', '.join(event.channels) or '(said by broadcast_on)'}"
        if event.fields is None:
            yield "    with  (said by broadcast_with)"
        else:
            fields = [f"{name}: {_shown(annotation)}" for name, annotation in event.fields.items()]
            yield f"    with  {', '.join(fields) or 'nothing'}"


def prepare_import() -> None:
    """Let modules of the working directory be imported, and those of a Django project import their models."""
    import os

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        import django

        django.setup()


def _shown(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
