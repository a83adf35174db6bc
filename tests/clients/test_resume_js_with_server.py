"""The npm package soundpost-resume with a real server that keeps the events of all channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, Protocol

import msgspec
import pytest

from soundpost.core.app_settings import HistorySettings
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.operated import CALM, operated
from support.publishers import PythonSdk
from support.relay import Relay, running_relay
from support.resume_js import ResumeJs, resume_js
from support.web_app import WebApp

CHANNELS: Final = ("news", "private-orders", "presence-room", "private-encrypted-diary")
KEEPING: Final = msgspec.structs.replace(DEFAULT_APP, history=(HistorySettings(channels=("*",), events=50, rewind=10),))
"""The app of the tests with a history of every channel."""
KEEPING_TOML: Final = f"""
[server]
{CALM}
port = %d
[[apps]]
id = "{DEFAULT_APP.id}"
key = "{DEFAULT_APP.key}"
secret = "{DEFAULT_APP.secret}"
[[apps.history]]
channels = ["*"]
"""


class Client(Protocol):
    """Starts a pusher-js with the module."""

    def __call__(self, **options: Any) -> ResumeJs: ...


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[KEEPING]) as running:
        yield running


@pytest.fixture
def relay(server: RunningServer) -> Iterator[Relay]:
    with running_relay(server.port) as running:
        yield running


@pytest.fixture
def client(relay: Relay, web_app: WebApp, until_end: ExitStack) -> Client:
    def start(**options: Any) -> ResumeJs:
        return until_end.enter_context(resume_js(relay.port, web_app=web_app, **options))

    return start


class Told:
    """Numbered events for some channels, and who should have got them."""

    def __init__(self, port: int, channels: tuple[str, ...] = CHANNELS) -> None:
        self._sdk = PythonSdk(port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret)
        self._channels = channels
        self.last = 0

    def more(self, count: int = 3, *, except_socket: str | None = None) -> range:
        """Publish so many events to each channel; give their numbers."""
        numbers = range(self.last + 1, self.last + count + 1)
        for number in numbers:
            for channel in self._channels:
                self._sdk.trigger(channel, "told", {"n": number}, except_socket=except_socket)
        self.last = numbers[-1]
        return numbers

    def expect(self, page: ResumeJs, numbers: range) -> None:
        """Wait until a page was given these numbers on each channel, and nothing before, between or after."""
        for channel in self._channels:
            assert [told(page, channel) for _ in numbers] == list(numbers)
            assert not page.has("event", channel=channel, event="told")


def told(page: ResumeJs, channel: str) -> int:
    return int(page.expect("event", channel=channel, event="told")["data"]["n"])


def subscribe(page: ResumeJs, *channels: str) -> None:
    for channel in channels:
        page.run("subscribe", channel)
    subscribed(page, *channels)


def subscribed(page: ResumeJs, *channels: str) -> None:
    for channel in channels:
        page.expect("event", channel=channel, event="pusher:subscription_succeeded")


@pytest.mark.parametrize("options", [{}, {"package": "pusher-js-8.4"}, {"echo": True}], ids=["8.6", "8.4", "echo"])
def test_nothing_is_missed_or_doubled_whatever_happens(
    server: RunningServer, relay: Relay, client: Client, options: dict[str, Any]
) -> None:
    page, events = client(**options), Told(server.port)
    subscribe(page, *CHANNELS)
    events.expect(page, events.more())

    relay.cut()
    missed = events.more()
    relay.mend()
    events.expect(page, missed)
    events.expect(page, events.more())

    page.run("disconnect")
    missed = events.more()
    page.run("connect")
    events.expect(page, missed)

    relay.cut()
    missed = events.more()
    relay.mend()
    subscribed(page, *CHANNELS)
    relay.cut()  # once more, as soon as it is back
    more = events.more()
    relay.mend()
    events.expect(page, range(missed[0], more[-1] + 1))
    assert page.run("presence", "presence-room") == ["ann"]
    assert not page.has("gap")
    assert not page.has("error")


def test_nothing_is_missed_in_a_restart_of_the_server(web_app: WebApp, until_end: ExitStack) -> None:
    with operated() as server:
        server.write(KEEPING_TOML % server.port)
        server.start()
        relay = until_end.enter_context(running_relay(server.port))
        page = until_end.enter_context(resume_js(relay.port, web_app=web_app))
        events = Told(server.port)
        subscribe(page, *CHANNELS)
        events.expect(page, events.more())
        for _ in range(3):
            assert server.run("restart").stdout == "restarting\n"
            server.process.wait_for_start()
            page.expect("closed", code=4200)
            events.expect(page, events.more())
        assert page.expect("resumed")
        assert not page.has("gap")


def test_a_channel_that_is_left_and_entered_in_one_turn_begins_anew(
    server: RunningServer, relay: Relay, client: Client
) -> None:
    page, events = client(), Told(server.port, ("news",))
    subscribe(page, "news")
    events.expect(page, events.more())
    page.run("resubscribe", "news")
    subscribed(page, "news")
    now = events.more()
    assert [told(page, "news") for _ in now] == list(now)
    relay.cut()
    missed = events.more()
    relay.mend()
    assert [told(page, "news") for _ in missed] == list(missed)


def test_a_client_without_the_module_misses_what_stock_clients_miss(
    server: RunningServer, relay: Relay, client: Client
) -> None:
    stock, page, events = client(resume=None), client(), Told(server.port)
    for each in (stock, page):
        subscribe(each, *CHANNELS)
    first = events.more()
    for each in (stock, page):
        events.expect(each, first)
    relay.cut()
    missed = events.more()
    relay.mend()
    for each in (stock, page):
        subscribed(each, *CHANNELS)
    last = events.more()
    events.expect(page, range(missed[0], last[-1] + 1))
    events.expect(stock, last)


def test_a_client_s_own_events_do_not_come_back(server: RunningServer, relay: Relay, client: Client) -> None:
    page, other, events = client(), client(user="bob"), Told(server.port)
    for each in (page, other):
        subscribe(each, *CHANNELS)
    relay.cut()
    own = events.more(except_socket=page.run("socketId"))  # its id until the cut
    others = events.more()
    relay.mend()
    events.expect(page, others)
    events.expect(other, range(own[0], others[-1] + 1))


def test_the_events_of_a_signed_in_user_are_not_missed(server: RunningServer, relay: Relay, client: Client) -> None:
    sdk = PythonSdk(server.port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret)
    page = client(user="carol")
    page.run("signin")
    page.expect("user", event="subscribed")
    sdk.send_to_user("carol", "told", {"n": 1})
    assert page.expect("user", event="told")["data"] == {"n": 1}
    relay.cut()
    for number in (2, 3):
        sdk.send_to_user("carol", "told", {"n": number})
    relay.mend()
    assert [page.expect("user", event="told")["data"]["n"] for _ in range(2)] == [2, 3]
    sdk.send_to_user("carol", "told", {"n": 4})
    assert page.expect("user", event="told")["data"] == {"n": 4}


def test_two_hundred_channels_resume(server: RunningServer, relay: Relay, client: Client) -> None:
    many = tuple(f"many-{number}" for number in range(200))
    page = client()
    page.run("subscribeAll", many)
    subscribed(page, *many)
    sdk = PythonSdk(server.port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret)
    relay.cut()
    for start in (0, 100):  # as many as one request may name
        sdk.trigger(list(many[start : start + 100]), "told", {"n": start})
    relay.mend()
    assert [told(page, channel) for channel in many] == [0] * 100 + [100] * 100
    assert len(page.run("positions")) == 200
    assert not page.has("gap")


def test_a_rewind_gives_the_last_events(server: RunningServer, client: Client) -> None:
    events = Told(server.port, ("rewound",))
    events.more(5)
    page = client(resume={"rewind": {"rewound": 2}})
    subscribe(page, "rewound")
    assert [told(page, "rewound") for _ in range(2)] == [4, 5]
    events.more(1)
    assert told(page, "rewound") == 6


def test_more_missed_events_than_are_kept_are_a_gap(server: RunningServer, relay: Relay, client: Client) -> None:
    page, events = client(), Told(server.port, ("busy",))
    subscribe(page, "busy")
    events.more(1)
    assert told(page, "busy") == 1
    relay.cut()
    events.more(51)
    relay.mend()
    assert page.expect("gap") == {"report": "gap", "channel": "busy", "reason": "number"}
    events.more(1)
    assert told(page, "busy") == 53
    assert not page.has("event", channel="busy", event="told")


def test_a_position_of_another_server_is_a_gap(client: Client) -> None:
    page = client(resume={"positions": {"news": "OtherServer.1"}})
    subscribe(page, "news")
    assert page.expect("gap")["reason"] == "generation"


def test_a_server_without_history_does_not_notice(web_app: WebApp, until_end: ExitStack) -> None:
    with running_server() as server, running_relay(server.port) as relay:
        page = until_end.enter_context(resume_js(relay.port, web_app=web_app))
        events = Told(server.port)
        subscribe(page, *CHANNELS)
        events.expect(page, events.more())
        relay.cut()
        relay.mend()
        subscribed(page, *CHANNELS)
        events.expect(page, events.more())
        assert page.run("positions") == {}
        assert not page.has("gap")
        assert not page.has("resumed")
