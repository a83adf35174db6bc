"""Tolerant readers of untrusted texts: JSON, dates, numbers, web pages.

No function raises, whatever the text is.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any, Final

from soundpost.errors import JsonError
from soundpost.wire.json_text import read_object

_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_TITLE: Final = re.compile(rb"<title[^>]{0,200}>(.{0,1000}?)</title>", re.IGNORECASE | re.DOTALL)
_TITLE_WITHIN: Final = 16_384
"""Number of bytes of a page in which the title is looked for."""


def object_in(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object in a text; None for any other text."""
    try:
        return read_object(text)
    except JsonError:
        return None


def number_in(text: str) -> int | None:
    """Return the number written in ASCII digits, at most 18; None for any other text."""
    return int(text) if _DIGITS.fullmatch(text) else None


def time_in(text: str) -> float | None:
    """Return the time of an HTTP date, in seconds since 1970; None for any other text."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError):
        return None


def title_in(page: bytes) -> str | None:
    """Return the title of a web page; None for one without."""
    match = _TITLE.search(page[:_TITLE_WITHIN])
    return match[1].decode(errors="replace") if match else None
