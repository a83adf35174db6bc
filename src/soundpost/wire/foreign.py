"""What somebody else wrote, read without trust in it: JSON, dates, numbers, web pages.

A program that reads only by these is not stopped by what it reads: every function takes any text whatever.
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
"""Bytes of a page in which its title is looked for."""


def object_in(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object in a text; None for a text that is none, whatever else it is."""
    try:
        return read_object(text)
    except JsonError:
        return None


def number_in(text: str) -> int | None:
    """Return the number that a text's ASCII digits say; None for a text with anything else, or with too many."""
    return int(text) if _DIGITS.fullmatch(text) else None


def time_in(text: str) -> float | None:
    """Return the time that an HTTP date says, in seconds since 1970; None for a text that is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError):
        return None


def title_in(page: bytes) -> str | None:
    """Return the title of a web page; None for one without."""
    found = _TITLE.search(page[:_TITLE_WITHIN])
    return found[1].decode(errors="replace") if found else None
