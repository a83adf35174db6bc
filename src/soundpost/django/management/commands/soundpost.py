"""The command ``manage.py soundpost start | init | channels | events | trigger | listen``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import autodiscover_modules

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.authorization import channels
from soundpost.broadcasting.browser.echo_options import is_internal
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.django.autodiscovery import failures
from soundpost.errors import JsonError, SoundpostError
from soundpost.wire.json_text import read_json
from soundpost.wire.socket_id import fault

_PASSED_ON = {
    "start": "the server, with the credentials of settings.SOUNDPOST, and the options of 'soundpost start'",
    "init": "credentials to keep, in a file",
    "listen": "print events as they come; with the options of 'soundpost listen'",
}


class Command(BaseCommand):
    """The command ``soundpost`` of ``manage.py``."""

    help = "Realtime: the server, channel routes, events."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own form; credentials may be what is asked for

    def add_arguments(self, parser: Any) -> None:
        """Add the subcommands with their arguments."""
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        for name, help in _PASSED_ON.items():
            # Any option is an argument here: the command line it is passed on to knows it.
            passed_on = commands.add_parser(name, help=help, prefix_chars="\0", add_help=False)
            passed_on.add_argument("arguments", nargs="*")
        commands.add_parser("channels", help="list the channel routes")
        commands.add_parser("events", help="list the events of the installed apps")
        trigger = commands.add_parser("trigger", help="broadcast an event")
        trigger.add_argument("channel", help="full name: orders, private-orders.7")
        trigger.add_argument("event", help="its name, as the browser listens to it")
        trigger.add_argument("data", nargs="?", default="{}", help="JSON, or a text; - reads it from stdin")
        trigger.add_argument("--via", help="connection to send it through")
        trigger.add_argument("--socket-id", help="connection that is not to get it")

    def handle(self, *, command: str, **options: Any) -> None:
        """Run a subcommand. Raises CommandError."""
        try:
            getattr(self, f"_{command}")(options)
        except SoundpostError as error:
            raise CommandError(str(error)) from None

    def _start(self, options: dict[str, Any]) -> None:
        settings = broadcast.settings
        if settings.connections:
            _set_server_variables(settings.connection())
        arguments = options["arguments"]
        if "--dev" in arguments:
            arguments = ["--host", "127.0.0.1", "--debug", *(each for each in arguments if each != "--dev")]
        _command_line("start", arguments)

    def _init(self, options: dict[str, Any]) -> None:
        _command_line("init", options["arguments"])

    def _listen(self, options: dict[str, Any]) -> None:
        connection = broadcast.settings.connection()
        target = ["--url", connection.base_url, "--key", connection.key, "--secret", connection.secret]
        if "--auth-endpoint" in options["arguments"]:
            target = target[:-2]
        _command_line("listen", [*target, *options["arguments"]])

    def _channels(self, _: dict[str, Any]) -> None:
        rows = [
            (route.pattern.text, route.kind, ", ".join(route.guards) or ("guests" if route.guests else ""), route.name)
            for route in channels
        ]
        self._table(("PATTERN", "KIND", "GUARDS", "CALLBACK"), rows)
        if not rows:
            self.stderr.write("There are no channel routes: they are in the channels.py of installed apps.")
        for module, error in failures.items():
            self.stderr.write(f"{module} failed, and has no routes: {error}")

    def _events(self, _: dict[str, Any]) -> None:
        from soundpost.broadcasting.catalogue import known_events
        from soundpost.django.model_events import described_models
        from soundpost.tools.cli.events import lines

        autodiscover_modules("events")
        found = [*lines(known_events()), *described_models()]
        for line in found:
            self.stdout.write(line)
        if not found:
            self.stderr.write("There are no events: they are found in events.py and models.py of installed apps.")

    def _trigger(self, options: dict[str, Any]) -> None:
        text = sys.stdin.read() if options["data"] == "-" else options["data"]
        try:
            data: Any = read_json(text)
        except JsonError:
            data = text.removesuffix("\n")
        wrong = None if options["socket_id"] is None else fault(options["socket_id"])
        if wrong is not None:
            raise CommandError(f"--socket-id: {wrong}")
        channel, event = options["channel"], options["event"]
        broadcast.publish(channel, event, data, via=options["via"], socket_id=options["socket_id"], on_error="raise")
        self.stdout.write(f"Published {event} to {channel}")

    def _table(self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        if not rows:
            return
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
            self.stdout.write("  ".join(cells).rstrip())


def _command_line(command: str, arguments: list[str]) -> None:
    from soundpost.tools.cli.app import app

    app([command, *arguments], prog_name="manage.py soundpost")


def _set_server_variables(connection: ConnectionSettings) -> None:
    """Set environment variables for the server: the app, and for a server on this machine its port and path."""
    os.environ.update(
        SOUNDPOST_APP_ID=connection.app_id, SOUNDPOST_APP_KEY=connection.key, SOUNDPOST_APP_SECRET=connection.secret
    )
    if is_internal(connection.host) and connection.scheme == "http":
        os.environ.setdefault("SOUNDPOST_SERVER_PORT", str(connection.port))
        os.environ.setdefault("SOUNDPOST_SERVER_PATH", connection.path)
