"""The file ``soundpost.toml`` with fresh credentials, which server and application both read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from soundpost.config.credentials import Credentials, generate
from soundpost.environment.toml_document import read_toml
from soundpost.errors import ConfigurationError
from soundpost.tools.setup.changes import Change

WHAT: Final = "credentials, readable by you only"


def plan_credentials(path: Path, shown: str, *, replace: bool) -> Change | None:
    """Return the file with fresh credentials; None if the file has some already and is not to be replaced.

    Raises ConfigurationError for a file that exists without an app.
    """
    is_there = path.exists() or path.is_symlink()
    if is_there and not replace:
        if path.is_file() and read_toml(path, shown).get("apps"):
            return None
        raise already_there(shown)
    return Change(path, _text(generate()).encode(), private=True, replaces=is_there, what=WHAT)


def already_there(shown: str) -> ConfigurationError:
    """Return the error for a file that exists and is not to be replaced."""
    return ConfigurationError(
        f"{shown} exists already and was left as it is; --force replaces it, and its credentials with it"
    )


def _text(credentials: Credentials) -> str:
    return f"""\
# Soundpost. Environment variables win over this file: SOUNDPOST_SERVER_PORT, SOUNDPOST_APP_SECRET, …
# "${{NAME}}" in a text is the environment variable of that name. Sizes are in bytes, times in seconds.

[server]
host = "0.0.0.0"
port = 8080
# path = "/ws"                  # prefix of every path
# public_url = "https://ws.example.com"   # where browsers connect, if a proxy is in front
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
