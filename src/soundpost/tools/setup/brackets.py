"""Items added to a list, a tuple or the arguments of a call, in the form that those before them have."""

from __future__ import annotations

import ast
from bisect import bisect_left
from typing import NamedTuple

from soundpost.tools.setup.source import Insertion, PythonSource, Token, UneditableError


class Brackets(NamedTuple):
    """The offsets of an opening bracket and of the one that closes it, and the tokens between."""

    opening: int
    closing: int
    inner: list[Token]


def brackets_of(source: PythonSource, node: ast.expr) -> Brackets | None:
    """Return the brackets at the end of a list, tuple or call; None for a tuple without any."""
    tokens = source.tokens
    last = bisect_left(tokens, source.end(node) - 1, key=lambda token: token.start)
    if last >= len(tokens) or tokens[last].text not in (")", "]"):
        return None
    depth = 0
    for first in range(last, -1, -1):
        depth += _depth(tokens[first])
        if depth == 0:
            break
    opening = tokens[first].start
    if not isinstance(node, ast.Call) and opening != source.start(node):
        return None
    return Brackets(opening, tokens[last].start, tokens[first + 1 : last])


def append(source: PythonSource, node: ast.expr, item: str) -> list[Insertion]:
    """Return the insertions that make ``item`` the last one. Raises UneditableError."""
    brackets = _found(source, node)
    if not brackets.inner:
        return [_only(source, brackets, node, item)]
    last = brackets.inner[-1]
    has_comma = last.text == ","
    if "\n" not in source.text[last.end : brackets.closing]:
        return [Insertion(last.end, f" {item}" if has_comma else f", {item}")]
    indent = _indent(source, brackets, last)
    comma = [] if has_comma else [Insertion(last.end, ",")]
    return [*comma, Insertion(source.line_end(last.end), f"\n{indent}{item},")]


def prepend(source: PythonSource, node: ast.expr, item: str) -> list[Insertion]:
    """Return the insertions that make ``item`` the first one. Raises UneditableError."""
    brackets = _found(source, node)
    if not brackets.inner:
        return [_only(source, brackets, node, item)]
    first = brackets.inner[0]
    if "\n" not in source.text[brackets.opening : first.start]:
        return [Insertion(first.start, f"{item}, ")]
    return [Insertion(source.line_end(brackets.opening), f"\n{source.indent(first.start)}{item},")]


def _depth(token: Token) -> int:
    """Return 1 for a closing bracket, -1 for an opening one, 0 for any other token."""
    if not token.is_operator:
        return 0
    return (token.text in (")", "]", "}")) - (token.text in ("(", "[", "{"))


def _found(source: PythonSource, node: ast.expr) -> Brackets:
    brackets = brackets_of(source, node)
    if brackets is None:
        raise UneditableError(f"line {node.lineno} has a tuple without brackets")
    return brackets


def _only(source: PythonSource, brackets: Brackets, node: ast.expr, item: str) -> Insertion:
    """Return the insertion of the only item."""
    first = source.line_start(brackets.closing)
    if first > brackets.opening and not source.text[first : brackets.closing].strip():
        return Insertion(first, f"{source.indent(first)}    {item},\n")
    return Insertion(brackets.closing, f"{item}," if isinstance(node, ast.Tuple) else item)


def _indent(source: PythonSource, brackets: Brackets, last: Token) -> str:
    if source.line_start(last.start) > brackets.opening:
        return source.indent(last.start)
    return f"{source.indent(brackets.closing)}    "
