"""Text of a Python module that gets insertions, and keeps everything else byte for byte."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from soundpost.errors import SoundpostError

MAX_SIZE: Final = 1_000_000
"""Bytes of a module, at most: larger ones are not code that a person wrote."""
_INSIGNIFICANT: Final = frozenset(
    (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)


class UneditableError(SoundpostError):
    """A file cannot be changed safely; the message says why."""


class Insertion(NamedTuple):
    """Text to insert in front of the character at ``offset``; its lines end with ``\\n``."""

    offset: int
    text: str


class Token(NamedTuple):
    """A token that is neither comment nor white space, with its offsets in the text."""

    text: str
    start: int
    end: int
    is_operator: bool
    """True for brackets, commas and the like; false for the same characters in a string."""


class PythonSource:
    """A parsed module; all offsets count characters of ``text``."""

    def __init__(self, data: bytes) -> None:
        """Parse a module's bytes. Raises UneditableError."""
        if len(data) > MAX_SIZE:
            raise UneditableError(f"it has more than {MAX_SIZE:,} bytes")
        self.data = data
        self.encoding, self.text = _decoded(data)
        if re.search(r"\r(?!\n)", self.text):
            raise UneditableError("its lines end with a carriage return alone")
        self.tree = _parsed(self.text)
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", self.text))]

    @classmethod
    def read(cls, path: Path) -> PythonSource:
        """Return the module in a file. Raises UneditableError."""
        try:
            if not path.stat().st_size:  # as the kernel's files in /proc say, and some of them never end
                return cls(b"")
            with path.open("rb") as file:
                return cls(file.read(MAX_SIZE + 1))
        except OSError as error:
            raise UneditableError(f"it cannot be read: {error.strerror}") from None

    def start(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Return the offset of a node's first character."""
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Return the offset behind a node's last character."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.end_lineno, node.end_col_offset)

    def code(self, node: ast.expr | ast.stmt) -> str:
        """Return a node's own text."""
        return self.text[self.start(node) : self.end(node)]

    def line_start(self, offset: int) -> int:
        """Return the offset of the line that contains ``offset``."""
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Return the offset of the line break behind ``offset``, or of the end of the text."""
        match = re.compile(r"\r?\n|\Z").search(self.text, offset)
        assert match is not None
        return match.start()

    def indent(self, offset: int) -> str:
        """Return the white space at the beginning of the line that contains ``offset``."""
        match = re.compile(r"[ \t]*").match(self.text, self.line_start(offset))
        assert match is not None
        return match[0]

    @cached_property
    def tokens(self) -> list[Token]:
        """The significant tokens of the module."""
        lines = iter(self._lines())
        found = []
        for each in tokenize.generate_tokens(lambda: next(lines, "")):
            if each.type not in _INSIGNIFICANT and each.string:
                start, end = (self._line_starts[row - 1] + column for row, column in (each.start, each.end))
                found.append(Token(each.string, start, end, each.type == tokenize.OP))
        return found

    def before(self, statement: ast.stmt, text: str) -> Insertion:
        """Return an insertion of lines in front of a statement. Raises UneditableError."""
        start = self.start(statement)
        first = self.line_start(start)
        if self.text[first:start].strip():
            raise UneditableError(f"line {statement.lineno} has several statements")
        return Insertion(first, f"{text}\n")

    def after(self, statement: ast.stmt, text: str) -> Insertion:
        """Return an insertion of lines behind a statement. Raises UneditableError."""
        end = self.end(statement)
        last = self.line_end(end)
        rest = self.text[end:last].strip()
        if rest and not rest.startswith("#"):
            raise UneditableError(f"line {statement.end_lineno} has several statements")
        return Insertion(last, f"\n{text}")

    def with_insertions(self, insertions: Iterable[Insertion]) -> bytes:
        """Return the module's bytes with insertions. Raises UneditableError if they would not be a valid module."""
        parts = []
        done = 0
        for offset, text in sorted(insertions, key=lambda each: each.offset):
            parts += [self.text[done:offset], text.replace("\n", self._line_break(offset))]
            done = offset
        parts.append(self.text[done:])
        try:
            data = "".join(parts).encode(self.encoding)
        except UnicodeEncodeError:
            raise UneditableError(f"its encoding {self.encoding} has no character for the text to be added") from None
        PythonSource(data)
        return data

    def _lines(self) -> list[str]:
        ends = [*self._line_starts[1:], len(self.text)]
        return [self.text[start:end] for start, end in zip(self._line_starts, ends, strict=True)]

    def _line_break(self, offset: int) -> str:
        match = re.compile(r"\r?\n").search(self.text, offset) or re.search(r"\r?\n", self.text)
        return match[0] if match else "\n"

    def _offset(self, line: int, column: int) -> int:
        """Return the offset of a place in Python's syntax tree, whose columns count bytes of UTF-8."""
        start = self._line_starts[line - 1]
        text = self.text[start : start + column]
        return start + (column if text.isascii() else len(self._line_at(start).encode()[:column].decode()))

    def _line_at(self, start: int) -> str:
        return self.text[start : self.line_end(start)]


def _decoded(data: bytes) -> tuple[str, str]:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        raise UneditableError("it is not in the encoding that it declares") from None
    if text.encode(encoding) != data:
        raise UneditableError(f"its encoding {encoding} would not be kept")
    return encoding, text


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        location = f" in line {error.lineno}" if error.lineno else ""
        raise UneditableError(f"it has a syntax error{location}") from None
    except (ValueError, RecursionError, MemoryError):
        raise UneditableError("Python cannot parse it") from None
