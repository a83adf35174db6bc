"""The page of docs/fastapi.md in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.test_fastapi_page import ENVIRON, FILES
from support.browser import Browser
from support.harness import running_server, until
from support.uvicorn_process import running_uvicorn


def test_a_button_in_one_window_changes_the_other(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        running_server() as server,
        running_uvicorn("shop:app", {**ENVIRON, "SOUNDPOST_PORT": str(server.port)}) as site,
    ):
        asking, other = (browser.open(f"{site.url}/orders/7") for _ in range(2))

        def subscribers() -> int:
            channel = server.request("GET", "/channels/private-orders.7", info="subscription_count").json()
            return int(channel.get("subscription_count", 0))

        until(lambda: subscribers() == 2, "both windows have subscribed")
        asking.click("#ship")
        other.shows("#state", "On its way with DHL.")
        asking.shows("#state", "Your order is being packed.")
        complaints = browser.complaints()
        browser.reset()
    assert not complaints
