"""The dashboard's page in a real browser, before a stand-in for its server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from support.browser import Browser, Page
from support.dashboard_api import DashboardApi, running_dashboard_api
from support.dashboard_cluster import Cluster, busy_cluster
from support.harness import until

MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
PAGES = (
    "#/overview",
    "#/apps/shop/channels",
    "#/apps/shop/channels/presence-room.0002",
    "#/apps/shop/connections",
    "#/apps/shop/connections/100038585.200523645",
    "#/apps/shop/tail",
    "#/refused",
    "#/apps/shop/webhooks",
    "#/apps/shop/send",
    "#/apps",
    "#/apps/shop/channels?search=nothing-has-this-name",
)
ROWS = "#view tbody tr"


@pytest.fixture(scope="module")
def running_api() -> Iterator[DashboardApi]:
    with running_dashboard_api(Cluster()) as running:
        yield running


@pytest.fixture
def api(running_api: DashboardApi) -> DashboardApi:
    running_api.cluster = busy_cluster()
    running_api.requests.clear()
    return running_api


@pytest.fixture(scope="module")
def opened_page(browser: Browser, running_api: DashboardApi) -> Iterator[Page]:
    browser.reset()
    yield browser.open(running_api.url, "operator")
    browser.reset()


@pytest.fixture
def page(browser: Browser, opened_page: Page, api: DashboardApi) -> Iterator[Page]:
    """The page, at its overview. No script may fail, and the browser may block nothing."""
    opened_page.evaluate("location.hash = '#/none'; location.hash = '#/overview'")
    opened_page.shows("[data-testid=state]", "connected")
    opened_page.shows("h1", "Overview")
    opened_page.resize(1280, 720)
    yield opened_page
    assert browser.complaints() == []


@pytest.fixture(autouse=True)
def no_pages_of_other_tests() -> None:
    """Tests of this file share a page: opening one anew takes a second."""


def go(page: Page, address: str, heading: str) -> None:
    """Show the page with an address; ready when its heading is there."""
    page.evaluate(f"location.hash = {json.dumps(address)}")
    page.shows("h1", heading)


def line(number: int, **more: object) -> dict[str, object]:
    """Return a line of a tail."""
    return {
        "at": time.time(),
        "what": "broadcast",
        "socket_id": "",
        "channel": "orders",
        "event": f"event-{number}",
        "data": '{"n":[1,2]}',
        "recipients": 3,
        "detail": "",
        **more,
    }


def contains(page: Page, selector: str, text: str) -> None:
    """Wait until an element's text has a part."""
    page.evaluate(
        f"new Promise(done => {{ const wait = () => document.querySelector({json.dumps(selector)})?.textContent"
        f".includes({json.dumps(text)}) ? done() : setTimeout(wait, 10); wait(); }})"
    )


def opened_tail(page: Page, api: DashboardApi, address: str = "#/apps/shop/tail") -> None:
    go(page, address, "Tail")
    page.count(".head-text:not(:empty)", 1)
    contains(page, ".head-text", "Shows what happens now")
    assert any(stream.path == "tail" for stream in api.streams)


def test_charts_of_the_last_hour_are_read_by_keyboard(page: Page) -> None:
    plot = ".chart .plot"
    page.count(f"{plot}[aria-valuetext*=':']", 8)
    assert page.evaluate(f"document.querySelector('{plot}').ariaValueMax") == "719"
    assert "Last 59 min: lowest" in page.text(".chart .unseen")
    page.evaluate(f"document.querySelector('{plot}').focus()")
    newest = page.evaluate(f"document.querySelector('{plot}').ariaValueText")
    page.press("ArrowLeft")
    older = page.evaluate(f"document.querySelector('{plot}').ariaValueText")
    assert older != newest
    assert page.text(".chart .chart-when") in older
    page.press("Home")
    assert page.evaluate(f"document.querySelector('{plot}').ariaValueNow") == "0"


def test_overview_shows_all_hosts_with_their_workers_and_what_needs_attention(page: Page) -> None:
    page.count("#view tbody", 2)
    assert {"web-1", "web-2"} <= set(page.texts("#view tbody strong"))
    page.count("#view tr.worker", 6)
    page.count(".notes .notice", 1)
    assert "The certificate of web-2 ends in" in page.text(".notes .notice")
    assert page.text(".tiles dd") == "4,225"


def test_channels_are_searched_and_paged(page: Page, api: DashboardApi) -> None:
    go(page, "#/apps/shop/channels", "Channels")
    page.count(ROWS, 50)
    page.shows(".range", "1 to 50 of 137")
    page.click(".pager button:last-of-type")
    page.shows(".range", "51 to 100 of 137")
    page.click(".pager button:first-of-type")
    page.shows(".range", "1 to 50 of 137")
    page.evaluate("document.querySelector('#kind').value = 'presence'")
    page.fill("#search", "ROOM.00")
    page.shows(".range", "1 to 17 of 17")
    page.click(f"{ROWS}:first-child a")
    page.shows("h1", "presence-room.0002")
    page.count(".members li", 3)
    page.evaluate("history.back()")
    page.shows(".range", "1 to 17 of 17")


def test_event_is_offered_where_the_server_can_send_one(page: Page) -> None:
    go(page, "#/apps/shop/channels/private-chat.0001", "private-chat.0001")
    page.count(".actions a[href='#/apps/shop/send?channel=private-chat.0001']", 1)
    go(page, "#/apps/shop/channels/private-encrypted-notes.0003", "private-encrypted-notes.0003")
    page.count(".actions a[href*='send']", 0)


def test_hosts_that_did_not_answer_are_named(page: Page, api: DashboardApi) -> None:
    api.cluster.missing = ["web-2"]
    go(page, "#/apps/shop/channels", "Channels")
    page.count(".notice[data-tone=warn]", 1)
    assert "web-2 gave no answer in time" in page.text(".list .notice")


def test_connection_is_ended_only_after_a_confirmation(page: Page, api: DashboardApi) -> None:
    socket_id = api.cluster.connections[5]["socket_id"]
    go(page, "#/apps/shop/connections?search=" + socket_id, "Connections")
    page.count(ROWS, 1)
    page.click(f"{ROWS} a")
    page.shows("h1", socket_id)
    page.click("[data-key=end]")
    page.press("Escape")
    page.count("dialog", 0)
    page.click("[data-key=end]")
    page.press("Enter")  # the button that has the focus: Cancel
    page.count("dialog", 0)
    assert api.requests == []
    page.click("[data-key=end]")
    page.click("dialog .danger")
    page.shows(".empty-title", "This connection has ended.")
    assert api.requests == [("DELETE", f"apps/shop/connections/{socket_id}", None)]


def test_all_connections_of_a_user_are_ended(page: Page, api: DashboardApi) -> None:
    go(page, "#/apps/shop/connections?user=user-5", "Connections")
    page.count(ROWS, 5)
    page.click(f"{ROWS}:first-child a")
    page.click("[data-key=end-user]")
    page.click("dialog .danger")
    page.shows(".notice strong", "Done.")
    assert api.requests == [("POST", "apps/shop/users/terminate?user=user-5", None)]


def test_reason_of_a_refusal_is_found_by_origin(page: Page) -> None:
    page.click("#nav a[href='#/refused']")
    page.count(".refusals > li", 5)
    page.fill("#search", "www.shop")
    page.count(".refusals > li", 1)
    assert "add its host to allowed_origins" in page.text(".reason")
    page.evaluate("document.querySelector('#kind').value = 'api'")
    page.fill("#search", "")
    page.count(".refusals > li", 1)
    assert "Set the clock" in page.text(".reason")


def test_delivery_of_a_webhook_is_sent_again(page: Page, api: DashboardApi) -> None:
    go(page, "#/apps/shop/webhooks", "Webhooks")
    page.count("#view section", 2)
    page.click("#view section:nth-of-type(2) tr:first-child button")
    page.shows(".notice strong", "Sent again.")
    assert api.requests == [("POST", "apps/shop/webhooks/1/resend", {"id": "wh-0"})]


def test_event_is_checked_sent_and_counted(page: Page, api: DashboardApi) -> None:
    go(page, "#/apps/shop/send?channel=orders.0000", "Send event")
    page.fill("#event", "OrderShipped")
    page.fill("#data", '{"n": }')
    page.shows("#data-problem", "Line 1, column 7: expected a value (text goes in double quotes).")
    page.click(".send button")
    assert api.requests == []
    page.fill("#data", '{"n": [1]}')
    page.fill("#channels", "orders.0000, nobody")
    page.click(".send button")
    page.count("[data-testid=send-result] .notice", 2)
    sent, unheard = page.texts("[data-testid=send-result] .notice")
    assert sent == "Sent. 1 client got OrderShipped on orders.0000."
    assert unheard.startswith("Sent, but to nobody. Nobody is subscribed to nobody: compare the name")
    body = {"channels": ["orders.0000", "nobody"], "name": "OrderShipped", "data": {"n": [1]}}
    assert api.requests == [("POST", "apps/shop/events", body)]


def test_app_is_chosen(page: Page) -> None:
    go(page, "#/apps/shop/channels", "Channels")
    page.evaluate(
        "(() => { const app = document.querySelector('#app'); app.value = 'staging'; "
        "app.dispatchEvent(new Event('change')); })()"
    )
    page.count("#nav a[href='#/apps/staging/connections']", 1)
    assert page.evaluate("location.hash") == "#/apps/staging/channels"
    page.click("#nav a[href='#/refused']")
    page.click("#nav a[href='#/apps/staging/tail']")
    page.shows(".head-text", "Shows what happens now: the whole app staging")


# ---------------------------------------------------------------- tail


def test_tail_asks_for_what_the_form_says(page: Page, api: DashboardApi) -> None:
    opened_tail(page, api, "#/apps/shop/tail?channel=private-chat.*")
    page.fill("#user", "ann")
    page.press("Enter")
    page.shows(".head-text", "Shows what happens now: channel private-chat.*, user ann")
    queries = [stream.query for stream in api.streams if stream.path == "tail"]
    assert {"app": "shop", "channel": "private-chat.*", "user": "ann"} in queries
    assert page.evaluate("location.hash") == "#/apps/shop/tail?channel=private-chat.*&user=ann"


def test_tail_shows_readable_frames_and_what_was_left_out(page: Page, api: DashboardApi) -> None:
    opened_tail(page, api)
    api.tail(lines=[line(1), line(2, channel="private-chat")], left_out=1212)
    page.count(".tail > li", 3)
    page.shows(".tail > li:first-child", "1,212 lines left out here")
    assert page.text(".head ~ .hint").startswith("1,212 lines were left out so far")
    page.click(".tail > li:nth-child(2) summary")
    page.shows(".tail pre", '{\n  "n": [\n    1,\n    2\n  ]\n}')
    assert "3 clients" in page.text(".tail > li:nth-child(2)")
    page.fill("#filter", "private-CHAT")
    page.count(".tail > li[data-what]:not([hidden])", 1)


def test_lines_of_several_processes_are_in_the_order_of_their_time(page: Page, api: DashboardApi) -> None:
    opened_tail(page, api)
    now = time.time()
    api.tail(lines=[line(1, at=now), line(3, at=now + 0.2)], left_out=0)
    api.tail(lines=[line(2, at=now + 0.1), line(4, at=now + 0.3)], left_out=0)
    page.count(".tail > li", 4)
    assert page.texts(".line-event") == ["event-4", "event-3", "event-2", "event-1"]
    assert page.text(".line-channel") == "orders · 3 clients"


def test_paused_tail_goes_on_with_what_came(page: Page, api: DashboardApi) -> None:
    opened_tail(page, api)
    page.click("[aria-pressed=false].button")
    api.tail(lines=[line(1), line(2)], left_out=0)
    page.shows("[aria-pressed=true].button", "Go on (2 new)")
    page.count(".tail > li", 0)
    page.click("[aria-pressed=true].button")
    page.count(".tail > li", 2)
    assert page.texts(".line-event") == ["event-2", "event-1"]


def test_tail_keeps_500_lines(page: Page, api: DashboardApi) -> None:
    opened_tail(page, api)
    for start in range(0, 700, 100):
        api.tail(lines=[line(number) for number in range(start, start + 100)], left_out=0)
    page.shows(".line-event", "event-699")
    page.count(".tail > li", 500)


def test_tail_is_opened_anew_when_the_server_was_lost(page: Page, api: DashboardApi) -> None:
    opened_tail(page, api)
    tails = [stream for stream in api.streams if stream.path == "tail"]
    api.break_streams("live")
    until(lambda: any(stream.path == "tail" and stream not in tails for stream in api.streams), "another tail")
    page.shows("[data-testid=state]", "connected")


def test_a_page_says_why_its_streams_are_refused(page: Page, api: DashboardApi) -> None:
    api.refused["tail"] = "20 tails are open"
    go(page, "#/apps/shop/tail", "Tail")
    contains(page, ".head-text", "Nothing is shown: 20 tails are open.")
    api.refused["live"] = "50 pages show live figures"
    api.break_streams()
    contains(page, "#notice", "50 pages show live figures.")
    api.refused.clear()
    contains(page, ".head-text", "Shows what happens now")
    page.shows("[data-testid=state]", "connected")


# ---------------------------------------------------------------- what all pages have in common


def test_markup_of_clients_is_shown_and_not_run(page: Page, api: DashboardApi) -> None:
    cluster = api.cluster
    for one, keys in ((cluster.channels[0], ("name", "last_event")), (cluster.refusals[0], ("reason", "origin"))):
        one.update(dict.fromkeys(keys, MARKUP))
    cluster.connections[0].update(dict.fromkeys(("user_id", "client", "origin", "address"), MARKUP))
    cluster.connections[0]["channel_names"] = [MARKUP]
    cluster.endpoints[0]["recent"][0].update(answer=MARKUP, events=[MARKUP])
    for address in (
        "#/apps/shop/channels",
        f"#/apps/shop/channels/{quote(MARKUP, safe='')}",
        "#/apps/shop/connections",
        f"#/apps/shop/connections/{cluster.connections[0]['socket_id']}",
        "#/refused",
        "#/apps/shop/webhooks",
    ):
        page.evaluate(f"location.hash = {json.dumps(address)}")
        contains(page, "#view", MARKUP)
    opened_tail(page, api)
    api.tail(lines=[line(1, event=MARKUP, channel=MARKUP, data=json.dumps(MARKUP), detail=MARKUP)], left_out=0)
    page.count(".tail > li", 1)
    page.click(".tail summary")
    assert "<script>document.title=2</script>" in page.text(".tail pre")
    page.count("#view img, #view script", 0)
    assert page.evaluate("document.title") == "Tail · Soundpost dashboard"


def test_page_asks_nobody_else(page: Page, api: DashboardApi) -> None:
    for address in PAGES:
        page.evaluate(f"location.hash = {json.dumps(address)}")
    page.count("#view .empty", 1)
    asked = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert len(asked) > 30
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(api.url).netloc}


def test_pages_are_accessible_in_light_dark_and_narrow_windows(page: Page, api: DashboardApi) -> None:
    del api.cluster.channels[9:], api.cluster.connections[9:]
    page.count(".plot[aria-valuetext*=':']", 8)
    for address in PAGES:
        page.evaluate(f"location.hash = {json.dumps(address)}")
        page.count("#view h1", 1)
        if address.endswith("tail"):
            opened_tail(page, api)
            api.tail(lines=[line(1), line(2, what="refused"), line(3, what="gap")], left_out=4)
            page.count(".tail > li", 4)
        for colours, width in (("light", 1440), ("dark", 380)):
            page.prefer(colours)
            page.resize(width, 900)
            assert page.accessibility() == [], (address, colours, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)


def test_pages_are_reached_by_keyboard_alone(page: Page) -> None:
    page.reload()
    page.shows("h1", "Overview")
    page.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    page.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Overview"
    page.resize(380, 800)
    page.evaluate("document.querySelector('#menu').focus()")
    page.press("Enter")
    page.press("Tab")
    page.press("Enter")
    page.shows("h1", "Channels")
    assert page.evaluate("document.activeElement.tagName") == "H1", "a screen reader says where it is"
    assert page.evaluate("document.title") == "Channels · Soundpost dashboard"
    assert page.evaluate("document.querySelector('#menu').ariaExpanded") == "false"


def test_colours_are_switched_and_remembered(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page.prefer("light")
    light = page.evaluate(background)
    page.click("#theme")
    page.count("#theme[aria-pressed=true]", 1)
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    page.count("#theme[aria-pressed=true]", 1)
    assert page.evaluate(background) == dark
    page.click("#theme")


def test_row_keeps_the_focus_when_the_list_is_loaded_again(page: Page, api: DashboardApi) -> None:
    go(page, "#/apps/shop/channels", "Channels")
    page.count(ROWS, 50)
    page.evaluate("document.querySelector('#view tbody tr:nth-child(3) a').focus()")
    api.cluster.channels.pop(0)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.shows(".range", "1 to 50 of 136")
    assert page.evaluate("document.activeElement.textContent") == "presence-room.0002"


def test_selected_text_stays_while_the_list_is_loaded_again(page: Page, api: DashboardApi) -> None:
    page.click("#nav a[href='#/refused']")
    page.count(".refusals > li", 5)
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.reason'))")
    reason = page.evaluate("getSelection().toString()")
    del api.cluster.refusals[0]
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("fetch('api/refusals')")  # answered after the page's own request
    assert page.evaluate("getSelection().toString()") == reason
    page.evaluate("getSelection().empty(); document.dispatchEvent(new Event('visibilitychange'))")
    page.count(".refusals > li", 4)


@pytest.mark.parametrize(("name", "notices"), [("AbortError", 0), ("TypeError", 1)])
def test_an_answer_that_breaks_off_is_no_fault_of_the_page(page: Page, name: str, notices: int) -> None:
    go(page, "#/refused", "Refused")
    page.count(".refusals > li", 5)
    page.evaluate(
        "window.realFetch = fetch; window.fetch = async (...asked) => Object.assign(await realFetch(...asked),"
        f" {{ json: () => Promise.reject(new DOMException('cut', '{name}')) }});"
        " document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.evaluate("realFetch('api/refusals')")  # answered after the page's own request
    page.count("#view .notice[data-tone=bad]", notices)
    page.count(".refusals > li", 5)
    page.evaluate("window.fetch = realFetch; document.dispatchEvent(new Event('visibilitychange'))")
    page.count("#view .notice[data-tone=bad]", 0)


def test_only_what_the_reader_asked_for_is_announced(page: Page, api: DashboardApi) -> None:
    go(page, "#/apps/shop/channels", "Channels")
    page.shows(".range", "1 to 50 of 137")
    page.shows("[role=status].unseen", "")
    page.fill("#search", "room")
    page.shows("[role=status].unseen", "1 to 23 of 23")
    del api.cluster.channels[2]
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.shows(".range", "1 to 22 of 22")
    page.shows("[role=status].unseen", "1 to 23 of 23")
