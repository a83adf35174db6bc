"""Login and session of the dashboard in a real browser, and what its page does while its server is away."""

from __future__ import annotations

from support.browser import Browser
from support.dashboard_api import running_dashboard_api
from support.dashboard_cluster import Cluster
from support.redis_process import free_port


def test_wrong_password_is_said_and_right_one_leads_to_the_page_asked_for(browser: Browser) -> None:
    with running_dashboard_api(Cluster(), "open sesame") as api:
        page = browser.open(f"{api.url}#/apps/shop/channels?search=prices")
        page.shows("h1", "Log in")
        page.fill("#password", "wrong")
        page.press("Enter")
        page.shows("#login-result", "The password is wrong.")
        page.fill("#password", "too often")
        page.press("Enter")
        page.shows("#login-result", "Too many attempts to log in: try again in 42 s")
        page.fill("#password", "open sesame")
        page.press("Enter")
        page.shows("h1", "Channels")
        assert page.evaluate("document.querySelector('#search').value") == "prices"
        page.click("#log-out")
        page.shows("h1", "Log in")
        page.reload()
        page.shows("h1", "Log in")


def test_ended_session_leads_to_the_login_and_back_to_the_same_page(browser: Browser) -> None:
    with running_dashboard_api(Cluster(), "open sesame") as api:
        page = browser.open(f"{api.url}#/apps/shop/channels/presence-room.0002")
        page.fill("#password", "open sesame")
        page.press("Enter")
        page.shows("h1", "presence-room.0002")
        api.end_sessions()
        page.shows("h1", "Log in")
        page.fill("#password", "open sesame")
        page.press("Enter")
        page.shows("h1", "presence-room.0002")


def test_lost_server_is_said_and_the_page_comes_back_by_itself(browser: Browser) -> None:
    cluster = Cluster(channels=3)
    port = free_port()
    with running_dashboard_api(cluster, port=port) as api:
        page = browser.open(f"{api.url}#/apps/shop/channels")
        page.shows("[data-testid=state]", "connected")
        page.count("#view tbody tr", 3)
    page.shows("[data-testid=state]", "lost")
    page.shows("#notice strong", "The connection to the server is lost.")
    cluster.channels.pop()
    with running_dashboard_api(cluster, port=port):
        page.shows("[data-testid=state]", "connected")
        page.count("#notice[hidden]", 1)
        page.count("#view tbody tr", 2)


def test_login_is_accessible(browser: Browser) -> None:
    with running_dashboard_api(Cluster(), "open sesame") as api:
        page = browser.open(api.url)
        page.shows("h1", "Log in")
        assert page.accessibility() == []
