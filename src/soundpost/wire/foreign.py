"""What somebody else wrote, read and shown without trust in it: JSON, dates, numbers, web pages, text for a terminal.

A program that reads only by these is not stopped by what it reads, and neither are the person and the terminal before
it. Every function takes any text whatever.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any, Final

from soundpost.errors import JsonError
from soundpost.wire.json_text import read_object

_JOINERS: Final = "\u200c\u200d"
"""Not printable by themselves, and part of Persian words and of emoji."""
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


def printable(text: str) -> str:
    """Return a text as a terminal may show it: on one line, what would move, colour, hide or reorder it escaped.

    Escapes are those of JSON (``\\u001b``), so that JSON stays JSON and means the same.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _JOINERS else _escaped(char) for char in text)


def one_line(text: str | bytes, longest: int) -> str:
    """Return the beginning of a text, fit for a sentence: one line, spaces for what is not printable."""
    text = text[: 4 * longest]
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    line = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[:longest]}…"


def _escaped(char: str) -> str:
    if char.isspace() and ord(char) > 0xA0 and char not in "\u2028\u2029":  # spaces of other widths
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
