"""Commands of Flask's command line, ``flask soundpost``: the application's server, channel routes, events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from soundpost.broadcasting.authorization.route_table import table_of
from soundpost.errors import SoundpostError
from soundpost.tools.cli.calling_application import CallingApplication
from soundpost.tools.cli.framework_commands import COMMANDS, application_server, run_command
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from soundpost.config.application import ApplicationServer


def group() -> AppGroup:
    """Return the group of commands, for ``app.cli``."""
    commands = AppGroup("soundpost", help="Realtime: the server, channel routes, events.")
    for command in (channels, events, trigger):
        commands.add_command(command)
    for name, help in COMMANDS.items():
        commands.add_command(_passed_on(name, help))
    return commands


def _passed_on(name: str, help: str) -> click.Command:
    """Return a command that runs the command of ``soundpost`` with the same name, for the application's server."""

    @click.command(name, help=help, context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @click.argument("options", nargs=-1, type=click.UNPROCESSED)
    @with_appcontext
    def command(options: tuple[str, ...]) -> None:
        arguments = ["--framework", "flask", *options] if name == "init" and "--config" not in options else options
        run_command(CallingApplication(_server(), Path.cwd()), [name, *arguments], "flask soundpost")

    return command


@click.command()
@with_appcontext
def channels() -> None:
    """List the channel routes."""
    routes = current_app.extensions["soundpost"].channels
    for line in table_of(routes):
        click.echo(line)
    if not len(routes):
        click.echo("There are no channel routes: is the module with them imported?", err=True)


@click.command()
@with_appcontext
def events() -> None:
    """List the events whose modules this application imports."""
    from soundpost.broadcasting.catalogue import known_events
    from soundpost.tools.cli.events import lines

    found = known_events()
    for line in lines(found):
        click.echo(line)
    if not found:
        click.echo("There are no events: is the module with them imported?", err=True)


@click.command()
@click.argument("channel")
@click.argument("event")
@click.argument("data", default="{}")
@with_appcontext
def trigger(channel: str, event: str, data: str) -> None:
    """Broadcast an event; DATA is JSON, or a text."""
    from soundpost.tools.cli.event_data import read_data
    from soundpost.tools.cli.reach import published_through

    value, faults = read_data(data)
    broadcaster = current_app.extensions["soundpost"].broadcast
    try:
        broadcaster.publish(channel, event, value)
        published, *remarks = published_through(broadcaster.settings.connection(), event, channel)
    except SoundpostError as error:
        raise click.ClickException(str(error)) from None
    click.echo(printable(published))
    for remark in (*faults, *remarks):
        click.echo(printable(remark), err=True)


def _server() -> ApplicationServer | None:
    """Return the server of the current application's settings. Raises ClickException."""
    try:
        return application_server("Flask", 'app.config["SOUNDPOST_…"]', current_app.extensions["soundpost"].settings)
    except SoundpostError as error:
        raise click.ClickException(str(error)) from None
