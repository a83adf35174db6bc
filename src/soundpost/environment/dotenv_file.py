"""A ``.env`` file, for Soundpost alone or for a whole Laravel project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Final

from soundpost.environment.interpolation import interpolate
from soundpost.errors import ConfigurationError

_OURS: Final = ("SOUNDPOST_", "REVERB_")
_BEGINS_WITH_QUOTE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*[\"']")


def read_dotenv(path: Path, environ: Mapping[str, str], warnings: list[str]) -> dict[str, str]:
    """Return the variables in a ``.env`` file; ``${NAME}`` is a variable of ``environ`` or of an earlier line.

    A fault becomes a line in ``warnings`` instead of an error: most lines belong to other programs. Raises
    ConfigurationError for a ``SOUNDPOST_…`` or ``REVERB_…`` variable whose value begins with a quote and has no second.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        warnings.append(f"{path.name}: cannot be read ({error.strerror}); its settings are not used")
        return {}
    from dotenv.parser import parse_stream  # for the few that have such a file

    variables: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        begun = _BEGINS_WITH_QUOTE.match(binding.original.string)
        is_open = binding.error or (binding.value is not None and "\n" in binding.value)
        if begun is not None and is_open and begun[1].startswith(_OURS):
            raise ConfigurationError(
                f"{path.name}: line {binding.original.line}: {begun[1]} begins with a quote that does not end on its "
                "line: add the second quote, or remove the first"
            )
        if binding.error:
            warnings.append(f"{path.name}: line {binding.original.line} is not NAME=value; it is left out")
        elif binding.key and binding.value is not None:
            variables[binding.key] = interpolate(binding.value, lambda name: environ.get(name, variables.get(name, "")))
    return variables
