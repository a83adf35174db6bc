"""The file ``soundpost.toml`` with fresh credentials, which server and application both read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from soundpost.config.credentials import Credentials, generate
from soundpost.environment.toml_document import read_toml
from soundpost.errors import ConfigurationError
from soundpost.tools.setup.changes import Change, editable
from soundpost.tools.setup.source import UneditableError

WHAT: Final = "credentials, readable by you only"
_ADDED: Final = "an app with credentials"


def plan_credentials(path: Path, shown: str, *, replace: bool) -> Change | None:
    """Return the file with fresh credentials; None if the file has some already and is not to be replaced.

    A file without an app gets one at its end. Raises ConfigurationError if that cannot be done safely.
    """
    is_there = path.exists() or path.is_symlink()
    if not is_there or replace:
        return Change(path, _text(generate()).encode(), private=True, replaces=is_there, what=WHAT)
    if path.is_file() and read_toml(path, shown).get("apps"):
        return None
    return _with_app(path, shown)


def already_there(shown: str) -> ConfigurationError:
    """Return the error for a file that exists with credentials and is not to be replaced."""
    return ConfigurationError(
        f"{shown} exists already and was left as it is; --force replaces it, and its credentials with it"
    )


def _with_app(path: Path, shown: str) -> Change:
    """Return the file with an app at its end, and every byte before it as it was. Raises ConfigurationError."""
    try:
        if path.is_symlink():
            raise UneditableError("it is a link")
        real = editable(path, path.parent)
        before = real.read_bytes()
    except (UneditableError, OSError) as error:
        reason = error if isinstance(error, UneditableError) else f"it cannot be read: {error.strerror}"
        raise _no_app(shown, str(reason)) from None
    line_break = "\r\n" if b"\r\n" in before else "\n"
    lines = ["", *_app(generate()).splitlines()] if before.strip() else _app(generate()).splitlines()
    end = "" if not before or before.endswith(b"\n") else line_break
    after = before + (end + "".join(f"{line}{line_break}" for line in lines)).encode()
    try:
        tomllib.loads(after.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError:  # ``apps`` is there, but is not an array of tables
        raise _no_app(shown, "its 'apps' is not [[apps]]") from None
    return Change(real, after, before=before, private=True, what=_ADDED)


def _no_app(shown: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{shown} has no app, and none was added, as {reason}. Correct that, or replace {shown} with --force"
    )


def _text(credentials: Credentials) -> str:
    return f"""\
# Soundpost. Environment variables win over this file: SOUNDPOST_SERVER_PORT, SOUNDPOST_APP_SECRET, …
# "${{NAME}}" in a text is the environment variable of that name. Sizes are in bytes, times in seconds.

[server]
host = "127.0.0.1"              # only this machine, and a proxy on it; "0.0.0.0": other machines too
port = 8080
# path = "/ws"                  # prefix of every path
# public_url = "https://ws.example.com"   # where browsers connect, if a proxy is in front
# max_request_size = 262144
# playground = true             # a page to try the server with; it lets its visitors publish
# tls = {{ certificate = "/etc/ssl/fullchain.pem", key = "/etc/ssl/privkey.pem" }}

{_app(credentials)}\
# allowed_origins = ["example.com", "*.example.com"]
# max_connections = 10000
# max_message_size = 16384
# activity_timeout = 30
# ping_interval = 60
# accept_client_events_from = "members"   # or "none"
# subscription_count = false              # tell subscribers how many they are
# rate_limiting = {{ enabled = true, max_attempts = 60, decay_seconds = 60, terminate_on_limit = false }}
# history = [{{ channels = ["private-orders.*"], events = 100, age = "10m" }}]   # keep events for clients that return
# webhooks = [{{ url = "http://127.0.0.1:8000/broadcasting/webhooks" }}]   # tell the application who comes and goes
"""


def _app(credentials: Credentials) -> str:
    return f"""\
[[apps]]
id = "{credentials.id}"
key = "{credentials.key}"
secret = "{credentials.secret}"
"""
