"""Insertions into lists, tuples and calls: the form of what is there is kept, and the rest byte for byte."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from soundpost.tools.setup.brackets import append, prepend
from soundpost.tools.setup.source import Insertion, PythonSource, UneditableError

Edit = Callable[[PythonSource, ast.expr, str], list[Insertion]]


def edited(text: str, edit: Edit = append) -> str:
    source = PythonSource(text.encode())
    statement = source.tree.body[-1]
    assert isinstance(statement, ast.Assign)
    return source.with_insertions(edit(source, statement.value, "'new'")).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = []", "x = ['new']"),
        ("x = ()", "x = ('new',)"),
        ("x = [\n]\n", "x = [\n    'new',\n]\n"),
        ("x = [\n    # none yet\n]\n", "x = [\n    # none yet\n    'new',\n]\n"),
        ("x = ['a']", "x = ['a', 'new']"),
        ("x = ['a',]", "x = ['a', 'new']"),
        ("x = ('a',)", "x = ('a', 'new')"),
        ("x = [\n    'a'\n]\n", "x = [\n    'a',\n    'new',\n]\n"),
        ("x = [\n\t'a', # , ]\n\n\t# 'b',\n]\n", "x = [\n\t'a', # , ]\n\t'new',\n\n\t# 'b',\n]\n"),
        ("x = [\n    'a'  # why\n]\n", "x = [\n    'a',  # why\n    'new',\n]\n"),
        ("x = ['a',\n     'b',\n]\n", "x = ['a',\n     'b',\n     'new',\n]\n"),
        ("x = ['a',\n]\n", "x = ['a',\n    'new',\n]\n"),
        ("x = [('a')]", "x = [('a'), 'new']"),
        ("x = [\n    ('a' if [1] else ']')\n]\n", "x = [\n    ('a' if [1] else ']'),\n    'new',\n]\n"),
        ("x = ['''a\n]''']", "x = ['''a\n]''', 'new']"),
        ("x = [f'{[1]}(']", "x = [f'{[1]}(', 'new']"),
        ("x = f(\n    a\n)\n", "x = f(\n    a,\n    'new',\n)\n"),
        ("x = (f)(*a)", "x = (f)(*a, 'new')"),
        ("x = ['ä', 'b']", "x = ['ä', 'b', 'new']"),
        ("x = [\r\n    'a',\r\n]\r\n", "x = [\r\n    'a',\r\n    'new',\r\n]\r\n"),
    ],
)
def test_an_entry_is_appended_in_the_style_of_the_list(before: str, after: str) -> None:
    assert edited(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = []", "x = ['new']"),
        ("x = ['a', 'b']", "x = ['new', 'a', 'b']"),
        ("x = [\n    # about a\n    'a',\n]\n", "x = [\n    'new',\n    # about a\n    'a',\n]\n"),
        ("x = [  # all\n\t'a',\n]\n", "x = [  # all\n\t'new',\n\t'a',\n]\n"),
        ("x = ['a',\n     'b']\n", "x = ['new', 'a',\n     'b']\n"),
    ],
)
def test_an_entry_is_prepended_in_the_style_of_the_list(before: str, after: str) -> None:
    assert edited(before, prepend) == after


@pytest.mark.parametrize("text", ["x = 'a', 'b'", "x = ('a'), ('b')"])
def test_a_tuple_without_brackets_is_refused(text: str) -> None:
    with pytest.raises(UneditableError, match="without brackets"):
        edited(text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x = [", "syntax error in line 1"),
        (b"x = 'a\0'", "cannot parse|syntax error"),
        (b"# coding: klingon\nx = 1\n", "encoding"),
        (b"x = '\xe4'\n", "encoding"),
        (b"x = 1\ry = 2\r", "carriage return"),
        (b"x = 1\n" * 200_000, "1,000,000 bytes"),
    ],
)
def test_what_cannot_be_edited_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(UneditableError, match=reason):
        PythonSource(data)


@pytest.mark.parametrize(
    "data",
    [
        "# -*- coding: latin-1 -*-\nx = ['ä']\n".encode("latin-1"),
        "\ufeffx = ['ä']\r\n".encode(),
        b"x = ['a']",
    ],
)
def test_encoding_line_breaks_and_end_are_kept(data: bytes) -> None:
    source = PythonSource(data)
    statement = source.tree.body[-1]
    assert isinstance(statement, ast.Assign)
    after = source.with_insertions(append(source, statement.value, "'new'"))
    assert after == data.replace(b"']", b"', 'new']")


def test_statements_on_one_line_are_not_torn_apart() -> None:
    source = PythonSource(b"x = 1; y = 2\n")
    for statement, edit in zip(source.tree.body, (source.after, source.before), strict=True):
        with pytest.raises(UneditableError, match="line 1 has several statements"):
            edit(statement, "z = 3")


def test_lines_behind_the_last_statement_keep_the_missing_line_break() -> None:
    source = PythonSource(b"x = 1\r\ny = 2")
    assert source.with_insertions([source.after(source.tree.body[-1], "z = 3")]) == b"x = 1\r\ny = 2\r\nz = 3"
