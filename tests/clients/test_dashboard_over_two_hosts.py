"""The dashboard of one of two servers that act as one over Redis, in a real browser."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import msgspec
import pytest

from soundpost.config.settings import DashboardSettings, ScalingSettings
from support.browser import Browser, Page
from support.dashboards import PASSWORD, cheap_hash
from support.fleet import Fleet, Member
from support.harness import DEFAULT_APP, RawSocket, running_server, until
from support.redis_process import free_port, running_redis

SHOP: Final = msgspec.structs.replace(
    DEFAULT_APP, id="2", key="shop-key", secret="shop-secret", allowed_origins=("shop.example.com",)
)
ROWS: Final = "#view tbody tr"


class Dashboards(Fleet):
    """Two servers; ``ports`` are those of their dashboards."""

    ports: tuple[int, int]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Dashboards]:
    ports = (free_port(), free_port())
    with running_redis() as redis, ExitStack() as stack:
        servers = [
            stack.enter_context(
                running_server(
                    apps=[DEFAULT_APP, SHOP],
                    scaling=ScalingSettings(redis=redis.url, prefix="dashboards"),
                    dashboard=DashboardSettings(port=port, password_hash=cheap_hash()),
                )
            )
            for port in ports
        ]
        for server in servers:
            server.wait_for_log("connected, as node")
            until(lambda server=server: server.publish("ready", "e").body == b"{}", "events flow")  # type: ignore[misc]
        found = Dashboards(servers)
        found.ports = ports
        yield found


@pytest.fixture
def members(fleet: Dashboards) -> Iterator[tuple[Member, Member]]:
    """Two users on a presence channel, one on each host."""
    ann = fleet.member(0, "ann", "presence-room", "orders")
    bob = fleet.member(1, "bob", "presence-room", "orders")
    yield ann, bob
    for client in list(fleet.clients):
        fleet.leave(client)


@pytest.fixture(scope="module")
def opened_page(browser: Browser, fleet: Dashboards) -> Iterator[Page]:
    browser.reset()
    page = browser.open(f"http://127.0.0.1:{fleet.ports[0]}/")
    page.fill("#password", PASSWORD)
    page.press("Enter")
    yield page
    browser.reset()


@pytest.fixture
def page(browser: Browser, opened_page: Page) -> Iterator[Page]:
    """The dashboard of the first host, logged in. No script may fail, and the browser may block nothing."""
    go(opened_page, "#/overview", "Overview")
    opened_page.shows("[data-testid=state]", "connected")
    yield opened_page
    assert browser.complaints() == []


@pytest.fixture(autouse=True)
def no_pages_of_other_tests() -> None:
    """Tests of this file share a page: opening one anew takes a second."""


def go(page: Page, address: str, heading: str) -> None:
    """Show the page with an address; ready when its heading is there."""
    page.evaluate(f"location.hash = {json.dumps(address)}")
    page.shows("h1", heading)


def test_members_of_a_presence_channel_on_both_hosts_are_found(page: Page, members: tuple[Member, Member]) -> None:
    page.click("#nav a[href='#/apps/1/channels']")
    page.fill("#search", "ROOM")
    page.count(ROWS, 1)
    page.click(f"{ROWS} a")
    page.shows("h1", "presence-room")
    page.count(".members li", 2)
    assert sorted(page.texts(".members li")) == ["ann", "bob"]
    page.click("[data-key='member bob']")
    page.count(ROWS, 1)
    assert members[1].socket.socket_id in page.text(ROWS)


def test_reason_of_a_refusal_on_the_other_host_is_found(page: Page, fleet: Dashboards) -> None:
    with RawSocket(fleet[1].port) as client:
        client.handshake(f"/app/{SHOP.key}?protocol=7&client=js&version=8.4.0", Origin="https://www.example.org")
        assert client.read_close_code() == 4009
    page.click("#nav a[href='#/refused']")
    page.fill("#search", "www.example.org")
    page.count(".refusals > li", 1)
    refusal = page.text(".refusals > li")
    assert "connection 4009" in refusal
    assert "add its host to allowed_origins" in page.text(".reason")


def test_event_that_is_sent_arrives_on_both_hosts(page: Page, members: tuple[Member, Member]) -> None:
    go(page, "#/apps/1/send", "Send event")
    page.fill("#channels", "orders")
    page.fill("#event", "shipped")
    page.fill("#data", '{"n": [1]}')
    page.click(".send button")
    page.shows("[data-testid=send-result] .notice", "Sent. 2 clients got shipped on orders.")
    for member in members:
        member.wait_for("orders", ["shipped"])


def test_tail_shows_what_happens_on_the_other_host(
    page: Page, fleet: Dashboards, members: tuple[Member, Member]
) -> None:
    go(page, "#/apps/1/tail?channel=orders", "Tail")
    page.shows(".head-text", "Shows what happens now: channel orders")

    def tailed() -> bool:
        fleet[1].publish("orders", "invoiced", '{"total":12}')
        return page.texts(".line-event").count("invoiced") > 0

    until(tailed, "the tail has begun on the other host")
    page.evaluate(
        "[...document.querySelectorAll('.tail summary')].find(({textContent}) => /invoiced/.test(textContent)).click()"
    )
    page.shows(".tail pre", '{\n  "total": 12\n}')


def test_connection_on_the_other_host_is_ended(page: Page, members: tuple[Member, Member]) -> None:
    bob = members[1]
    go(page, f"#/apps/1/connections/{bob.socket.socket_id}", bob.socket.socket_id)
    page.count(".names li", 2)
    page.click("[data-key=end]")
    page.click("dialog .danger")
    page.shows(".empty-title", "This connection has ended.")
    assert [code for code, _ in bob.socket.read_until_close()][-1] == 8


def test_overview_shows_both_hosts(page: Page, fleet: Dashboards) -> None:
    page.count("#view tbody", 2)
    assert set(page.texts("#view tbody strong")) == {socket.gethostname()}
    page.count("#view tbody .state[data-tone=good]", 2)
    page.count(".plot[aria-valuetext*=':']", 8)
