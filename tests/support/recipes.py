"""Recipes of the cookbook: who copies them, and what a browser shows, the same in every framework."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from support.browser import Browser, Page
from support.harness import until
from support.newcomer import PACKAGES, Newcomer, blocks_of, newcomer
from support.pages import DOCS
from support.raw_socket import TIMEOUT

COOKBOOK: Final = DOCS / "cookbook"


@pytest.fixture
def person(tmp_path: Path, browser: Browser) -> Iterator[Newcomer]:
    """A newcomer in an empty folder, beside a browser without windows."""
    with newcomer(tmp_path / "recipe") as found:
        yield found
        browser.reset()


def copy_htmx(folder: Path) -> None:
    """Put htmx where the recipe's page loads it from."""
    folder.mkdir(parents=True)
    shutil.copy(PACKAGES / "htmx.org/dist/htmx.min.js", folder)


def see_people_come_and_leave(log_in: Callable[[str], Page]) -> None:
    """Log two users in: each sees both online, until one closes the page."""
    ann = log_in("ann")
    ann.shows("#online li", "ann")
    bob = log_in("bob")
    bob.count("#online li", 2)
    ann.count("#online li", 2)
    assert ann.texts("#online li") == ["ann", "bob"]
    bob.close()
    ann.count("#online li", 1)


def add_webhooks(person: Newcomer, recipe: str) -> None:
    """Write the endpoint of a recipe at the end of ``soundpost.toml``, with the address of the person's site."""
    (block,) = [block for block in blocks_of(COOKBOOK / recipe) if block.place == "soundpost.toml"]
    text, count = re.subn(r"127\.0\.0\.1:\d+", f"127.0.0.1:{person.site}", block.text)
    assert count == 1, text
    person.write(block._replace(text=f"\n{text}"))


def see_who_was_here(log_in: Callable[[str], Page]) -> None:
    """Log two users in, and let one of them close the page: the other one sees when she loads hers again."""
    ann, bob = (log_in(name) for name in ("ann", "bob"))
    _reload_until(ann, "#bob", "bob: online")
    bob.close()
    _reload_until(ann, "#bob", "bob: last seen ")
    assert ann.text("#ann") == "ann: online"


def _reload_until(page: Page, selector: str, text: str) -> None:
    def shown() -> bool:
        page.reload()
        return any(" ".join(each.split()).startswith(text) for each in page.texts(selector))

    until(shown, f"{selector} shows {text!r}")


def buy_one_of_three(browser: Browser, person: Newcomer) -> None:
    """Buy in one of two windows: both show what is left, and only the other one fetches for it."""
    buyer, other = (browser.open(person.url) for _ in range(2))
    person.wait_for_subscribers("stock", 2)
    buyer.click("button")
    for page in (buyer, other):
        page.shows("#stock", "2 left")
    fetched = [each for each in browser.traffic() if each["url"].endswith("/stock") and each.get("status") == 200]
    assert len(fetched) == 1  # the buyer's window is left out


def lose_the_server(browser: Browser, person: Newcomer, page: Page) -> None:
    """End and start the server under a subscribed page: the page fetches a second token for its new subscription."""
    page.shows("#state", "subscribed")
    person.backend().trigger("private-inbox.ann", "Mail", {"subject": "Hello"})
    page.shows("#state", "Hello")
    person.type(person.end_realtime())
    come_back(page)
    page.shows("#state", "subscribed")
    asked = [each for each in browser.traffic() if each["url"].endswith("/token") and each.get("status") == 200]
    assert len(asked) == 2


def post_expired_token(person: Newcomer, headers: dict[str, str]) -> int:
    """Ask for a subscription with a token that has expired; return the status of the answer."""
    return httpx.post(
        f"{person.url}/broadcasting/auth",
        headers={"Authorization": "Bearer ann:1:00"} | headers,
        data={"socket_id": "1.2", "channel_name": "private-inbox.ann"},
        timeout=TIMEOUT,
    ).status_code


def come_back(page: Page) -> None:
    """Tell the page that the network is there again, so that it does not wait before it connects."""
    page.evaluate("window.dispatchEvent(new Event('online'))")
