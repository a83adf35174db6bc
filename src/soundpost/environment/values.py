"""Values of environment variables, written directly or in a file (Docker and Kubernetes secrets)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from soundpost.environment.service_links import is_service_port
from soundpost.environment.text import EMPTY, NULL, unquoted
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted

_MAX_SIZE: Final = 100_000
"""Characters of a value in a file, at most."""


def plain_value(environ: Mapping[str, str], name: str) -> str:
    """Return a variable's value; empty for an unset variable, ``null``, and the address of a Kubernetes service."""
    text = environ.get(name, "")
    if is_service_port(name, text):
        return ""
    text = unquoted(text)
    return "" if text.lower() in NULL or text.lower() in EMPTY else text


def value_from_file(environ: Mapping[str, str], name: str, place: str = "environment: ") -> str | None:
    """Return the text of the file that ``<name>_FILE`` names; None if that variable is not set.

    Quotes and the word ``null`` in the file belong to the value. ``place`` begins the messages. Raises
    ConfigurationError.
    """
    path = unquoted(environ.get(f"{name}_FILE", ""))
    if not path or path.lower() in NULL:
        return None
    if plain_value(environ, name):
        raise ConfigurationError(f"{place}both {name} and {name}_FILE are set: keep one of them")
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(_MAX_SIZE + 1).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"{place}{name}_FILE={redacted(path)}: the file cannot be read: {reason}") from None
    if not text:
        raise ConfigurationError(f"{place}{name}_FILE={redacted(path)}: the file is empty")
    if len(text) > _MAX_SIZE:
        raise ConfigurationError(
            f"{place}{name}_FILE={redacted(path)}: the file has more than {_MAX_SIZE:,} characters, and so no secret"
        )
    return text


def value_of(environ: Mapping[str, str], *names: str, place: str = "environment: ") -> str:
    """Return the value of the first of these variables that has one, directly or in a file; empty if none has.

    ``place`` begins the messages. Raises ConfigurationError.
    """
    for name in names:
        value = value_from_file(environ, name, place) or plain_value(environ, name)
        if value:
            return value
    return ""
