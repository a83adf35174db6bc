"""Scalars and arrays of NumPy as values of Python, recognised by their classes, without importing NumPy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

_NO_LENGTH: Final = ("", "M]", "Y]")
"""Ends of the names of dtypes for spans of time whose length is not known: without a unit, months, years."""


@lru_cache(maxsize=1_000)
def _base(kind: Any) -> str:
    """Return the class of NumPy that a class inherits from, ``ndarray`` or ``generic``; empty for neither."""
    names = (each.__name__ for each in kind.__mro__ if each.__module__ == "numpy")
    return next((name for name in names if name in ("ndarray", "generic")), "")


def is_of_numpy(value: Any) -> bool:
    """Return whether a value is an array or a scalar of NumPy."""
    kind: Any = type(value)
    return _base(kind) != ""


def is_array(value: Any) -> bool:
    """Return whether a value is an array of NumPy, masked arrays and those of pandas' columns among them."""
    kind: Any = type(value)
    return _base(kind) == "ndarray"


def is_scalar(value: Any) -> bool:
    """Return whether a value is a scalar of NumPy: ``int64``, ``float32``, ``bool_``, ``datetime64`` and others."""
    kind: Any = type(value)
    return _base(kind) == "generic"


def is_masked(value: Any) -> bool:
    """Return whether a value is the constant that stands for a masked element, which has no value."""
    return type(value).__name__ == "MaskedConstant"


def python_value(scalar: Any) -> Any:
    """Return a scalar as Python's own value: int, float, bool, str, bytes, date, datetime or timedelta.

    Times are cut off at microseconds. The result is None for NaT ("not a time"), and an int for a time that Python
    cannot have: spans of months, of years or without a unit, and years before 1 or after 9999.
    """
    kind = scalar.dtype.kind
    if kind == "f":  # the item of a longdouble is itself
        return float(scalar)
    value = scalar.item()
    if kind in "mM" and isinstance(value, int):  # nanoseconds, of which Python's times know nothing
        if kind == "m" and scalar.dtype.name.partition("[")[2] in _NO_LENGTH:
            return value
        try:
            value = scalar.astype(f"{scalar.dtype.name.partition('[')[0]}[us]").item()
        except (TypeError, ValueError):
            return value
    return value
