"""Laravel Echo in a real browser, from the files that a page would load by script tags."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest

from support.browser import Browser, Page
from support.fleet import running_fleet
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.publishers import Publisher, PythonSdk
from support.redis_process import running_redis
from support.relay import running_relay
from support.web_app import CSRF_TOKEN, NAMES, WebApp

OpenChat = Callable[..., Page]
NOTIFICATION = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"

_rooms = itertools.count(1)


@pytest.fixture
def room() -> str:
    """A room no other test uses."""
    return f"room-{next(_rooms)}"


@pytest.fixture
def open_chat(browser: Browser, server: RunningServer, web_app: WebApp, room: str) -> Iterator[OpenChat]:
    """Open the page as a user, in a tab of that user's browser; ready when it is in the room."""

    def open(user: str = "ann", port: int = server.port) -> Page:
        page = browser.open(chat_url(web_app, port, room, user), profile=user)
        for channel in (room, f"private-{room}", f"private-encrypted-{room}", f"presence-{room}"):
            page.count(line("subscribed", channel), 1)
        return page

    yield open
    complaints = browser.complaints()
    browser.reset()
    assert not complaints


def chat_url(web_app: WebApp, port: int, room: str, user: str) -> str:
    """The page's address; fetching it logs the browser in as the user."""
    query = urlencode({"key": DEFAULT_APP.key, "port": port, "room": room, "user": user})
    return f"{web_app.url}/?{query}"


def line(event: str, channel: str) -> str:
    """Selects what the page shows of an event."""
    return f'#log [data-event="{event}"][data-channel="{channel}"]'


def test_page_connects(open_chat: OpenChat) -> None:
    open_chat().shows("#status", "connected")


@pytest.mark.parametrize("prefix", ["", "private-", "private-encrypted-", "presence-"])
def test_published_event_appears(open_chat: OpenChat, publisher: Publisher, room: str, prefix: str) -> None:
    page = open_chat()
    channel = prefix + room
    publisher.trigger(channel, "Posted", {"text": "Grüße 🎻 <b>&amp;"})
    publisher.trigger(channel, "post.edited", {"id": 5})
    page.shows(line("Posted", channel), '{"text":"Grüße 🎻 <b>&amp;"}')
    page.shows(line("post.edited", channel), '{"id":5}')


def test_to_others_leaves_out_the_tab_that_asked(open_chat: OpenChat, publisher: Publisher, room: str) -> None:
    mine, other = open_chat(), open_chat()
    socket_id = mine.evaluate("echo.socketId()")
    publisher.trigger(room, "Posted", {}, except_socket=str(socket_id))
    publisher.trigger(room, "post.edited", {})
    other.count(line("Posted", room), 1)
    mine.count(line("post.edited", room), 1)
    mine.count(line("Posted", room), 0)


def test_error_handler_hears_denied_and_refused_channels(open_chat: OpenChat, room: str) -> None:
    page = open_chat()
    page.shows(line("error", f"private-{room}.forbidden"), "403")  # said by the application
    page.shows(line("error", f"private-{room}.forged"), "401")  # said by the server
    page.shows("#status", "connected")


def test_two_tabs_of_a_user_are_one_member(open_chat: OpenChat, python_sdk: PythonSdk, room: str) -> None:
    first, second = open_chat("ann"), open_chat("ann")
    for page in (first, second):
        page.shows("#members", NAMES["ann"])
    python_sdk.trigger(f"presence-{room}", "Posted", {})
    first.count(line("Posted", f"presence-{room}"), 1)
    first.count(line("joining", f"presence-{room}"), 0)
    assert python_sdk.channel(f"presence-{room}", "user_count")["user_count"] == 1


def test_second_user_joins_and_leaves(open_chat: OpenChat, room: str) -> None:
    ann = open_chat("ann")
    bob = open_chat("bob")
    ann.shows(line("joining", f"presence-{room}"), '"Bob"')
    for page in (ann, bob):
        page.shows("#members", f"{NAMES['ann']}, Bob")
    bob.click("#leave")
    ann.shows(line("leaving", f"presence-{room}"), '"Bob"')
    ann.shows("#members", NAMES["ann"])


def test_two_tabs_on_two_hosts_are_one_member(open_chat: OpenChat, room: str) -> None:
    with running_redis() as redis, running_fleet(redis.url, 2) as fleet:
        here, there = fleet[0].port, fleet[1].port
        bob, first, second = open_chat("bob", here), open_chat("ann", here), open_chat("ann", there)
        for page in (bob, first, second):
            page.shows("#members", f"{NAMES['ann']}, Bob")
        bob.count(line("joining", f"presence-{room}"), 1)
        fleet[1].publish(f"presence-{room}", "Posted")
        bob.count(line("Posted", f"presence-{room}"), 1)
        first.close()
        fleet[1].publish(f"presence-{room}", "post.edited")
        second.count(line("post.edited", f"presence-{room}"), 1)
        bob.count(line("leaving", f"presence-{room}"), 0)
        second.close()
        bob.count(line("leaving", f"presence-{room}"), 1)
        bob.shows("#members", "Bob")
        bob.close()


def test_member_leaves_with_its_last_tab(open_chat: OpenChat, room: str) -> None:
    bob, first, second = open_chat("bob"), open_chat("ann"), open_chat("ann")
    bob.count(line("joining", f"presence-{room}"), 1)
    first.close()
    second.shows("#members", f"{NAMES['ann']}, Bob")
    second.close()
    bob.shows(line("leaving", f"presence-{room}"), f'"{NAMES["ann"]}"')
    bob.count(line("leaving", f"presence-{room}"), 1)
    bob.shows("#members", "Bob")


def test_whisper_goes_from_page_to_page(open_chat: OpenChat, room: str) -> None:
    ann, bob = open_chat("ann"), open_chat("bob")
    for sender, receiver in ((ann, bob), (bob, ann)):
        sender.fill("#draft", "Hé!")
        sender.click("#send")
        receiver.shows(line("typing", f"presence-{room}"), '{"draft":"Hé!"}')
    for page in (ann, bob):
        page.count(line("typing", f"presence-{room}"), 1)


def test_notification_appears(open_chat: OpenChat, publisher: Publisher, room: str) -> None:
    page = open_chat()
    publisher.trigger(f"private-{room}", NOTIFICATION, {"id": "9c8f", "type": "InvoicePaid"})
    page.shows(line("notification", f"private-{room}"), '{"id":"9c8f","type":"InvoicePaid"}')


def test_page_comes_back_by_itself_after_a_rolling_restart(open_chat: OpenChat, room: str) -> None:
    with running_server() as old, running_relay(old.port) as relay, running_server() as new:
        page = open_chat("ann", relay.port)
        relay.target = new.port
        os.kill(old.pid, signal.SIGTERM)
        page.count(line("subscribed", f"private-encrypted-{room}"), 2)
        PythonSdk(new.port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret).trigger(
            f"private-encrypted-{room}", "Posted", {"n": 2}
        )
        page.shows(line("Posted", f"private-encrypted-{room}"), '{"n":2}')
        page.close()


def test_page_of_an_allowed_origin_connects(open_chat: OpenChat, web_app: WebApp) -> None:
    with running_server(apps=[msgspec.structs.replace(DEFAULT_APP, allowed_origins=(web_app.url,))]) as server:
        page = open_chat("ann", server.port)
        page.shows("#status", "connected")
        page.close()


def test_page_of_another_origin_is_refused_for_good(browser: Browser, web_app: WebApp, room: str) -> None:
    with running_server(apps=[msgspec.structs.replace(DEFAULT_APP, allowed_origins=("example.com",))]) as server:
        page = browser.open(chat_url(web_app, server.port, room, "ann"))
        page.shows("#status", "disconnected")
        page.count("#log li", 0)
        told = [entry["body"] for entry in browser.traffic() if entry["url"].startswith("ws:") and "body" in entry]
        assert len(told) == 1
        assert "4009" in told[0]
        assert web_app.url in told[0]
        browser.reset()


def test_page_talks_to_its_application_and_to_the_server_only(
    open_chat: OpenChat, browser: Browser, server: RunningServer, web_app: WebApp
) -> None:
    open_chat()
    hosts = {urlsplit(entry["url"]).netloc for entry in browser.traffic() if not entry["url"].startswith("data:")}
    assert hosts == {urlsplit(web_app.url).netloc, f"127.0.0.1:{server.port}"}
    assert web_app.headers[-1]["x-csrf-token"] == CSRF_TOKEN
