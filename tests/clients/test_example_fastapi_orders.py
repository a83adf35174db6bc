"""The FastAPI example in real browsers: customers see their own orders move, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from support.browser import Browser, Page
from support.example_process import picture, running_example
from support.raw_socket import TIMEOUT


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with running_example("fastapi_orders") as url:
        yield url


@pytest.fixture
def people(browser: Browser) -> Iterator[Browser]:
    """Browsers, each profile being that of one person."""
    yield browser
    complaints = browser.complaints()
    browser.reset()
    assert not complaints


def log_in(browser: Browser, shop: str, name: str) -> Page:
    """Open the shop in a person's own browser."""
    page = browser.open(shop, profile=name)
    page.fill("[name=name]", name)
    page.click("#login button")
    page.shows("#name", name)
    page.shows("#status", "connected")
    return page


def order(page: Page, item: str) -> None:
    page.fill("[name=item]", item)
    page.click("#order button")


def item(number: int) -> str:
    return f'#orders [data-id="{number}"]'


def test_a_first_visit_is_refused_nothing(people: Browser, shop: str) -> None:
    page = people.open(shop, profile="somebody new")
    page.count("#login:not([hidden])", 1)
    assert [entry for entry in people.traffic() if entry.get("status", 200) >= 400] == []


def test_customers_see_their_own_orders_move(people: Browser, shop: str) -> None:
    ann, bob, counter = (log_in(people, shop, name) for name in ("ann", "bob", "counter"))
    picture(log_in(people, shop, "carla"), "fastapi-orders-empty")

    order(ann, "A set of violin strings")
    counter.shows(f"{item(1)} h2", "A set of violin strings")
    order(bob, "Rehair of a cello bow")
    counter.shows(f"{item(2)} h2", "Rehair of a cello bow")
    counter.shows(f"{item(2)} .customer", "No. 2 for bob")
    for page, own, other in ((ann, 1, 2), (bob, 2, 1)):
        page.shows(f"{item(own)} .now", "Received")
        page.count(item(other), 0)

    for step in ("In the workshop", "Packed"):
        counter.click(f"{item(1)} button")
        for page in (counter, ann):
            page.shows(f"{item(1)} .now", step)
    counter.click(f"{item(2)} button")
    bob.shows(f"{item(2)} .now", "In the workshop")
    ann.count("#orders > li", 1)
    bob.count("#orders > li", 1)
    ann.count(f"{item(1)} .done", 2)
    order(ann, "A new soundpost")
    counter.count("#orders > li", 3)
    picture(ann, "fastapi-orders")
    picture(counter, "fastapi-orders-counter")

    frames = [entry["body"] for entry in people.traffic() if entry["url"].startswith("ws:") and "body" in entry]
    assert any("OrderChanged" in frame for frame in frames)
    to_counter = [frame for frame in frames if "OrderChanged" in frame and '"channel":"private-counter"' in frame]
    assert len(to_counter) == 3  # the orders; not the moves, which the counter itself has made


def test_a_second_tab_and_a_reload_have_the_same(people: Browser, shop: str) -> None:
    dora, counter = log_in(people, shop, "dora"), log_in(people, shop, "counter")
    order(dora, "Rosin")
    dora.count("#orders > li", 1)
    second = people.open(shop, profile="dora")
    second.count("#orders > li", 1)
    second.shows("#status", "connected")
    second.shows("#orders h2", "Rosin")
    newest = counter.evaluate('document.querySelector("#orders > li").dataset.id')
    counter.click(f"{item(int(newest))} button")
    for page in (dora, second):
        page.shows("#orders .now", "In the workshop")


def test_nobody_listens_to_another_s_channel(people: Browser, shop: str) -> None:
    log_in(people, shop, "eve").close()
    with httpx.Client(base_url=shop, timeout=TIMEOUT) as eve:
        eve.post("/api/login", json={"name": "eve"}).raise_for_status()
        for channel, status in (("customers.eve", 200), ("customers.ann", 403), ("counter", 403), ("other", 403)):
            form = {"socket_id": "1.2", "channel_name": f"private-{channel}"}
            assert eve.post("/broadcasting/auth", data=form).status_code == status, channel
        assert eve.post("/api/orders/1/next").status_code == 404
        assert eve.get("/api/orders").json() == []
