"""A newcomer whose pages are looked at in a browser, and may not complain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import Browser
from support.newcomer import Newcomer, newcomer


@pytest.fixture
def person(tmp_path: Path, browser: Browser) -> Iterator[Newcomer]:
    """A newcomer in an empty folder; afterwards the console of the browser has no complaint."""
    with newcomer(tmp_path / "live") as found:
        yield found
        complaints = [each for each in browser.complaints() if "favicon" not in each]
        browser.reset()
    assert complaints == []
