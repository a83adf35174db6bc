"""Stock pusher-js on presence channels while the server restarts: no page is told of anybody."""

from __future__ import annotations

from contextlib import ExitStack
from signal import SIGHUP

import pytest

from support.clients_js import PusherJs, pusher_options
from support.harness import DEFAULT_APP, until
from support.operated import CALM, Operated, operated
from support.web_app import WebApp

ROOM = "presence-room"
USERS = ("ann", "bob")


def hears(page: PusherJs, server: Operated) -> bool:
    """Tell whether a page hears of events; one on its way back misses some."""
    server.publish(ROOM, "fence")
    return page.has_event(ROOM, "fence")


@pytest.mark.parametrize("workers", [1, 2])
def test_pages_are_told_of_nobody_when_the_server_restarts(workers: int, web_app: WebApp, until_end: ExitStack) -> None:
    server = until_end.enter_context(operated())
    server.configure(f"{CALM}workers = {workers}\n")
    server.start()
    pages = {
        user: until_end.enter_context(PusherJs(DEFAULT_APP.key, pusher_options(server.port, web_app.url, user)))
        for user in USERS
    }
    for page in pages.values():
        page.connected().subscribe(ROOM)
    pages["ann"].expect_event(ROOM, "pusher:member_added")

    server.signal(SIGHUP)
    for page in pages.values():
        page.expect("event", channel=ROOM, event="pusher:subscription_succeeded")
    if workers == 1:
        server.process.wait_for_start()
    else:
        server.said("all workers are new")

    for page in pages.values():
        until(lambda page=page: hears(page, server), "the page is back for good")  # type: ignore[misc]
        assert not page.has_event(ROOM, "pusher:member_added")
        assert not page.has_event(ROOM, "pusher:member_removed")
        assert page.run("presence", ROOM)["count"] == 2
