"""Command group ``soundpost webhooks``: the webhooks of the server."""

from __future__ import annotations

import typer

from soundpost.tools.cli.webhooks_listen import listen
from soundpost.tools.cli.webhooks_status import status
from soundpost.tools.cli.webhooks_try import send_examples

webhooks = typer.Typer(
    name="webhooks",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Receive, try and watch the webhooks that the server sends to applications.

    Endpoints are [[apps.webhooks]] tables below an app in soundpost.toml, each with a url.

    \b
    [bold]Examples[/]
    soundpost webhooks listen      print webhooks as they come, for development
    soundpost webhooks test        send example events, and print the answers
    soundpost webhooks status      show how many events were sent, wait or failed
    """,
)
webhooks.command()(listen)
webhooks.command("test")(send_examples)
webhooks.command()(status)
