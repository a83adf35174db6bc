"""Environment variables as people, shells and containers write them: one reader for the server and for applications.

``docker --env-file`` leaves quotes in place, Laravel writes ``null`` for what is not set, Docker and Kubernetes hand
secrets over as files, and tell a container of a service that is named like us in variables that are named like ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted

TRUE: Final = frozenset(("true", "(true)", "1", "yes", "on"))
FALSE: Final = frozenset(("false", "(false)", "0", "no", "off"))
NULL: Final = frozenset(("null", "(null)"))
EMPTY: Final = frozenset(("empty", "(empty)"))

# Kubernetes and Docker links tell a container about a service named soundpost in variables of these forms.
_SERVICE_LINK: Final = re.compile(
    r"(SOUNDPOST|REVERB)(_\w+)??(_SERVICE_(HOST|PORT)(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_SERVICE_PORT: Final = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def unquoted(text: str) -> str:
    """``text`` without white space and quotes around it."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def is_service_link(name: str, text: str) -> bool:
    """Whether Kubernetes or Docker set a variable for a service named like us: it says nothing about our settings."""
    return _SERVICE_LINK.fullmatch(name) is not None or is_service_port(name, text)


def is_service_port(name: str, text: str) -> bool:
    """The same of one that has the name of a setting: ``SOUNDPOST_PORT=tcp://10.0.0.1:8080``."""
    return name.endswith("_PORT") and _SERVICE_PORT.match(unquoted(text)) is not None


def plain_value(environ: Mapping[str, str], name: str) -> str:
    """Return what a variable says; empty if it says nothing: ``null``, a service's address, or not there."""
    text = environ.get(name, "")
    if is_service_port(name, text):
        return ""
    text = unquoted(text)
    return "" if text.lower() in NULL or text.lower() in EMPTY else text


def value_from_file(environ: Mapping[str, str], name: str, place: str = "environment: ") -> str | None:
    """Return what is in the file that ``<name>_FILE`` names, as it stands; None if that is not set.

    A secret that reads ``null`` or has quotes is what its author put there. Raises ConfigurationError.
    """
    path = unquoted(environ.get(f"{name}_FILE", ""))
    if not path or path.lower() in NULL:
        return None
    if plain_value(environ, name):
        raise ConfigurationError(f"{place}both {name} and {name}_FILE are set: keep one of them")
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"{place}{name}_FILE={redacted(path)}: the file cannot be read: {reason}") from None
    if not text:
        raise ConfigurationError(f"{place}{name}_FILE={redacted(path)}: the file is empty")
    return text


def value_of(environ: Mapping[str, str], name: str) -> str:
    """Return what a variable, or the file it names, says; empty if it says nothing. Raises ConfigurationError."""
    return value_from_file(environ, name) or plain_value(environ, name)
