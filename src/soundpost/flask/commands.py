"""Commands of Flask's command line: ``flask soundpost start | channels | events | trigger``."""

from __future__ import annotations

import os
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import JsonError, SoundpostError
from soundpost.wire.addresses import is_loopback_url
from soundpost.wire.json_text import read_json


def group() -> AppGroup:
    """Return the group of commands, for ``app.cli``."""
    commands = AppGroup("soundpost", help="Realtime: the server, channel routes, events.")
    for command in (start, channels, events, trigger):
        commands.add_command(command)
    return commands


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@with_appcontext
def start(options: tuple[str, ...]) -> None:
    """Start the server with this application's credentials; takes the options of 'soundpost start'."""
    from soundpost.tools.cli.app import app as command_line

    settings = current_app.extensions["soundpost"].settings
    if settings.connections:
        os.environ.update(_server_variables(settings.connection()))
    command_line(["start", *options], prog_name="flask soundpost")


@click.command()
@with_appcontext
def channels() -> None:
    """List the channel routes."""
    routes = current_app.extensions["soundpost"].channels
    for route in routes:
        guests = "  guests too" if route.guests else ""
        click.echo(f"{route.kind:<8}  {route.pattern.text}  {route.name}{guests}")
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
    try:
        value: Any = read_json(data)
    except JsonError:
        value = data
    try:
        current_app.extensions["soundpost"].broadcast.publish(channel, event, value)
    except SoundpostError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Published {event} to {channel}")


def _server_variables(connection: ConnectionSettings) -> dict[str, str]:
    """Return environment variables for the server: the app, and for a server on this machine its port and path."""
    variables = {
        "SOUNDPOST_APP_ID": connection.app_id,
        "SOUNDPOST_APP_KEY": connection.key,
        "SOUNDPOST_APP_SECRET": connection.secret,
    }
    if is_loopback_url(connection.base_url):
        variables["SOUNDPOST_SERVER_PORT"] = str(connection.port)
        variables["SOUNDPOST_SERVER_PATH"] = connection.path
    return {name: value for name, value in variables.items() if value}
