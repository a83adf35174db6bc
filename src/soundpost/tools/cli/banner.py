"""Banner of ``soundpost start`` once the server is ready."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO

from rich.console import Console
from rich.text import Text

from soundpost import __version__
from soundpost.core.app_settings import AppSettings
from soundpost.defaults import DEFAULT_PORT
from soundpost.invocation import soundpost_command
from soundpost.tools.cli.addresses import ServerAddress
from soundpost.tools.cli.snippets import dotenv_lines, echo_snippet
from soundpost.tools.cli.start_log import app_names, open_playground


class Banner:
    """Printer of the banner: in colours on a terminal, plain elsewhere, never wrapped, and flushed at once.

    ``file``: stdout by default.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file or sys.stdout
        self._console = Console(file=self._file, soft_wrap=True, highlight=False)

    def configured(
        self,
        listening: str,
        apps: Iterable[AppSettings],
        playground: ServerAddress | None,
        *,
        network_host: str | None = None,
    ) -> None:
        """Print the banner of a server with configured apps: addresses and app ids, no secrets.

        ``network_host`` is the host by which other machines reach the playground.
        """
        self._line(
            ("soundpost ", "bold"),
            (f"{__version__}  listening on ", ""),
            (listening, "bold cyan"),
            (f"  apps: {app_names(apps)}", ""),
        )
        if playground is None:
            self._line(("No playground is served: start --playground serves this page to try the server", "dim"))
        if playground is not None:
            self._line(("playground: ", ""), (f"{playground.url}/playground", "cyan"))
            if network_host is not None:
                self._line((open_playground(playground, network_host), "yellow"))
        self._file.flush()

    def first_run(
        self,
        listening: str,
        app: AppSettings,
        local: ServerAddress,
        browser: ServerAddress,
        *,
        playground: bool,
        announced: bool,
        here_only: bool,
        network_host: str | None = None,
    ) -> None:
        """Print the banner of a server with an app for this run: credentials, first event, settings."""
        self._line()
        self._line(("  soundpost ", "bold"), (f"{__version__}  listening on ", ""), (listening, "bold cyan"))
        self._line()
        keep = f"{soundpost_command()} init"
        self._line((f"  No app is configured: these credentials are for this run. To keep credentials: {keep}", "dim"))
        if here_only:
            self._line(("  Only this machine reaches the server. For other machines too: start --host 0.0.0.0", "dim"))
        elif not playground:
            self._line(
                ("  No playground, since other machines could publish with it. To serve one: start --playground", "dim")
            )
        self._line()
        for name, value in (("app id", app.id), ("key", app.key), ("secret", app.secret)):
            self._line((f"  {name:<8}", "dim"), (value, "bold"))
        if playground:
            self._heading("Playground")
            self._line((f"  {local.url}/playground", "bold cyan"))
            if network_host is not None:
                self._line((f"  {open_playground(local, network_host)}", "yellow"))
        self._heading("A first event, from a second shell")
        self._line((f"  {trigger_command(app, local, announced=announced)}", "green"))
        self._heading("Frontend")
        self._block(echo_snippet(app.key, browser))
        self._heading("Backend, .env")
        self._block(dotenv_lines(app, local, browser))
        self._line()
        self._file.flush()

    def _heading(self, text: str) -> None:
        self._line()
        self._line((f"  {text}", "bold underline"))

    def _block(self, text: str) -> None:
        for line in text.splitlines():
            self._line((f"  {line}" if line else "", "dim" if line.startswith(("#", "//")) else ""))

    def _line(self, *parts: tuple[str, str]) -> None:
        self._console.print(Text.assemble(*parts))


def trigger_command(app: AppSettings, local: ServerAddress, *, announced: bool) -> str:
    """Return the shortest command that sends an event to this server from another shell."""
    options = "" if local.port == DEFAULT_PORT else f"--port {local.port} "
    if not announced:
        options = f"--url {local.url} --app-id {app.id} --key {app.key} --secret {app.secret} "
    return f"""{soundpost_command()} trigger {options}playground hello '{{"text": "Hi"}}'"""
