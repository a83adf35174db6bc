"""``${NAME}`` in a value: the environment variable of that name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_REFERENCE: Final = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class UnsetVariableError(Exception):
    """A reference names a variable that is not set, and gives no default."""


def interpolate(text: str, lookup: Callable[[str], str | None]) -> str:
    """``text`` with ``${NAME}`` and ``${NAME:-default}`` replaced; ``$${`` stands for ``${`` itself.

    Raises UnsetVariableError with the name of a variable that ``lookup`` does not know and that has no default.
    """

    def replace(match: re.Match[str]) -> str:
        escaped, name, default = match.groups()
        if escaped:
            return match[0][1:]
        value = lookup(name)
        if value or (value is not None and default is None):
            return value
        if default is None:
            raise UnsetVariableError(name)
        return str(default)

    return _REFERENCE.sub(replace, text)
