"""Command group ``soundpost dashboard``: what the server's page for operators needs."""

from __future__ import annotations

import sys

import typer

from soundpost.errors import StartError

dashboard = typer.Typer(
    name="dashboard",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Make the password of the server's dashboard.

    A dashboard is served if [dashboard] in soundpost.toml has a port, or enabled = true.

    \b
    [bold]Examples[/]
    soundpost dashboard password    asks for a password, and prints its hash
    """,
)


@dashboard.callback()
def group() -> None:
    """Keep the group a group, though it has one command only."""


@dashboard.command()
def password() -> None:
    """Ask for a password twice, and print its hash for password_hash below [dashboard] in soundpost.toml.

    Where the input is not a terminal, the password is its first line. A file or a pipe gets the hash alone, for
    SOUNDPOST_DASHBOARD_PASSWORD_HASH_FILE. In soundpost.toml, write password_hash = "HASH".

    \b
    [bold]Examples[/]
    soundpost dashboard password
    openssl rand -base64 18 | tee password.txt | soundpost dashboard password
    """
    from soundpost.server.dashboard.password import hash_password

    text = _asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    found = hash_password(text)
    if sys.stdout.isatty():
        typer.secho("Write this line below [dashboard] in soundpost.toml, then restart the server:", dim=True, err=True)
        typer.echo(f'password_hash = "{found}"')
    else:
        typer.secho('This is the hash alone: in soundpost.toml write password_hash = "HASH"', dim=True, err=True)
        typer.echo(found)


def _asked() -> str:
    """Return a password that was typed twice, without being shown. Raises StartError if the two differ."""
    import getpass

    first = getpass.getpass("Password of the dashboard: ")
    if first != getpass.getpass("Once more: "):
        raise StartError("the two passwords differ: nothing was made, try again")
    return first
