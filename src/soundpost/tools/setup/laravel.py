"""Set-up of a Laravel project: the lines of ``.env`` that Laravel's own ``install:broadcasting`` writes for Reverb."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from soundpost.config.credentials import generate
from soundpost.errors import ConfigurationError
from soundpost.tools.setup.changes import Change, Changes, ManualEdit, editable
from soundpost.tools.setup.project import Project
from soundpost.tools.setup.search import read_small
from soundpost.tools.setup.source import UneditableError

_ASSIGNMENT: Final = re.compile(rb"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*([^\r\n]*)", re.MULTILINE)
_CREDENTIALS: Final = ("REVERB_APP_ID", "REVERB_APP_KEY", "REVERB_APP_SECRET")
_PACKAGES: Final = ("laravel/reverb", "pusher/pusher-php-server")


def plan_laravel(project: Project) -> Changes:
    """Return the lines that ``.env`` lacks; nothing that is there is changed. Raises ConfigurationError."""
    path = project.directory / ".env"
    try:
        real = editable(path, project.directory)
        before = real.read_bytes()
    except (UneditableError, OSError) as error:
        if not path.exists():
            raise ConfigurationError("there is no .env: copy .env.example to .env first") from None
        raise ConfigurationError(f".env was left as it is: {error}") from None
    present = {name.decode(): value.decode("utf-8", "replace") for name, value in _ASSIGNMENT.findall(before)}
    changes = Changes()
    missing = {name: value for name, value in _lines().items() if name not in present}
    if "BROADCAST_DRIVER" in present:  # as Laravel 10 and older call it
        missing.pop("BROADCAST_CONNECTION", None)
    if missing:
        changes.files.append(_with_lines(real, before, missing))
    changes.notes += _notes(project, present)
    return changes


def _lines() -> dict[str, str]:
    credentials = generate()
    return {
        "BROADCAST_CONNECTION": "reverb",
        **dict(zip(_CREDENTIALS, credentials, strict=True)),
        "REVERB_HOST": '"localhost"',
        "REVERB_PORT": "8080",
        "REVERB_SCHEME": "http",
        "VITE_REVERB_APP_KEY": '"${REVERB_APP_KEY}"',
        "VITE_REVERB_HOST": '"${REVERB_HOST}"',
        "VITE_REVERB_PORT": '"${REVERB_PORT}"',
        "VITE_REVERB_SCHEME": '"${REVERB_SCHEME}"',
    }


def _with_lines(path: Path, before: bytes, missing: dict[str, str]) -> Change:
    line_break = b"\r\n" if b"\r\n" in before else b"\n"
    ended = before if not before or before.endswith(b"\n") else before + line_break
    lines = tuple(f"{name}={value}" for name, value in missing.items())
    after = ended + line_break + b"".join(line.encode() + line_break for line in lines)
    return Change(path, after, before=before, encoding="latin-1", manual_edit=ManualEdit(".env", "", lines))


def _notes(project: Project, present: dict[str, str]) -> list[str]:
    notes = [f"{name} in .env is empty: give it a value" for name in _CREDENTIALS if present.get(name, "x") == ""]
    for name in ("BROADCAST_CONNECTION", "BROADCAST_DRIVER"):
        value = present.get(name, "reverb").strip("\"'")
        if value != "reverb":
            notes.append(f"events go to {value!r}: write {name}=reverb in .env")
    required = json.loads(read_small(project.files[0]) or b"{}").get("require", {}) if project.files else {}
    if not any(package in required for package in _PACKAGES):
        notes.append(f"Laravel publishes with a package that is missing: composer require {_PACKAGES[1]}")
    return notes
