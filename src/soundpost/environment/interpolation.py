"""References to environment variables in a value: ``${NAME}`` and ``${NAME:-default}``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_REFERENCE: Final = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]{0,1000}))?\}")


MAX_SIZE: Final = 1_000_000
"""Characters that references may add to a text, in total."""


class UnsetVariableError(Exception):
    """A reference names an unset variable and gives no default; the message is the variable's name."""


def interpolate(text: str, lookup: Callable[[str], str | None]) -> str:
    """Return ``text`` with ``${NAME}`` and ``${NAME:-default}`` replaced; ``$${`` stands for ``${`` itself.

    ``lookup`` returns the value of a variable, or None. A default has at most 1,000 characters. References that would
    add more than ``MAX_SIZE`` characters stay as they are. Raises UnsetVariableError for None without a default.
    """
    added = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal added
        escaped, name, default = match.groups()
        if escaped:
            return match[0][1:]
        value = lookup(name)
        added += len(value or "")
        if added > MAX_SIZE:
            return match[0]
        if value or (value is not None and default is None):
            return value
        if default is None:
            raise UnsetVariableError(name)
        return str(default)

    return _REFERENCE.sub(replace, text)
