"""The command ``manage.py soundpost``: the server of the settings, channel routes, events."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import autodiscover_modules

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.authorization import channels
from soundpost.broadcasting.authorization.route_table import table_of
from soundpost.django.autodiscovery import failures
from soundpost.django.management.django_options import with_django_options_first
from soundpost.django.settings import WHERE, project_folder
from soundpost.errors import SoundpostError
from soundpost.tools.cli.calling_application import CallingApplication
from soundpost.tools.cli.framework_commands import (
    COMMANDS,
    application_server,
    arguments_for_embedded,
    run_command,
)
from soundpost.wire.printable import printable
from soundpost.wire.socket_id import fault

_PROGRAM: Final = "manage.py soundpost"


class Command(BaseCommand):
    """The command ``soundpost`` of ``manage.py``."""

    help = "Realtime: the server, channel routes, events."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own form; credentials may be what is asked for

    def add_arguments(self, parser: Any) -> None:
        """Add the subcommands with their arguments."""
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        for name, help in COMMANDS.items():
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
        trigger.add_argument("--socket-id", help="socket id of the connection that should not get the event")

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command; Django's own options may stand anywhere, as with other commands."""
        super().run_from_argv([*argv[:2], *with_django_options_first(argv[2:])])

    def handle(self, *, command: str, **options: Any) -> None:
        """Run a subcommand. Raises CommandError."""
        try:
            if command in COMMANDS:
                self._pass_on(command, options["arguments"])
            else:
                getattr(self, f"_{command}")(options)
        except SoundpostError as error:
            raise CommandError(str(error)) from None

    def _pass_on(self, command: str, arguments: list[str]) -> None:
        """Run a command of ``soundpost`` for the server of the settings."""
        directory = project_folder() or Path.cwd()
        if command == "init":
            run_command(CallingApplication(None, directory), _init_arguments(arguments, directory), _PROGRAM)
            return
        server = application_server("Django", WHERE, broadcast.settings)
        arguments = arguments_for_embedded(command, arguments, broadcast.settings, WHERE)
        run_command(CallingApplication(server, directory), [command, *arguments], _PROGRAM)

    def _channels(self, _: dict[str, Any]) -> None:
        for line in table_of(channels):
            self.stdout.write(line)
        if not len(channels):
            self.stderr.write("There are no channel routes: write them in the channels.py of an installed app.")
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
            self.stderr.write(
                "There are no events. They are found in events.py and models.py of installed apps, and in modules that "
                "one of these or channels.py imports. Events in views.py are not found: move them to events.py."
            )

    def _trigger(self, options: dict[str, Any]) -> None:
        from soundpost.tools.cli.event_data import read_data
        from soundpost.tools.cli.reach import published_through

        data, faults = read_data(sys.stdin.read().removesuffix("\n") if options["data"] == "-" else options["data"])
        wrong = None if options["socket_id"] is None else fault(options["socket_id"])
        if wrong is not None:
            raise CommandError(f"--socket-id: {wrong}")
        channel, event = options["channel"], options["event"]
        broadcast.publish(channel, event, data, via=options["via"], socket_id=options["socket_id"], on_error="raise")
        published, *remarks = published_through(broadcast.settings.connection(options["via"]), event, channel)
        self.stdout.write(printable(published))
        for remark in (*faults, *remarks):
            self.stderr.write(printable(remark))


def _init_arguments(arguments: list[str], directory: Path) -> list[str]:
    """Return the arguments of ``init`` for this project."""
    if any(each.partition("=")[0] in ("--config", "--framework", "--help", "-h") for each in arguments):
        return ["init", *arguments]
    manage = Path(sys.argv[0]).parent if Path(sys.argv[0]).name == "manage.py" else directory
    return ["init", "--framework", "django", "--directory", str(manage), *arguments]
