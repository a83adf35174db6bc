"""The Django chat as its README has it: started by its one command, used by two people in two browsers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.browser import Browser, Page
from support.example_process import picture, running_example
from support.harness import until
from support.raw_socket import TIMEOUT


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running chat, with a database of its own."""
    database = tmp_path_factory.mktemp("chat") / "chat.sqlite3"
    with running_example("django_chat", CHAT_DATABASE=str(database)) as url:
        yield url


@pytest.fixture
def open_browser(browser: Browser) -> Iterator[Browser]:
    yield browser
    complaints = browser.complaints()
    browser.reset()
    assert not complaints


def enter(browser: Browser, chat: str, name: str, room: str, *, log_in: bool = True) -> Page:
    """Log in, in a browser of one's own, and go to a room."""
    if log_in:
        page = browser.open(f"{chat}/login", profile=name)
        page.fill("[name=name]", name)
        page.click("main button")
        page.count(".chat", 1)
        page.close()
    page = browser.open(f"{chat}/rooms/{room}", profile=name)
    page.shows("#status", "connected")
    page.count("#members .me", 1)
    return page


def say(page: Page, text: str) -> None:
    page.fill("#say input", text)
    page.click("#say button")


def test_two_people_chat(open_browser: Browser, chat: str) -> None:
    ann, bob = (enter(open_browser, chat, name, "music") for name in ("ann", "bob"))
    for page in (ann, bob):
        page.count("#members li", 2)
        assert page.texts("#members li") == ["ann", "bob"]

    say(ann, "Does anybody have a spare A string?")
    for page in (ann, bob):
        page.shows("#messages li:last-child p", "Does anybody have a spare A string?")
    ann.count("#messages .mine", 1)
    bob.count("#messages .mine", 0)

    bob.fill("#say input", "I do, two of them even.")
    ann.shows("#typing", "bob is typing …")
    bob.shows("#typing", "")
    bob.click("#say button")
    ann.shows("#messages li:last-child p", "I do, two of them even.")
    ann.shows("#typing", "")

    say(ann, "Wonderful, I am on my way!")
    bob.shows("#messages li:last-child p", "Wonderful, I am on my way!")
    for page in (ann, bob):
        page.count("#messages li", 3)
    bob.fill("#say input", "Take your time")
    ann.shows("#typing", "bob is typing …")
    ann.count("#messages li", 3)  # her own have not come back to her: what bob did after them is here already
    picture(ann, "django-chat")


def test_who_is_mentioned_is_notified_in_another_room(open_browser: Browser, chat: str) -> None:
    ann, bob = enter(open_browser, chat, "ann", "lobby"), enter(open_browser, chat, "bob", "python")
    say(ann, "@bob and @ann: rehearsal is <b>at eight</b>")
    bob.shows("#notifications a b", "ann mentioned you in lobby")
    bob.shows("#notifications a p", "@bob and @ann: rehearsal is <b>at eight</b>")
    ann.count("#messages .mine", 1)
    ann.count("#notifications a", 0)  # nobody is told of their own words
    picture(bob, "django-chat-notification")
    bob.click("#notifications a")
    bob.shows("#messages li:last-child p", "@bob and @ann: rehearsal is <b>at eight</b>")
    for page in (ann, bob):
        page.count("#members li", 2)


def test_two_tabs_of_one_person(open_browser: Browser, chat: str) -> None:
    ann, bob = (enter(open_browser, chat, name, "tabs") for name in ("ann", "bob"))
    again = enter(open_browser, chat, "ann", "tabs", log_in=False)
    for page in (ann, again, bob):
        page.count("#members li", 2)
    say(ann, "from my first tab")
    for page in (ann, again, bob):
        page.count("#messages li", 1)
    again.close()
    ann.close()
    bob.count("#members li", 1)
    assert bob.texts("#members li") == ["bob"]


def test_names_of_rooms_stay_in_one_line_on_a_phone(open_browser: Browser, chat: str, tmp_path: Path) -> None:
    page = enter(open_browser, chat, "ann", "a-room-with-quite-a-long-name-for-a-phone")
    page.screenshot(tmp_path / "phone.png", 390, 760)
    lines = page.evaluate(
        "[...document.querySelectorAll('nav a, header h1')]"
        ".map((each) => Math.round(each.scrollHeight / parseFloat(getComputedStyle(each).lineHeight)))"
    )
    assert set(lines) == {1}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "the page is wider than the screen"
    picture(page, "django-chat-phone", 390, 760)


def test_a_guest_is_sent_to_the_login_and_a_strange_name_is_refused(open_browser: Browser, chat: str) -> None:
    page = open_browser.open(f"{chat}/rooms/music", profile="guest")
    page.count(".login", 1)
    picture(page, "django-chat-login")
    answer = httpx.post(
        f"{chat}/broadcasting/auth", data={"socket_id": "1.2", "channel_name": "presence-rooms.music"}, timeout=TIMEOUT
    )
    assert answer.status_code == 403


def test_who_is_elsewhere_and_who_was_there(open_browser: Browser, chat: str) -> None:
    eve = enter(open_browser, chat, "eve", "lobby")
    ann = enter(open_browser, chat, "ann", "music")
    reload_until(ann, "#elsewhere [data-name=eve]", "eve online")
    eve.close()
    reload_until(ann, "#elsewhere [data-name=eve] time:not(:empty)")
    picture(ann, "django-chat-elsewhere")


def reload_until(page: Page, selector: str, text: str = "") -> None:
    """Load a page again until an element is there, with this text."""

    def is_there() -> bool:
        page.reload()
        page.shows("#status", "connected")
        return any(text in each for each in page.texts(selector))

    until(is_there, selector)
