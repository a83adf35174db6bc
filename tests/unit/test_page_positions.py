"""Positions that a page gets with its data."""

from __future__ import annotations

from typing import Any

import pytest

from soundpost import PrivateChannel
from soundpost.broadcasting.browser.page_positions import page_positions
from soundpost.errors import ConfigurationError
from soundpost.wire.positions import Position


def test_channels_have_their_full_names_and_positions_their_text() -> None:
    assert page_positions({PrivateChannel("orders.7"): Position("g7Qx", 12), "news": "h2Zz.3"}) == {
        "private-orders.7": "g7Qx.12",
        "news": "h2Zz.3",
    }


def test_a_channel_without_history_is_left_out() -> None:
    assert page_positions({"news": None}) == {}


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ({"news": "12"}, r"positions\['news'\]: '12' is not a position: expected .* such as g7Qx\.17"),
        ({"news": {"n": 1}}, r"positions\['news'\]: .* is not a position"),
        (["g7Qx.12"], r"positions=\['g7Qx.12'\] is not a mapping: expected positions by channel"),
    ],
)
def test_something_else_is_refused(positions: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        page_positions(positions)
