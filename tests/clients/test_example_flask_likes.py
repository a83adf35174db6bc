"""The example ``flask_likes``, started by its one command: pages that speak to Python over their WebSockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from support.browser import Browser, Page
from support.example_process import picture, running_example

POST: Final = '[data-post="1"]'
LIKES: Final = f"{POST} .likes"


@pytest.fixture(scope="module")
def posts(browser: Browser) -> Iterator[str]:
    """The address of the page."""
    with running_example("flask_likes") as url:
        yield url
        browser.reset()  # or its pages would complain that it is gone


def read(browser: Browser, url: str, name: str) -> Page:
    """Open the page in a browser of one's own."""
    page = browser.open(url, profile=name)
    page.shows("#status", "connected")
    page.count("button:enabled", 3)
    return page


def http_requests(browser: Browser) -> int:
    return sum(each["url"].startswith("http") for each in browser.traffic())


def test_python_counts_what_pages_say_over_their_sockets(posts: str, browser: Browser) -> None:
    ann, bob = (read(browser, posts, name) for name in ("ann", "bob"))
    requests = http_requests(browser)
    ann.click(f"{POST} button")
    for page in (ann, bob):
        page.shows(LIKES, "1")
    bob.click(f"{POST} button")
    for page in (ann, bob):
        page.shows(LIKES, "2")
    picture(ann, "flask-likes", 700, 560)

    # Twice the same user, another name, and what is not a like: Python believes the server, and not the page.
    for data in ("{ liked: true, user_id: 'Guest 1' }", "{ liked: 'very much' }", "null"):
        ann.evaluate(f"void echo.join('posts.1').whisper('like', {data})")
    bob.click(f"{POST} button")  # behind all of these
    for page in (ann, bob):
        page.shows(LIKES, "1")
    assert http_requests(browser) == requests, "a click has sent a request"
    assert browser.complaints() == []


def test_a_page_that_clicks_too_fast_is_refused_by_the_server(posts: str, browser: Browser) -> None:
    browser.reset()
    carol, dave = (read(browser, posts, name) for name in ("carol", "dave"))
    before = int(carol.text(LIKES))
    carol.evaluate(
        "echo.connector.pusher.connection.bind('error', ({ data }) => {"
        " document.getElementById('status').textContent = data.code; });"
        "for (let number = 0; number < 12; number++) void echo.join('posts.1').whisper('like', { liked: true })"
    )
    carol.shows("#status", "4301")
    dave.shows(LIKES, str(before + 1))
