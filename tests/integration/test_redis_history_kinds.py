"""Histories and resumption over Redis of every kind, by two hosts: of one process each, and of workers."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest

from soundpost.core.app_settings import HistorySettings
from support.fleet import Fleet, running_fleet
from support.harness import DEFAULT_APP, RunningServer, http_request, signed_request, until
from support.redis_kinds import KINDS, Installation

SUCCEEDED: Final = "pusher_internal:subscription_succeeded"
CHANNELS: Final = [f"news-{number}" for number in range(8)]
"""Of several buckets, so on several servers of a cluster."""
APP: Final = msgspec.structs.replace(
    DEFAULT_APP,
    history=(
        HistorySettings(channels=("news-*", "cache-news"), events=1_000, rewind=10),
        HistorySettings(channels=("short",), events=2),
    ),
)
LARGE: Final = json.dumps("x" * 3_000)
"""Data of an event: Redis forgets in pieces of 4 KiB."""


class Page:
    """A page that was loaded, and its connection."""

    def __init__(self, server: RunningServer, channel: str, resume: str = "", **fields: Any) -> None:
        self.channel = channel
        self.socket = server.connect()
        self.socket.send_event("pusher:subscribe", {"channel": channel, "resume": resume, **fields})
        self.answer = self.socket.read_event()
        assert self.answer["event"] == SUCCEEDED, self.answer
        self.position: str = self.answer["position"]

    def read(self, number: int) -> list[str]:
        """The names of the next events, with whose positions it goes on."""
        events = [self.socket.read_event() for _ in range(number)]
        for event in events:
            found = event if "position" in event else json.loads(event.get("data", "{}"))
            self.position = found.get("position", self.position)
        return [event["event"] for event in events]

    def close(self) -> str:
        """End the connection; return the position that the page had."""
        self.socket.socket.close()
        return self.position


def missed(server: RunningServer, channel: str, position: str) -> list[str]:
    """The events that a page misses, or the reason of its gap."""
    page = Page(server, channel, position)
    found = page.read(page.answer["resumed"]) if "resumed" in page.answer else [f"gap: {page.answer['gap']}"]
    page.close()
    return found


def publish(server: RunningServer, channel: str, *names: str, data: str = "{}", **headers: str) -> None:
    """Publish events, whose answers say that they are on their way to all."""
    for name in names:
        body = msgspec.json.encode({"name": name, "channel": channel, "data": data})
        request = signed_request("POST", "/events", body, app=APP)
        lines = "".join(f"{field.replace('_', '-')}: {value}\r\n" for field, value in headers.items()).encode()
        answer = http_request(server.port, request.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n", 1))
        assert (answer.status, answer.body) == (200, b"{}"), answer


def history(server: RunningServer, channel: str, **query: str) -> dict[str, Any]:
    """The answer of the HTTP API."""
    answer = server.request("GET", f"/channels/{channel}/history", b"", **query)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    return found


def names(answer: dict[str, Any]) -> list[str]:
    return [event["event"] for event in answer["events"]]


def begin_anew(installation: Installation, fleet: Fleet) -> None:
    """Kill the first server, start it again without data, and wait until events flow."""
    server = installation.servers[0]
    server.stop()
    for host in fleet.servers:
        until(lambda host=host: host.publish("x", "e").body != b"{}", "it is alone")  # type: ignore[misc]
    server.start()
    for host in fleet.servers:
        until(lambda host=host: host.publish("x", "e").body == b"{}", "events flow", 30)  # type: ignore[misc]


def check_resumption(one: RunningServer, other: RunningServer) -> None:
    """Events of both hosts come to the pages of both, live and after an absence, in one order."""
    for channel in (*CHANNELS, "cache-news"):
        here, there = Page(one, channel), Page(other, channel)
        begin = here.position
        if channel == "cache-news":
            assert [*here.read(1), *there.read(1)] == ["pusher:cache_miss"] * 2
        publish(one, channel, "a")
        publish(other, channel, "b")
        order = here.read(2)
        assert sorted(order) == ["a", "b"]
        assert there.read(2) == order
        away = here.close()
        there.close()
        publish(one, channel, "c")
        assert missed(other, channel, away) == ["c"]
        assert missed(one, channel, begin) == [*order, "c"]
        assert missed(one, channel, "?") == ["gap: unknown"]
    rewound = Page(other, channel, "", rewind=2)
    assert rewound.read(2) == [order[1], "c"]
    rewound.close()


def check_the_api(one: RunningServer, other: RunningServer) -> None:
    """The history, its position, its pages and its end are the same at both hosts."""
    channel = CHANNELS[1]
    oldest, newest = history(one, channel), history(other, channel, order="newest", limit="2")
    assert names(oldest)[2:] == ["c"]
    assert names(newest) == names(oldest)[:0:-1]
    page = history(other, channel, limit="1")
    rest = history(one, channel, after=page["position"])
    assert names(page) + names(rest) == names(oldest)
    assert one.request("GET", f"/channels/{channel}", info="position").json()["position"] == rest["position"]
    deleted = other.request("DELETE", f"/channels/{channel}/history")
    assert deleted.status == 200, deleted
    assert missed(one, channel, page["position"]) == ["gap: deleted"]
    publish(one, channel, "d")
    assert missed(other, channel, deleted.json()["position"]) == ["d"]
    assert names(history(one, channel)) == ["d"]


def check_repeats(one: RunningServer, other: RunningServer) -> None:
    """A request that is sent again to the other host is known there."""
    channel = CHANNELS[2]
    before = Page(one, channel).close()
    for host, headers in ((one, {}), (other, {}), (other, {"X_Soundpost_Repeat": "1"})):
        publish(host, channel, "once", Idempotency_Key="k", **headers)
    assert missed(one, channel, before) == ["once"]
    assert names(history(other, channel)).count("once") == 1


def check_the_number(one: RunningServer, other: RunningServer) -> None:
    """Who misses more than is kept is told so."""
    page = Page(one, "short")
    publish(one, "short", *(["e"] * 6), data=LARGE)
    page.read(6)
    begin = page.answer["position"]
    assert missed(other, "short", begin) == ["gap: number"]
    assert missed(other, "short", page.close()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_history_and_resumption_over_each_kind_of_redis(kind: str) -> None:
    with KINDS[kind]() as installation, running_fleet(installation.url, 2, apps=[APP]) as fleet:
        check_resumption(*fleet.servers)
        check_the_api(*fleet.servers)
        check_repeats(*fleet.servers)
        check_the_number(*fleet.servers)
        places = {channel: Page(fleet[0], channel).close() for channel in CHANNELS}
        watching = [Page(server, channel) for server in fleet.servers for channel in CHANNELS]
        begin_anew(installation, fleet)
        for page in watching:
            publish(fleet[0], page.channel, "after")
        found = {channel: missed(fleet[1], channel, place) for channel, place in places.items()}
        lost = [channel for channel, events in found.items() if events == ["gap: generation"]]
        whole = [channel for channel, events in found.items() if events == ["after", "after"]]
        assert sorted(lost + whole) == CHANNELS, found
        assert lost
        assert bool(whole) is (len(installation.servers) > 1)
        for page in watching:
            before = ["soundpost:gap"] if page.channel in lost else []
            assert page.read(len(before) + 2) == [*before, "after", "after"]
            page.close()


def test_workers_over_redis() -> None:
    with KINDS["installed"]() as installation, running_fleet(installation.url, 2, apps=[APP], workers=2) as fleet:
        check_resumption(*fleet.servers)
        check_the_api(*fleet.servers)
        check_repeats(*fleet.servers)
        check_the_number(*fleet.servers)
