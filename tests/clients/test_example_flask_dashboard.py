"""The example ``flask_dashboard``, started by its one command, in two windows of a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.browser import Browser
from support.example_process import SCREENSHOTS, picture, running_example
from support.harness import until


@pytest.fixture(scope="module")
def dashboard(browser: Browser) -> Iterator[str]:
    """Its address."""
    with running_example("flask_dashboard") as url:
        yield url
        browser.reset()  # or its pages would complain that it is gone


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
    if SCREENSHOTS:
        until(lambda: int(ann.evaluate("document.getElementById('chart').dataset.points")) >= 58, "a full chart", 90)
        picture(ann, "flask-dashboard", 1200, 720)


def test_who_has_not_opened_the_page_may_not_listen(dashboard: str, browser: Browser) -> None:
    page = browser.open(f"{dashboard}/static/dashboard.css", "stranger")
    status = page.evaluate(
        "fetch('/broadcasting/auth', {method: 'POST', body: new URLSearchParams("
        "{socket_id: '1.2', channel_name: 'private-dashboard'})}).then((answer) => answer.status)"
    )
    assert status == 403
