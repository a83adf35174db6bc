"""The page about Django, followed word for word from an empty folder until the event is seen in a browser."""

from __future__ import annotations

from typing import Final

from support.browser import Browser
from support.newcomer import PASSWORD, Newcomer, blocks_of
from support.newcomer_in_browser import person
from support.pages import DOCS

__all__ = ["person"]

PAGE: Final = DOCS / "django.md"
SECTIONS: Final = ("1. Install it", "2. Say what happens", "3. Say who may know", "4. Show it", "5. Start it")
ADDRESS: Final = "http://127.0.0.1:8000"
PACKED: Final = "Your order is being packed."


def test_the_shop_of_the_page_is_seen_in_two_windows(browser: Browser, person: Newcomer) -> None:
    *blocks, trigger = [block for section in SECTIONS for block in blocks_of(PAGE, section)]
    person.follow(*(block for block in blocks if block.place != "main.js"))
    (opened,) = {word.strip("<>") for word in PAGE.read_text().split() if word.startswith(f"<{ADDRESS}/")}
    address = opened.replace(ADDRESS, person.url)
    first = browser.open(address)
    first.fill("[name=username]", "ann")
    first.fill("[name=password]", PASSWORD)
    first.click("[type=submit]")
    first.shows("#state", PACKED)
    second = browser.open(address)
    person.wait_for_subscribers("private-orders.7", 2)
    first.click("form button")
    for window in (first, second):
        window.shows("#state", "On its way with DHL.")
    person.follow(trigger)
    for window in (first, second):
        window.shows("#state", "On its way with UPS.")
