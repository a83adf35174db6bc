"""Command ``soundpost``, and what its commands share: help, version, errors in one line, exit codes.

Exit codes: 0 a clean stop, 1 it could not start or failed, 2 wrong usage.
"""

from __future__ import annotations

import errno
import sys
from typing import Annotated, Any

import typer

from soundpost import SoundpostError, __version__
from soundpost.tools.cli.bench import bench
from soundpost.tools.cli.dashboard import dashboard
from soundpost.tools.cli.deploy import deploy
from soundpost.tools.cli.doctor import doctor
from soundpost.tools.cli.events import events
from soundpost.tools.cli.history import history
from soundpost.tools.cli.init import init
from soundpost.tools.cli.listen import listen
from soundpost.tools.cli.plain_help import PlainCommand, PlainGroup
from soundpost.tools.cli.restart import reload, restart, stop
from soundpost.tools.cli.start import start
from soundpost.tools.cli.status import status
from soundpost.tools.cli.top import top
from soundpost.tools.cli.trigger import trigger
from soundpost.tools.cli.types import types
from soundpost.tools.cli.webhooks import webhooks
from soundpost.wire.printable import printable


class ErrorsInOneLine(PlainGroup):
    """Group of commands whose errors are printed in one line on stderr, without a traceback."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the called command. A command of other servers is refused, with our command for the same."""
        if args and args[0] not in self.commands:
            from soundpost.config.other_servers import advice_on_command

            advice = advice_on_command(args[0])
            if advice:
                ctx.fail(f"There is no command {printable(args[0])!r}: {advice}.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print an error of this package in one line."""
        try:
            return super().invoke(ctx)
        except SoundpostError as error:
            typer.secho(f"soundpost: {printable(str(error))}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            typer.secho("soundpost: a path in the arguments is too long", fg=typer.colors.RED, err=True)
            raise typer.Exit(2) from None
        except UnicodeEncodeError as error:
            if error.encoding != "utf-8":
                raise
            wrong = printable(error.object[error.start : error.end])
            typer.secho(f"soundpost: '{wrong}' in the arguments is not UTF-8", fg=typer.colors.RED, err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="soundpost",
    cls=ErrorsInOneLine,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    # A traceback with local variables could show a secret.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(start)
app.command()(status)
app.command()(top)
app.command()(restart)
app.command()(reload)
app.command()(stop)
app.command()(init)
app.command()(trigger)
app.command()(listen)
app.command()(history)
app.command()(bench)
app.command()(doctor)
app.add_typer(deploy, cls=PlainGroup)
app.add_typer(webhooks, cls=PlainGroup)
app.add_typer(dashboard, cls=PlainGroup)
app.command()(events)
app.command()(types)
for _group in (app, deploy, webhooks, dashboard):
    for _command in _group.registered_commands:
        _command.cls = PlainCommand


def _print_version(verbose: bool) -> None:
    typer.echo(f"soundpost {__version__}")
    if verbose:
        from soundpost.compilation import build

        typer.echo("\n".join(map(printable, build().lines())))


@app.callback(invoke_without_command=True)
def soundpost(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --version: also print compiled parts, Python and event loop.")
    ] = False,
) -> None:
    """A self-hosted realtime server that speaks the Pusher protocol.

    \b
    [bold]Examples[/]
    soundpost start                         start a server
    soundpost trigger orders shipped '{}'   publish an event, from a second shell
    soundpost listen orders                 print events as they come
    soundpost history orders                print the events that a channel keeps
    soundpost init                          write a file with credentials
    soundpost bench                         run a load test
    soundpost top                           show live figures of a server
    soundpost doctor                        find what is wrong, and the way out
    soundpost deploy nginx                  print a configuration for Nginx
    soundpost webhooks listen               print webhooks as they come
    soundpost dashboard password            make the hash of a password
    soundpost types shop.events             write TypeScript types of events
    """
    if version:
        _print_version(verbose)
        raise typer.Exit
    if verbose:
        ctx.fail("--verbose goes with --version: soundpost --version --verbose")
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command.")


def main() -> None:
    """Run the command line; the console script's entry."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name or an event may have any character, a terminal not
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="soundpost")
