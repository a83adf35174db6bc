"""The example ``flask_dashboard``, started by its one command, in two windows of a real browser."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pytest

from clients.browser import Browser
from harness import until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flask_dashboard"
SCREENSHOT = os.environ.get("SOUNDPOST_SCREENSHOTS")
"""A directory for screenshots."""


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    with socket() as one, socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        port, soundpost_port = one.getsockname()[1], other.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOUNDPOST_", "REVERB_"))}
    log = tmp_path_factory.mktemp("dashboard") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(EXAMPLE / "start")],
            env={**kept, "PORT": str(port), "SOUNDPOST_PORT": str(soundpost_port)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: process.poll() is not None or "Dashboard: " in log.read_text(), log.read_text, 180)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def test_the_chart_moves_and_orders_arrive_at_the_other_window(dashboard: str, browser: Browser) -> None:
    browser.reset()
    ann, bob = browser.open(dashboard, "ann"), browser.open(dashboard, "bob")
    for page in (ann, bob):
        page.shows("#status", "connected")
    before = int(ann.evaluate("document.getElementById('chart').dataset.points || 0"))
    until(lambda: int(ann.evaluate("document.getElementById('chart').dataset.points || 0")) >= before + 3, "the chart")
    assert ann.text("#orders").isdigit()

    name = ann.text("#me")
    ann.click("#order")
    ann.count("#feed li.mine", 1)
    goods = ann.text("#feed li").removeprefix("You bought ")
    bob.shows("#feed li", f"{name} bought {goods}")
    bob.click("#order")
    ann.count("#feed li", 2)
    assert len(ann.texts("#feed li.mine")) == 1, "its own order came back"
    assert browser.complaints() == []
    if SCREENSHOT:
        until(lambda: int(ann.evaluate("document.getElementById('chart').dataset.points")) >= 58, "a full chart", 90)
        ann.screenshot(Path(SCREENSHOT) / "flask_dashboard.png", 1200, 720)


def test_who_has_not_opened_the_page_may_not_listen(dashboard: str, browser: Browser) -> None:
    page = browser.open(f"{dashboard}/static/dashboard.css", "stranger")
    status = page.evaluate(
        "fetch('/broadcasting/auth', {method: 'POST', body: new URLSearchParams("
        "{socket_id: '1.2', channel_name: 'private-dashboard'})}).then((answer) => answer.status)"
    )
    assert status == 403
