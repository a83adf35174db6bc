"""The server's own page, ``/playground``, in a real browser."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from soundpost.core.app_settings import HistorySettings
from support.browser import Browser, Page
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.node_process import Report
from support.publishers import PythonSdk
from support.raw_socket import TIMEOUT
from support.relay import running_relay

SECRET = "kept-from-the-page-4f2a"
APP = msgspec.structs.replace(DEFAULT_APP, secret=SECRET)

STATE = "[data-testid=state]"
SOCKET_ID = "[data-testid=socket-id]"
EVENTS = "[data-testid=events]"
MEMBERS = "[data-testid=members]"
RESULT = "[data-testid=publish-result]"

HISTORY_HINTS = "[...document.querySelectorAll('[data-history]:not([hidden])')].map((hint) => hint.textContent)"

OpenPlayground = Callable[[], Page]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[APP], playground=True) as running:
        yield running


@pytest.fixture
def sdk(server: RunningServer) -> PythonSdk:
    return sdk_of(server)


@pytest.fixture
def open_playground(browser: Browser, server: RunningServer) -> Iterator[OpenPlayground]:
    """Open the page in a tab; ready when it is connected. No script may fail, nothing may be blocked."""

    def open() -> Page:
        return connected(browser.open(f"http://127.0.0.1:{server.port}/playground"))

    yield open
    complaints = browser.complaints()
    browser.reset()
    assert not complaints


def sdk_of(server: RunningServer) -> PythonSdk:
    return PythonSdk(server.port, APP.id, APP.key, SECRET)


def connected(page: Page) -> Page:
    """Wait until the page is connected and listens on its first channel."""
    page.shows(STATE, "connected")
    subscribed(page, "playground")
    return page


def subscribe(page: Page, channel: str) -> None:
    """Subscribe by the form, and wait for the confirmation."""
    page.fill("[data-testid=subscribe-input]", channel)
    page.click("[data-testid=subscribe-button]")
    subscribed(page, channel)


def subscribed(page: Page, channel: str) -> None:
    page.count(f'[data-testid=channels] [data-channel="{channel}"][data-state="subscribed"]', 1)


def publish(page: Page, channel: str, event: str, data: str) -> None:
    """Fill the form and send it."""
    page.fill("[data-testid=publish-channel]", channel)
    page.fill("[data-testid=publish-event]", event)
    page.fill("[data-testid=publish-data]", data)
    page.click("[data-testid=publish-button]")


def event(name: str, channel: str) -> str:
    """Selects an event of the list."""
    return f'{EVENTS} [data-event="{name}"][data-channel="{channel}"]'


def test_page_connects_and_shows_its_socket_id(open_playground: OpenPlayground) -> None:
    whole, _, fraction = open_playground().text(SOCKET_ID).partition(".")
    assert whole.isdigit()
    assert fraction.isdigit()


def test_event_of_an_sdk_appears(open_playground: OpenPlayground, sdk: PythonSdk) -> None:
    page = open_playground()
    sdk.trigger("playground", "hello", {"text": "Grüße 🎻"})
    page.count(event("hello", "playground"), 1)
    assert json.loads(page.text(event("hello", "playground") + " pre")) == {"text": "Grüße 🎻"}


def test_markup_in_an_event_is_shown_and_not_run(open_playground: OpenPlayground, sdk: PythonSdk) -> None:
    page = open_playground()
    markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    sdk.trigger("playground", markup, {"text": markup})
    page.count(f"{EVENTS} > li.is-event", 1)
    page.count(f"{EVENTS} img, {EVENTS} script", 0)
    assert markup in page.text(f"{EVENTS} .event-name")
    assert page.evaluate("document.title") == "Soundpost playground"


@pytest.mark.parametrize("channel", ["orders", "private-orders", "presence-orders", "cache-prices"])
def test_event_on_a_channel_subscribed_to_by_the_form_appears(
    open_playground: OpenPlayground, sdk: PythonSdk, channel: str
) -> None:
    page = open_playground()
    subscribe(page, channel)
    sdk.trigger(channel, "created", {"id": 1})
    page.count(event("created", channel), 1)


def test_invalid_channel_is_shown_as_refused(open_playground: OpenPlayground) -> None:
    page = open_playground()
    page.fill("[data-testid=subscribe-input]", "no spaces")
    page.click("[data-testid=subscribe-button]")
    page.count('[data-testid=channels] [data-channel="no spaces"][data-state="error"]', 1)


def test_form_publishes_to_all_pages(open_playground: OpenPlayground) -> None:
    mine, other = open_playground(), open_playground()
    publish(mine, "playground", "from-form", '{"n": [1, 2]}')
    mine.shows(RESULT, "Sent from-form to playground.")
    for page in (mine, other):
        page.count(event("from-form", "playground"), 1)
        assert json.loads(page.text(event("from-form", "playground") + " pre")) == {"n": [1, 2]}


def test_form_says_what_is_wrong_with_the_data(open_playground: OpenPlayground) -> None:
    page = open_playground()
    publish(page, "playground", "broken", '{"n": }')
    page.shows(RESULT, "Line 1, column 7: expected a value (text goes in double quotes).")
    page.count(event("broken", "playground"), 0)


def test_form_says_why_the_server_refuses(open_playground: OpenPlayground) -> None:
    page = open_playground()
    publish(page, "no spaces", "hello", "{}")
    page.count(f'{RESULT}[data-tone="bad"]', 1)
    assert "no spaces" in page.text(RESULT)


def test_presence_shows_the_other_tab(open_playground: OpenPlayground, sdk: PythonSdk) -> None:
    first, second = open_playground(), open_playground()
    subscribe(first, "presence-tabs")
    first.count(f"{MEMBERS} [data-user-id]", 1)
    subscribe(second, "presence-tabs")
    for page in (first, second):
        page.count(f"{MEMBERS} [data-user-id]", 2)
    assert sdk.channel("presence-tabs", "user_count")["user_count"] == 2
    second.close()
    first.count(f"{MEMBERS} [data-user-id]", 1)


def test_whisper_goes_to_the_other_tab(open_playground: OpenPlayground) -> None:
    first, second = open_playground(), open_playground()
    for page in (first, second):
        subscribe(page, "private-whispers")
    first.fill("[data-testid=publish-channel]", "private-whispers")
    first.evaluate("document.querySelector('input[name=mode][value=whisper]').click()")
    publish(first, "private-whispers", "wave", '{"n": 1}')
    second.count(event("client-wave", "private-whispers"), 1)


def test_page_comes_back_by_itself_after_a_rolling_restart(browser: Browser) -> None:
    with (
        running_server(apps=[APP], playground=True) as old,
        running_relay(old.port) as relay,
        running_server(apps=[APP], playground=True) as new,
    ):
        page = connected(browser.open(f"http://127.0.0.1:{relay.port}/playground"))
        before = page.text(SOCKET_ID)
        relay.target = new.port
        os.kill(old.pid, signal.SIGTERM)
        page.count(f"{EVENTS} [data-event='pusher:connection_established']", 2)
        connected(page)
        assert page.text(SOCKET_ID) != before
        sdk_of(new).trigger("playground", "welcome-back", {})
        page.count(event("welcome-back", "playground"), 1)
        browser.reset()


def test_page_works_below_a_path_prefix(browser: Browser) -> None:
    with running_server(apps=[APP], playground=True, path="/realtime") as server:
        page = connected(browser.open(f"http://127.0.0.1:{server.port}/realtime/playground"))
        publish(page, "playground", "hello", "{}")
        page.count(event("hello", "playground"), 1)
        browser.reset()


def test_page_asks_nobody_else_and_never_learns_the_secret(
    open_playground: OpenPlayground, browser: Browser, server: RunningServer, sdk: PythonSdk
) -> None:
    page = open_playground()
    for channel in ("private-orders", "presence-room"):
        subscribe(page, channel)
    publish(page, "playground", "hello", "{}")
    publish(page, "no spaces", "hello", "{}")
    page.count(f'{RESULT}[data-tone="bad"]', 1)
    traffic: list[Report] = browser.traffic()
    hosts = {urlsplit(entry["url"]).netloc for entry in traffic if not entry["url"].startswith("data:")}
    assert hosts == {f"127.0.0.1:{server.port}"}
    assert {entry["status"] for entry in traffic if "status" in entry and "publish" not in entry["url"]} == {200}
    paths = {urlsplit(entry["url"]).path for entry in traffic if entry.get("body")}
    assert {"/playground", "/playground/config.json", "/playground/auth", f"/app/{APP.key}"} <= paths
    assert SECRET not in json.dumps(traffic)


def test_the_command_that_is_shown_is_one_that_the_shell_finds(open_playground: OpenPlayground, tmp_path: Path) -> None:
    page = open_playground()
    shown = page.text("#first-command")
    assert shown == page.text("#code-shell")
    name, arguments = shown.split(" trigger ")
    assert arguments == """playground hello '{"text":"Hi"}'"""
    subprocess.run([*shlex.split(name), "--version"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, check=True)


def test_other_machines_are_not_told_where_the_command_is(server: RunningServer) -> None:
    url = f"http://127.0.0.1:{server.port}/playground/config.json"
    assert (
        httpx.get(url, headers={"Host": f"192.0.2.1:{server.port}"}, timeout=TIMEOUT).json()["command"] == "soundpost"
    )
    assert httpx.get(url, timeout=TIMEOUT).json()["command"] != "soundpost"


def test_page_is_not_there_unless_asked_for() -> None:
    with running_server() as plain:
        for path in ("/playground", "/playground/config.json", "/playground/playground.js"):
            assert httpx.get(f"http://127.0.0.1:{plain.port}{path}", timeout=TIMEOUT).status_code == 404


def test_other_sites_cannot_use_the_page_to_publish(server: RunningServer) -> None:
    # What a form or a simple fetch of another site's page could send: without the header the page sends.
    answer = httpx.post(
        f"http://127.0.0.1:{server.port}/playground/publish",
        content='{"channel":"playground","event":"forged","data":{}}',
        headers={"Content-Type": "text/plain", "Origin": "https://evil.example"},
        timeout=TIMEOUT,
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("route", "body", "says"),
    [
        ("publish", b'{"channel":"playground","event":"e","data":"\xff"}', "Invalid body: 'utf-8' codec"),
        (
            "auth",
            b'{"socket_id":"1.2","channel_name":"#server-to-user-\\ud800"}',
            "channel_name: it has half of a character",
        ),
    ],
)
def test_what_is_no_text_is_refused(server: RunningServer, route: str, body: bytes, says: str) -> None:
    url, headers = f"http://127.0.0.1:{server.port}/playground/{route}", {"X-Soundpost-Playground": "1"}
    answer = httpx.post(url, content=body, headers=headers, timeout=TIMEOUT)
    assert (answer.status_code, answer.json()["error"][: len(says)]) == (422, says)


def test_frontends_are_told_what_they_need_for_history(browser: Browser, open_playground: OpenPlayground) -> None:
    assert open_playground().evaluate(HISTORY_HINTS) == []
    app = msgspec.structs.replace(APP, history=(HistorySettings(channels=("orders",)),))
    with running_server(apps=[app], playground=True) as server:
        page = connected(browser.open(f"http://127.0.0.1:{server.port}/playground"))
        hints = page.evaluate(HISTORY_HINTS)
        page.close()
    assert len(hints) == 2, "in the snippets for laravel-echo and for pusher-js"
    assert all("pusher-js 8.4 or newer" in hint for hint in hints)
