"""A ``.env`` file, for Soundpost alone or for a whole Laravel project."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from soundpost.environment.interpolation import interpolate


def read_dotenv(path: Path, environ: Mapping[str, str], warnings: list[str]) -> dict[str, str]:
    """Return the variables in a ``.env`` file; ``${NAME}`` is a variable of ``environ`` or of an earlier line.

    A fault becomes a line in ``warnings`` instead of an error: most lines belong to other programs.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        warnings.append(f"{path.name}: cannot be read ({error.strerror}); its settings are not used")
        return {}
    from dotenv.parser import parse_stream  # for the few that have such a file

    variables: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            warnings.append(f"{path.name}: line {binding.original.line} is not NAME=value; it is left out")
        elif binding.key and binding.value is not None:
            variables[binding.key] = interpolate(binding.value, lambda name: environ.get(name, variables.get(name, "")))
    return variables
