"""Command ``soundpost init``: a ``soundpost.toml`` with fresh credentials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from soundpost.config.credentials import Credentials


def init(
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists, credentials and all.")] = False,
    config: Annotated[Path, typer.Option(help="File to write.")] = Path("soundpost.toml"),
) -> None:
    """Write soundpost.toml with fresh credentials, and print the lines for backend and frontend.

    The file is readable by its owner only. A file that exists is left alone.

    \b
    [bold]Examples[/]
    soundpost init
    soundpost init --config /etc/soundpost/soundpost.toml
    """
    from soundpost.config import ServerSettings
    from soundpost.config.credentials import generate
    from soundpost.core.app_settings import AppSettings
    from soundpost.tools.cli.addresses import local_address
    from soundpost.tools.cli.snippets import dotenv_lines, echo_snippet

    credentials = generate()
    _write(config, _file_text(credentials), replace=force)
    app = AppSettings(id=credentials.id, key=credentials.key, secret=credentials.secret)
    address = local_address(ServerSettings())
    option = "" if config == Path("soundpost.toml") else f" --config {config}"
    typer.echo(f"Wrote {config} (readable by you only). Start the server with: soundpost start{option}")
    _warn_of_rivals(config, credentials.id)
    typer.echo(f"\nBackend, .env\n\n{_indented(dotenv_lines(app, address, address))}")
    typer.echo(f"\nFrontend\n\n{_indented(echo_snippet(app.key, address))}\n")


def _write(path: Path, text: str, *, replace: bool) -> None:
    """Write ``path`` with mode 600. Raises ConfigurationError on failure, and for a file not to be replaced."""
    import secrets

    from soundpost.errors import ConfigurationError

    target = path.with_name(f".{path.name}.{secrets.token_hex(4)}") if replace else path
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            if replace:
                target.replace(path)
        except BaseException:
            target.unlink()
            raise
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already and was left as it is; --force replaces it, and its credentials with it"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None


def _warn_of_rivals(config: Path, app_id: str) -> None:
    """Warn if the environment or ``.env`` would replace the new credentials."""
    from soundpost.config import load
    from soundpost.errors import ConfigurationError

    try:
        loaded = load(environ=os.environ, directory=Path.cwd(), config_file=config)
        problem = "" if any(app.id == app_id for app in loaded.settings.apps) else "\n".join(loaded.warnings)
    except ConfigurationError as error:
        problem = str(error)
    if problem:
        typer.secho(f"warning: {problem}", fg=typer.colors.YELLOW, err=True)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())


def _file_text(credentials: Credentials) -> str:
    return f"""\
# Soundpost. Environment variables win over this file: SOUNDPOST_SERVER_PORT, SOUNDPOST_APP_SECRET, …
# "${{NAME}}" in a text is the environment variable of that name. Sizes are in bytes, times in seconds.

[server]
host = "0.0.0.0"
port = 8080
# path = "/ws"                  # prefix of every path
# hostname = "ws.example.com"   # under which clients reach the server
# max_request_size = 262144
# playground = true             # a page to try the server with; it lets its visitors publish
# tls = {{ certificate = "/etc/ssl/fullchain.pem", key = "/etc/ssl/privkey.pem" }}

[[apps]]
id = "{credentials.id}"
key = "{credentials.key}"
secret = "{credentials.secret}"
# allowed_origins = ["example.com", "*.example.com"]
# max_connections = 10000
# max_message_size = 16384
# activity_timeout = 30
# ping_interval = 60
# accept_client_events_from = "members"   # or "none"
# subscription_count = false              # tell subscribers how many they are
# rate_limiting = {{ enabled = true, max_attempts = 60, decay_seconds = 60, terminate_on_limit = false }}
"""
