"""The quickstarts, followed word for word from an empty folder until the event is seen in a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Final

import pytest

from support.browser import Browser, Page
from support.newcomer import Block, Newcomer, blocks_of
from support.newcomer_in_browser import person
from support.pages import DOCS

__all__ = ["person"]

FRAMEWORKS: Final = ("django", "fastapi", "flask")
VITE: Final = DOCS / "quickstart/vite.md"
PAGES: Final = {
    "django": "notes/templates/notes/notes.html",
    "fastapi": "notes.html",
    "flask": "templates/notes.html",
}
"""Files of the page, by framework."""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_note_sent_in_one_window_appears_in_the_other(framework: str, browser: Browser, person: Newcomer) -> None:
    *blocks, trigger = blocks_of(DOCS / f"quickstart/{framework}.md")
    person.follow(*blocks)
    windows = open_two(browser, person)
    send(windows[0], "From a window")
    for window in windows:
        window.shows("li", "From a window")
    person.follow(trigger)
    for window in windows:
        window.shows("li:last-child", "From the shell")
        window.count("li", 2)


@pytest.mark.parametrize(
    ("framework", "sections"),
    [("django", ["1. Install", "3. Connect"]), ("fastapi", ["React"]), ("flask", ["Vue"])],
    ids=["plain-django", "react-fastapi", "vue-flask"],
)
def test_a_page_that_vite_builds(framework: str, sections: list[str], browser: Browser, person: Newcomer) -> None:
    *making, start_realtime, start_site, _ = blocks_of(DOCS / f"quickstart/{framework}.md")
    person.follow(*making)
    change_page(person, framework, component=sections[0] in ("React", "Vue"))
    for section in sections:
        person.follow(*(for_django(block) if framework == "django" else block for block in blocks_of(VITE, section)))
    person.type("npx vite build")
    person.follow(start_realtime, start_site)
    windows = open_two(browser, person)
    send(windows[0], "Built by Vite")
    for window in windows:
        window.shows("li", "Built by Vite")


def test_the_prices_of_a_script_arrive(browser: Browser, person: Newcomer) -> None:
    set_up, prices, start, listen = blocks_of(DOCS / "quickstart/script.md")[:4]
    person.follow(set_up, prices, start)
    placeholder = listen._replace(text=listen.text.replace("8080", str(person.realtime)))
    person.write(placeholder)
    arguments = [sys.executable, "listen.py"]
    done = subprocess.run(arguments, cwd=person.folder, env=person.environ, capture_output=True, text=True, check=False)
    assert re.fullmatch("Application does not exist: no app has the key 'your-app-key' .*\n", done.stderr)
    person.write(placeholder._replace(text=placeholder.text.replace("your-app-key", person.app()["key"])))
    lines = person.lines("python", "-u", "listen.py")
    assert next(lines).startswith("PriceTick {'symbol': 'EURUSD', 'bid': 1.08")


def change_page(person: Newcomer, framework: str, *, component: bool) -> None:
    """Load the built file in the page, as the page about Vite says for the framework."""
    for block in blocks_of(VITE, "2. Load the file"):
        if block.place == PAGES[framework]:
            text = block.text.replace("<ul></ul>", '<div id="app"></div>') if component else block.text
            person.write(block._replace(text=text))
        elif block.place == "main.py" and framework == "fastapi":
            main = person.folder / "main.py"
            main.write_text(main.read_text().replace(", libraries=True", ""))
            person.write(block)


def for_django(block: Block) -> Block:
    text = block.text.replace("outDir: 'static', // Django: 'notes/static'", "outDir: 'notes/static',")
    assert block.place != "vite.config.mjs" or text != block.text
    return block._replace(text=text)


def open_two(browser: Browser, person: Newcomer) -> list[Page]:
    """Open the page in two windows, and wait until both are subscribed."""
    windows = [browser.open(person.url) for _ in range(2)]
    person.wait_for_subscribers("notes", 2)
    return windows


def send(window: Page, text: str) -> None:
    window.fill("[name=text]", text)
    window.click("form button")
