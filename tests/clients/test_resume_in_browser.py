"""Pages that resume, in a real browser: reloads, cuts, React, Vue, workers, encrypted channels, two instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from soundpost.core.app_settings import HistorySettings
from support.browser import Browser, Page
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.harness import until as wait_until
from support.relay import Relay, running_relay
from support.resume_site import ALL, NumbersSite, build_pages, running_numbers_site

KEEPING: Final = msgspec.structs.replace(DEFAULT_APP, history=(HistorySettings(channels=("*",), events=5_000),))
FRAMEWORK: Final = ("news", "private-orders", "presence-room")
WORKERS: Final = {
    "pusher-js/dist/worker/pusher.worker.min.js": FRAMEWORK,
    "pusher-js/dist/worker/pusher-with-encryption.worker.min.js": ALL,
    "pusher-js-8.4/dist/worker/pusher.worker.min.js": FRAMEWORK,
}

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[KEEPING]) as running:
        yield running


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build_pages(folder)
    return folder


@pytest.fixture
def relay(server: RunningServer) -> Iterator[Relay]:
    with running_relay(server.port) as running:
        yield running


@pytest.fixture
def site(server: RunningServer, relay: Relay, built: Path) -> Iterator[NumbersSite]:
    with running_numbers_site(server.port, relay.port, built) as running:
        yield running


@pytest.fixture
def open_page(browser: Browser, site: NumbersSite) -> Iterator[OpenPage]:
    def open(template: str, name: str = "page", *, channels: tuple[str, ...] = ("news",), query: str = "") -> Page:
        return browser.open(f"{site.url}/page/{template}/{name}?channels={','.join(channels)}&{query}")

    yield open
    complaints = browser.complaints()
    browser.reset()
    assert [each for each in complaints if "WebSocket" not in each] == []  # of cut connections Chromium complains


def until(page: Page, condition: str) -> None:
    """Wait until a JavaScript expression is true."""
    page.evaluate(f"Numbers.until(() => {condition})")


def shows_all(page: Page, last: int, channels: tuple[str, ...] = ("news",)) -> None:
    """Wait until a page shows every number up to the last one; none was told twice, or in the wrong order."""
    for channel in channels:
        page.shows(f'[data-channel="{channel}"]', f"1-{last}")
    page.shows("#wrong", "")
    page.shows("#gaps", "")


def test_a_page_that_is_reloaded_in_the_middle_of_a_stream_misses_nothing(
    open_page: OpenPage, site: NumbersSite
) -> None:
    site.late = 3
    with site.stream():
        page = open_page("echo", channels=ALL)
        for _ in range(5):
            page.shows("#state", "connected")
            until(page, "Numbers.heard.news?.length > 20")
            page.reload()
        page.shows("#state", "connected")
    shows_all(page, site.last, ALL)
    assert len(site.pages) == 6
    assert 0 < site.pages[1] < site.pages[-1] < site.last


def test_a_page_without_the_module_misses_what_is_told_before_it_subscribes(
    open_page: OpenPage, site: NumbersSite
) -> None:
    site.more(3)
    site.late = 2
    page = open_page("echo", query="off")
    until(page, "echo.connector.pusher.channel('news').subscribed")
    site.more(2)
    page.shows('[data-channel="news"]', "1-3, 6-7")


def test_a_page_whose_connection_is_cut_misses_nothing(open_page: OpenPage, site: NumbersSite, relay: Relay) -> None:
    page = open_page("echo", channels=ALL)
    shows_all(page, site.more(2), ALL)
    for _ in range(3):
        relay.cut()
        site.more(3)
        relay.mend()
        shows_all(page, site.last, ALL)
    with site.stream():
        for cuts in range(5, 8):
            relay.cut()
            relay.mend()
            until(page, f"Numbers.resumed.length >= {4 * cuts}")
    shows_all(page, site.last, ALL)


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_components_miss_nothing(open_page: OpenPage, site: NumbersSite, relay: Relay, framework: str) -> None:
    site.more(2)
    site.late = 2
    page = open_page("built", framework, channels=FRAMEWORK)
    shows_all(page, 4, FRAMEWORK)
    relay.cut()
    last = site.more(2)
    relay.mend()
    shows_all(page, last, FRAMEWORK)
    page.reload()
    shows_all(page, site.more(), FRAMEWORK)


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_components_that_come_again_begin_anew(
    open_page: OpenPage, site: NumbersSite, server: RunningServer, framework: str
) -> None:
    page = open_page("built", framework, channels=FRAMEWORK)
    page.shows("#state", "connected")
    shows_all(page, site.more(2), FRAMEWORK)
    page.evaluate("setShown(false)")
    until(page, "Object.keys(resumption.positions()).length === 0")
    wait_until(lambda: server.request("GET", "/channels").json()["channels"] == {}, "the server has read it too")
    site.more(2)  # for nobody
    page.evaluate("setShown(true)")
    until(page, "Object.keys(resumption.positions()).length === 3")
    site.more(2)
    for channel in FRAMEWORK:
        page.shows(f'[data-channel="{channel}"]', "1-2, 5-6")


@pytest.mark.parametrize("build", WORKERS)
def test_a_worker_misses_nothing(open_page: OpenPage, site: NumbersSite, relay: Relay, build: str) -> None:
    channels = WORKERS[build]
    site.more(2)
    site.late = 2
    page = open_page("worker", channels=channels, query=f"build={build}")
    shows_all(page, 4, channels)
    relay.cut()
    last = site.more(2)
    relay.mend()
    shows_all(page, last, channels)


def test_one_of_two_instances_resumes(open_page: OpenPage, site: NumbersSite, relay: Relay) -> None:
    page = open_page("two")
    both = "[mine, other].every((each) => each.channel('news').subscribed)"
    until(page, both)
    shows_all(page, site.more(2))
    until(page, "stock.length === 2")
    relay.cut()
    site.more(2)
    relay.mend()
    shows_all(page, 4)
    until(page, both)
    shows_all(page, site.more())
    until(page, "stock.length === 3")
    assert page.evaluate("stock") == [1, 2, 5]


def test_a_page_whose_state_survives_a_reload_keeps_its_positions(open_page: OpenPage, site: NumbersSite) -> None:
    page = open_page("persist")
    until(page, "echo.connector.pusher.channel('news').subscribed")
    shows_all(page, site.more(3))
    site.late = 2
    page.reload()
    shows_all(page, 5)
    page.reload()
    shows_all(page, 7)
