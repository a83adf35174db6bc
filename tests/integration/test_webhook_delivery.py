"""Webhooks of real servers, one process or two workers, at a real endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from pusher import Pusher

from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS
from support.harness import DEFAULT_APP
from support.hasty_webhooks import PROGRAM
from support.operated import CALM, Operated, operated
from support.webhook_receiver import Receiver, Reply, Request
from support.webhook_visitors import ROOM, endpoint, enter, stack

__all__ = ["endpoint", "stack"]


@pytest.fixture
def server() -> Iterator[Operated]:
    with operated() as made:
        yield made


def app(*webhooks: WebhookSettings, **options: Any) -> AppSettings:
    return msgspec.structs.replace(DEFAULT_APP, webhooks=webhooks, **options)


def start(server: Operated, *webhooks: WebhookSettings, settings: str = "", workers: int = 1, **options: Any) -> None:
    server.configure(f"{CALM}{settings}workers = {workers}\n", apps=[app(*webhooks, **options)])
    server.start(program=PROGRAM)


def check(request: Request) -> None:
    """Have the official SDK check a request."""
    sdk = Pusher(app_id="1", key=DEFAULT_APP.key, secret=DEFAULT_APP.secret)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["content-type"] == "application/json"
    text = request.body.decode()
    found = sdk.validate_webhook(headers["x-pusher-key"], headers["x-pusher-signature"], text)
    assert found == json.loads(text)
    assert sdk.validate_webhook(headers["x-pusher-key"], "0" * 64, text) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_an_application_is_told_what_happens_once_and_in_order(
    server: Operated, endpoint: Receiver, stack: ExitStack, workers: int
) -> None:
    url = f"http://localhost:{endpoint.port}/hooks"
    everything = WebhookSettings(url=url, events=PUSHER_EVENTS + MORE_EVENTS, headers={"X-Own": "yes"})
    start(server, everything, workers=workers, subscription_count=True)
    ann = enter(server, stack, "ann")
    ann.send_event("client-typing", {"at": 1}, channel=ROOM)
    ann.subscribe("cache-prices")
    endpoint.wait(lambda: "cache_miss cache-prices" in endpoint.names(), "all events")
    another_page = enter(server, stack, "ann")
    for _ in range(3):  # reconnects, which nobody is told of
        ann.socket.close()
        another_page.socket.close()
        ann, another_page = enter(server, stack, "ann"), enter(server, stack, "ann")
    bob = enter(server, stack, "bob")
    endpoint.wait(lambda: endpoint.names().count(f"member_added {ROOM}") == 2, "bob's joining")
    for client in (bob, ann, another_page):
        client.socket.close()
    endpoint.wait(
        lambda: f"channel_vacated {ROOM}" in endpoint.names() and endpoint.names().count("connection_closed ") == 9,
        "the end",
    )
    room = [event for event in endpoint.taken() if event.get("channel") == ROOM]
    told = [(event["name"], event.get("user_id")) for event in room]
    assert told[:4] == [
        ("channel_occupied", None),
        ("member_added", "ann"),
        ("client_event", "ann"),
        ("member_added", "bob"),
    ]
    assert told[-1] == ("channel_vacated", None)
    assert sorted(told[4:-1]) == [("member_removed", "ann"), ("member_removed", "bob")]
    assert (room[2]["event"], room[2]["data"]) == ("client-typing", '{"at": 1}')
    assert [each["subscription_count"] for each in endpoint.taken() if each["name"] == "subscription_count"] == [1]
    assert len({event["id"] for event in endpoint.taken()}) == len(endpoint.taken())
    for request in endpoint.requests:
        check(request)
        assert (request.headers["X-Own"], request.headers["Host"]) == ("yes", f"localhost:{endpoint.port}")
    assert endpoint.connections == 1
    (figures,) = server.status()["webhooks"]
    assert (figures["sent"], figures["waiting"], figures["last_status"]) == (len(endpoint.taken()), 0, 200)


def test_no_endpoint_keeps_another_one_or_the_clients(server: Operated, endpoint: Receiver, stack: ExitStack) -> None:
    replies: dict[str, Reply | None] = {
        "/hangs": None,
        "/fails?token=hush": (500, {}),
        "/moved": (302, {"Location": "/login?token=hush"}),
        "/busy": (503, {"Retry-After": "1"}),
    }
    endpoint.reply = lambda path: replies.get(path, (200, {}))
    hooks = [
        WebhookSettings(
            url=endpoint.url(path), timeout=1 if path == "/hangs" else 30, headers={"Authorization": "Bearer hush"}
        )
        for path in ("/hooks", *replies)
    ]
    gone = WebhookSettings(url="http://127.0.0.1:9/hooks")
    start(server, *hooks, gone)
    client = stack.enter_context(server.connect())
    rooms = [f"channel_occupied room{number}" for number in range(5)]
    for number in range(5):
        client.subscribe(f"room{number}")
        endpoint.wait_for(*rooms[: number + 1], path="/hooks")
    endpoint.wait(lambda: len([each for each in endpoint.requests if each.path == "/hangs"]) >= 2, "a second attempt")
    endpoints = server.status()["webhooks"]
    assert [each["waiting"] for each in endpoints] == [0, 5, 5, 5, 5, 5]
    assert [each["last_status"] for each in endpoints] == [200, None, 500, 302, 503, None]
    assert endpoints[3]["last_error"].startswith("answered 302: redirects are not followed: write ")
    assert "hush" not in str(endpoints)
    hanging = replies.pop("/hangs")
    replies.clear()
    for path in ("/hangs", "/fails?token=hush", "/moved", "/busy"):
        endpoint.wait_for(*rooms, path=path)
        order = [event["channel"] for event in endpoint.taken(path)]
        assert order == sorted(order)
    replies["/hangs"] = hanging
    before = len(endpoint.requests)
    client.subscribe("room5")
    endpoint.wait(lambda: any(not each.status for each in endpoint.requests[before:]), "one that hangs at the end")
    assert server.process.stop() == 0
    lines = [line for line in server.process.rest_of_err() if "webhook" in line]
    failed = [line.partition("endpoint ")[2] for line in lines if "are sent again for 5 minutes" in line]
    assert {line.partition("; its events")[0] for line in failed} >= {
        f"{endpoint.url('/busy')} answered 503",
        f"{endpoint.url('/fails?token=***')} answered 500",
        f"{endpoint.url('/hangs')} cannot be reached: no answer within 1 s",
        f"{endpoint.url('/moved')} answered 302: redirects are not followed: write {endpoint.url('/login?token=***')}",
    }
    assert any("127.0.0.1:9/hooks cannot be reached: nothing listens at http://127.0.0.1:9" in line for line in lines)
    assert any(re.search(r"\d+ events for webhooks are lost", line) for line in lines)
    assert [line for line in lines if "hush" in line] == []


def test_410_ends_an_endpoint_until_a_reload_which_may_bring_others(
    server: Operated, endpoint: Receiver, stack: ExitStack
) -> None:
    endpoint.reply = lambda path: (410 if path == "/old" else 200, {})
    old = WebhookSettings(url=endpoint.url("/old"))
    start(server, old)
    client = stack.enter_context(server.connect())
    client.subscribe("a")
    server.said("answered 410: it wants no more events")
    client.subscribe("b")
    assert server.status()["webhooks"][0]["stopped"] is True
    server.configure(apps=[app(old, WebhookSettings(url=endpoint.url("/new"), channels=("c*",)))])
    assert server.run("reload").returncode == 0
    endpoint.reply = lambda path: (200, {})
    client.subscribe("c")
    endpoint.wait_for("channel_occupied c", path="/new")
    endpoint.wait_for("channel_occupied c", path="/old")
    server.configure(apps=[app()])
    assert server.run("reload").returncode == 0
    client.subscribe("c2")
    assert server.status()["webhooks"] == []
    assert endpoint.names("/new") == ["channel_occupied c"]


def test_private_addresses_are_refused_where_apps_belong_to_others(
    server: Operated, endpoint: Receiver, stack: ExitStack
) -> None:
    local = [f"http://{host}:{endpoint.port}/hooks" for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]")]
    start(server, *(WebhookSettings(url=url) for url in local), settings="private_webhooks = false\n")
    stack.enter_context(server.connect()).subscribe("a")
    for _ in local:
        assert "which is not public, and [server] private_webhooks is false" in server.said("cannot be reached")
    assert endpoint.requests == []


def test_a_stop_sends_what_waits_and_without_a_journal_that_all_are_gone(
    server: Operated, endpoint: Receiver, stack: ExitStack
) -> None:
    states = ("channel_occupied", "channel_vacated", "member_added", "member_removed")
    start(server, WebhookSettings(url=endpoint.url(), events=states))
    assert "state_dir" in server.said("after a crash of this server")
    enter(server, stack, "ann")  # sent away with a grace, as if another process followed
    assert server.process.stop() == 0
    begun = [f"channel_occupied {ROOM}", f"member_added {ROOM}"]
    assert endpoint.names() == [*begun, f"channel_vacated {ROOM}", f"member_removed {ROOM}"]
