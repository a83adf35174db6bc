"""docs/resume-js.md as somebody follows it, in an empty folder, looked at in a browser."""

from __future__ import annotations

import httpx

from support.browser import Browser
from support.newcomer import Newcomer, blocks_of
from support.newcomer_in_browser import person
from support.pages import ROOT
from support.raw_socket import TIMEOUT
from support.recipes import come_back

__all__ = ["person"]


def test_a_page_misses_nothing_over_a_restart_and_fetches_again_after_a_gap(browser: Browser, person: Newcomer) -> None:
    person.type("soundpost init")
    person.follow(*(block for block in blocks_of(ROOT / "docs/resume-js.md") if block.place))
    person.type("flask soundpost start")
    person.type("flask run")
    httpx.post(f"{person.url}/score", timeout=TIMEOUT)
    page = browser.open(person.url)
    page.shows("p", "1")
    person.wait_for_subscribers("scores", 1)
    httpx.post(f"{person.url}/score", timeout=TIMEOUT)
    page.shows("p", "1 2")

    person.type("flask soundpost restart")
    httpx.post(f"{person.url}/score", timeout=TIMEOUT)
    page.shows("p", "1 2 3")
    page.evaluate("window.isOld = true")

    start = person.end_realtime()  # its history is gone with it
    person.type(start)
    httpx.post(f"{person.url}/score", timeout=TIMEOUT)
    come_back(page)
    page.shows("p", "1 2 3 4")
    assert page.evaluate("window.isOld") is None
    # While there was no server Chromium complains of each attempt; pusher-js tries wss, too, after five seconds.
    attempt = "WebSocket connection to"
    assert [each for each in browser.complaints() if attempt not in each] == []
    browser.reset()
