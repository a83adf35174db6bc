"""Commands that a web framework's command line offers: they use the server of the application's settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from soundpost.errors import ConfigurationError
from soundpost.tools.cli.calling_application import CallingApplication, called_by

if TYPE_CHECKING:
    from soundpost.broadcasting.settings import BroadcastSettings
    from soundpost.config.application import ApplicationServer

COMMANDS: Final = {
    "start": "the server of these settings; takes the options of 'soundpost start'",
    "status": "show the state of the server",
    "top": "show live figures of the server",
    "reload": "let the server read its apps again",
    "restart": "restart the server with new code and configuration",
    "stop": "stop the server",
    "listen": "print events as they come; takes the options of 'soundpost listen'",
    "history": "kept events of a channel; takes the options of 'soundpost history'",
    "webhooks": "webhooks of the server: receive them (listen), try (test) and watch them (status)",
    "doctor": "find faults of the addresses, the server and the app",
    "deploy": "configurations for Nginx, Supervisor, systemd, Docker ...",
    "types": "TypeScript types of events",
    "init": "write soundpost.toml with credentials, and missing lines of the project",
}
"""Commands of ``soundpost`` that frameworks offer too, with their help."""
_OF_A_SERVER: Final = ("start", "status", "top", "reload", "restart", "stop")
"""Commands for a server in a process of its own."""
_ASK_THE_SITE: Final = ("listen", "history")
"""Commands that get the address of a site with an embedded server."""


def application_server(name: str, location: str, settings: BroadcastSettings) -> ApplicationServer | None:
    """Return the server of an application's default connection; None without a connection to a server.

    ``name`` and ``location`` are the application and its settings in messages. Raises ConfigurationError.
    """
    from soundpost.broadcasting.browser.echo_options import is_internal
    from soundpost.config.application import ApplicationServer

    connection = settings.connection() if settings.connections else None
    if connection is None or not connection.is_server:
        return None
    public = settings.public
    scheme = None if public.tls is None else "https" if public.tls else "http"
    return ApplicationServer(
        name=name,
        location=location,
        app={"id": connection.app_id, "key": connection.key, "secret": connection.secret},
        backend={part: getattr(connection, part) for part in ("host", "port", "scheme", "path")},
        public={"host": public.host, "port": public.port, "scheme": scheme, "path": public.path},
        site_url=connection.site_url if connection.driver == "embedded" else "",
        is_here=is_internal(connection.host) and connection.scheme == "http",
    )


def arguments_for_embedded(
    command: str, arguments: Sequence[str], settings: BroadcastSettings, location: str
) -> list[str]:
    """Return the arguments of a command; for a site that is the server itself, with the site's address.

    Raises ConfigurationError for commands that only a server in a process of its own has.
    """
    connection = settings.connection() if settings.connections else None
    asks_for_help = not {"--help", "-h"}.isdisjoint(arguments)
    if connection is None or connection.driver != "embedded" or asks_for_help:
        return list(arguments)
    if command in ("start", "status", "top", "reload", "restart", "stop") or (
        command == "webhooks" and "status" in arguments
    ):
        raise ConfigurationError(
            f"the driver in {location} is 'embedded': the site itself is the server, at {connection.site_url}. It "
            f"starts, restarts and stops with the site. So there is no '{command}'; 'soundpost listen' and "
            "'soundpost doctor' ask the site. A server in a process of its own needs the driver 'soundpost'"
        )
    named = any(each.partition("=")[0] in ("--url", "--host", "--port") for each in arguments)
    return ["--url", connection.site_url, *arguments] if command in _ASK_THE_SITE and not named else list(arguments)


def run_command(application: CallingApplication, arguments: Sequence[str], prog_name: str) -> None:
    """Run a command of ``soundpost`` for an application. Raises SystemExit with its exit code."""
    from soundpost.tools.cli.app import app

    with called_by(application._replace(program=prog_name)):
        app(list(arguments), prog_name=prog_name)
