"""The text of a variable: quotes around it, and the words for true, false, null and empty.

``docker --env-file`` leaves quotes in place. Laravel writes ``null`` for a setting that is not set.
"""

from __future__ import annotations

from typing import Final

NULL: Final = frozenset(("null", "(null)"))
"""Words for a setting that is not set, in lower case."""
EMPTY: Final = frozenset(("empty", "(empty)"))
"""Words for an empty text, in lower case."""
_TRUE: Final = frozenset(("true", "(true)", "1", "yes", "on"))
_FALSE: Final = frozenset(("false", "(false)", "0", "no", "off"))


def unquoted(text: str) -> str:
    """Return ``text`` without white space and quotes around it."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def truth(text: str) -> bool | None:
    """Return the truth value that ``true``, ``1``, ``yes``, ``on`` or an opposite means; None for any other text."""
    word = text.lower()
    return True if word in _TRUE else False if word in _FALSE else None
