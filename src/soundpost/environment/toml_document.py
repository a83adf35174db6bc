"""The document in a ``soundpost.toml``, which the server reads in whole and an application in part."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from soundpost.errors import ConfigurationError

FILE_NAME: Final = "soundpost.toml"
"""Name of the configuration file in the working directory."""


def read_toml(path: Path, shown: str) -> dict[str, Any]:
    """Return the document in the file at ``path``, called ``shown`` in messages. Raises ConfigurationError."""
    import tomllib  # for the few that have such a file

    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"{shown}: there is no such file: 'soundpost init' writes one") from None
    except OSError as error:
        raise ConfigurationError(f"{shown}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{shown}: not UTF-8 (line {line}): TOML must be") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{shown}: not valid TOML: {error}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{shown}: a number in it is too long, or its tables are nested too deeply") from None


def no_such_app(app_id: str, ids: Iterable[str]) -> str:
    """Return the reason why a file with apps of these ``ids`` does not configure the app with ``app_id``."""
    return f"soundpost.toml has no app with the id {app_id!r}; it has {' and '.join(ids)}"


def is_file(path: Path) -> bool:
    """Return whether ``path`` is a file that this process may look for; False in a folder closed to it."""
    try:
        return path.is_file()
    except OSError:
        return False
