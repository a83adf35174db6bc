"""Untrusted texts made safe for a terminal or a log."""

from __future__ import annotations

from typing import Final

_JOINERS: Final = "\u200c\u200d"
"""Zero-width joiners, not printable by themselves, but part of Persian words and of emoji."""
_SHORT: Final = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NARROWEST_SPACES: Final = 0xA0


def printable(text: str) -> str:
    """Return a text on one line, with characters escaped that would move, colour, hide or reorder it in a terminal.

    Escapes are those of JSON (``\\n``, ``\\u001b``), so that JSON stays JSON and means the same.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _JOINERS else _escaped(char) for char in text)


def one_line(text: str | bytes, longest: int) -> str:
    """Return the first ``longest`` characters of a text on one line, with spaces for unprintable characters."""
    text = text[: 4 * longest]
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    line = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[:longest]}…"


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isspace() and ord(char) > _NARROWEST_SPACES and char not in "\u2028\u2029":  # spaces of other widths
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
