"""Hints for errors about values that have no form in JSON: usually the call that was meant."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final

_ROWS: Final = "[dict(row) for row in result.mappings()]"


def hint(value: Any) -> str:
    """Return the code to write in place of a value that cannot be sent, as the end of a sentence; or an empty text."""
    call = _call(value)
    return f"; {call}" if call else ""


def _call(value: Any) -> str:
    kind = type(value)
    if inspect.isawaitable(value) or inspect.isasyncgen(value):
        return "await it first"
    if isinstance(value, type):
        return "it is a class: one of its objects is meant"
    if callable(value) and not isinstance(value, Iterable):
        return "it is a function: call it"
    if isinstance(value, bytes | bytearray | memoryview):
        return "decode it to text, or send it as base64"
    if hasattr(value, "_iterable_class") or hasattr(value, "get_queryset"):  # Django
        return _queryset(value)
    if kind.__module__.startswith("sqlalchemy."):
        return _sqlalchemy(value, kind)
    if kind.__name__ == "NAType":  # of pandas
        return "send None, or leave the field out"
    if hasattr(value, "iterrows"):  # a table of pandas
        return 'send its rows: ….to_dict("records")'
    if isinstance(value, Iterable):
        return "make it a list: list(…)"
    return ""


def _queryset(value: Any) -> str:
    rows = getattr(value, "_iterable_class", None)
    if rows is not None and rows.__name__ != "ModelIterable":  # of values() or values_list()
        return "make it a list: list(….values(…))"
    return 'name the fields that browsers may see: list(….values("id", …))'


def _sqlalchemy(value: Any, kind: type) -> str:
    if hasattr(value, "_mapping"):
        return "make a row a dictionary: dict(row._mapping)"
    if hasattr(value, "mappings"):
        return f"make its rows dictionaries: {_ROWS}"
    if hasattr(value, "all"):
        return "read it with .all(), and send the fields that browsers may see"
    return f"it is a statement: execute it, and send its rows: {_ROWS}"
