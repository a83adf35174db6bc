"""Values of NumPy, and pandas' ``NaT``, in events and in names of channels."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from soundpost import PrivateChannel
from soundpost.broadcasting.serialization import to_json
from soundpost.errors import PayloadError


class NaTType(datetime):
    """pandas' ``NaT``: a datetime that equals nothing, not even itself."""

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = datetime.__hash__

    def isoformat(self, *_: Any) -> str:
        return "NaT"

    __str__ = isoformat


NAT = NaTType(1, 1, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(7), "7"),
        (np.uint8(3), "3"),
        (np.float32(0.5), "0.5"),
        (np.float64(1.5), "1.5"),
        (np.longdouble(1.5), "1.5"),
        (np.bool_(True), "true"),
        (np.str_("a"), '"a"'),
        (np.datetime64("2026-01-02"), '"2026-01-02"'),
        (np.datetime64("2026-01-02T03:04:05.123456789"), '"2026-01-02T03:04:05.123456"'),
        (np.timedelta64(1500, "ms"), "1.5"),
        (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        (np.array([]), "[]"),
        (np.array(5), "5"),
        (np.array(["a", "b"]), '["a","b"]'),
        (np.array([1.5, None, {"x": np.int8(1)}], dtype=object), '[1.5,null,{"x":1}]'),
        (np.array(["2026-01-02"], dtype="datetime64[ns]"), '["2026-01-02T00:00:00"]'),
        ({np.int64(3): np.float64(0.25)}, '{"3":0.25}'),
    ],
)
def test_values_are_sent_as_python_s_own(value: Any, expected: str) -> None:
    assert to_json(value, "event X") == expected


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.float32("nan"), r"rows\[0\]\.v: nan has no form in JSON"),
        (np.array([1.0, np.inf]), r"rows\[0\]\.v\[1\]: inf has no form in JSON"),
        (np.datetime64("NaT"), r"rows\[0\]\.v: NaT has no form in JSON: send None"),
        (np.timedelta64("NaT"), r"rows\[0\]\.v: NaT has no form in JSON: send None"),
        (np.array([["2026-01-01", "NaT"]], dtype="datetime64[ns]"), r"rows\[0\]\.v\[0\]\[1\]: NaT has no form"),
        (NAT, r"rows\[0\]\.v: NaT has no form in JSON: send None"),
        (Decimal("NaN"), r"rows\[0\]\.v: NaN has no form in JSON"),
        (Decimal("-Infinity"), r"rows\[0\]\.v: -Infinity has no form in JSON"),
        (np.timedelta64(5), r"rows\[0\]\.v: numpy\.timedelta64 has no form in JSON"),
        (np.timedelta64(5, "M"), r"rows\[0\]\.v: numpy\.timedelta64 has no form in JSON"),
        (np.complex64(1), r"rows\[0\]\.v: numpy\.complex64 has no form in JSON: send a number or a text"),
        (np.bytes_(b"x"), r"rows\[0\]\.v: numpy\.bytes_ has no form"),
        (np.array([(1,)], dtype=[("a", "i4")]), r"rows\[0\]\.v\[0\]: numpy\.void has no form"),
        (np.ma.array([1, 2], mask=[False, True]), r"rows\[0\]\.v\[1\]: a masked element has no form in JSON"),
    ],
)
def test_values_that_json_does_not_have_are_refused_by_their_path(value: Any, says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        to_json({"rows": [{"v": value}]}, "event X")


def test_a_number_of_numpy_is_a_part_of_a_name() -> None:
    assert str(PrivateChannel(np.str_("a")).name) == "private-a"
    assert text("orders.{}", np.int64(7)) == "orders.7"


@pytest.mark.parametrize("value", [np.float64(1), np.bool_(True), np.datetime64("NaT"), NAT, np.array([1])])
def test_other_values_are_no_part_of_a_name(value: Any) -> None:
    with pytest.raises(PayloadError, match="order_id"):
        text("orders.{}", value)


def text(form: str, value: Any) -> str:
    from soundpost.values.text import text_of

    return form.format(text_of(value, "order_id"))
