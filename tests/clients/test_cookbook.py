"""The recipes of the cookbook, copied into an empty folder and looked at in a browser."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

import httpx
import pytest

from soundpost.client import SyncClient
from soundpost.pusher import PusherError
from support.browser import Browser
from support.newcomer import Block, Newcomer, blocks_of
from support.raw_socket import TIMEOUT
from support.recipes import (
    COOKBOOK,
    add_webhooks,
    buy_one_of_three,
    come_back,
    copy_htmx,
    lose_the_server,
    person,
    post_expired_token,
    see_people_come_and_leave,
    see_who_was_here,
)

__all__ = ["person"]

TWO_KEYS: Final = """
[[apps]]
id = "1"
key = "old-key"
secret = "${OLD_SECRET}"

[[apps]]
id = "2"
key = "new-key"
secret = "${NEW_SECRET}"
"""


def cook(person: Newcomer, recipe: str) -> None:
    """Copy the files of a recipe that is a Flask application, and start it as the cookbook says."""
    files = [block for block in blocks_of(COOKBOOK / recipe) if block.place == "app.py" or block.language == "html"]
    assert files
    person.follow(*files, *blocks_of(COOKBOOK / "README.md", "In Flask"))


def cook_with_webhooks(person: Newcomer, recipe: str, *files: Block) -> None:
    """Copy the files of a recipe that is told by webhooks, and start it as the cookbook says."""
    person.follow(*files)
    person.type("soundpost init")
    add_webhooks(person, recipe)
    person.type("flask soundpost start --debug")
    person.type("flask run")


def test_a_notification_reaches_its_user_alone(browser: Browser, person: Newcomer) -> None:
    cook(person, "notifications.md")
    ann, bob = (browser.open(f"{person.url}/login/{name}", profile=name) for name in ("ann", "bob"))
    for name in ("ann", "bob"):
        person.wait_for_subscribers(f"private-App.Models.User.{name}", 1)
    ann.click("button")
    bob.shows("#notifications li", "ann: Have a look at this.")
    ann.count("#notifications li", 0)


def test_people_come_online_and_leave(browser: Browser, person: Newcomer) -> None:
    cook(person, "who-is-online.md")
    see_people_come_and_leave(lambda name: browser.open(f"{person.url}/login/{name}", profile=name))


def test_the_database_knows_who_was_here_last(browser: Browser, person: Newcomer) -> None:
    cook_with_webhooks(person, "last-seen.md", *blocks_of(COOKBOOK / "last-seen.md", "In Flask"))
    see_who_was_here(lambda name: browser.open(f"{person.url}/login/{name}", profile=name))


def test_who_types_is_seen_by_the_others_and_stored(browser: Browser, person: Newcomer) -> None:
    cook_with_webhooks(
        person, "typing.md", *(block for block in blocks_of(COOKBOOK / "typing.md") if block.place != "soundpost.toml")
    )
    ann, bob = (browser.open(f"{person.url}/login/{name}", profile=name) for name in ("ann", "bob"))
    person.wait_for_subscribers("presence-rooms.1", 2)
    ann.fill("input", "Hello")
    bob.shows("#typing", "ann is typing …")
    bob.shows("#typing", "")
    assert ann.text("#typing") == ""
    assert [*httpx.get(f"{person.url}/typed/1", timeout=TIMEOUT).json()] == ["ann"]


def test_what_a_page_has_missed_is_there_after_a_reconnect(browser: Browser, person: Newcomer) -> None:
    cook(person, "missed-events.md")
    page = browser.open(person.url)
    page.shows("h1", "0")
    person.wait_for_subscribers("score", 1)
    httpx.post(f"{person.url}/goal", timeout=TIMEOUT)
    page.shows("h1", "1")
    start = person.end_realtime()
    httpx.post(f"{person.url}/goal", timeout=TIMEOUT)
    httpx.post(f"{person.url}/goal", timeout=TIMEOUT)
    assert page.text("h1") == "1"
    person.type(start)
    come_back(page)
    page.shows("h1", "3")


def test_every_subscription_gets_a_new_token(browser: Browser, person: Newcomer) -> None:
    person.follow(*blocks_of(COOKBOOK / "expiring-tokens.md"))
    for command in ("soundpost init", "soundpost start", "uvicorn main:app --reload"):
        person.type(command)
    page = browser.open(person.url)
    lose_the_server(browser, person, page)
    assert post_expired_token(person, {"Sec-Fetch-Site": "same-origin"}) == 403


def test_htmx_fetches_again_when_the_event_comes(browser: Browser, person: Newcomer) -> None:
    copy_htmx(person.folder / "static")
    cook(person, "htmx.md")
    buy_one_of_three(browser, person)


def test_a_job_shows_how_far_it_is(browser: Browser, person: Newcomer) -> None:
    cook(person, "progress.md")
    page = browser.open(person.url)
    page.shows("span", "100 %")
    assert page.evaluate("document.querySelector('progress').value") == 100


def test_tenants_do_not_see_each_other(browser: Browser, person: Newcomer) -> None:
    cook(person, "tenants.md")
    page = browser.open(f"{person.url}/login/ann")
    page.shows("#state", "waiting")
    other = browser.open(f"{person.url}/globex")
    other.shows("#state", "not yours")
    httpx.post(f"{person.url}/acme/paid/7", timeout=TIMEOUT)
    page.shows("#state", "Invoice 7 is paid.")


@pytest.mark.parametrize(
    ("recipe", "section", "channel", "keys", "told"),
    [
        ("tenants.md", "An app for each tenant", "invoices", ["globex-key"], {"number": 7}),
        ("rotate-a-key.md", "A new key and secret, without a gap", "orders", ["old-key", "new-key"], {"id": 7}),
    ],
)
def test_one_application_sends_to_several_apps(
    recipe: str, section: str, channel: str, keys: list[str], told: dict[str, int], person: Newcomer
) -> None:
    blocks = {block.place: block for block in blocks_of(COOKBOOK / recipe, section)}
    toml = blocks["soundpost.toml"].text if "soundpost.toml" in blocks else TWO_KEYS
    (person.folder / "soundpost.toml").write_text(f"[server]\nport = {person.realtime}\n{toml}")
    person.environ |= {"ACME_SECRET": "first", "GLOBEX_SECRET": "second", "OLD_SECRET": "old", "NEW_SECRET": "new"}
    person.type("soundpost start")
    send = blocks["send.py"]
    person.follow(send._replace(text=send.text.replace('{"app_id"', f'{{"port": {person.realtime}, "app_id"')))
    with ExitStack() as stack:
        clients = [stack.enter_context(SyncClient(f"http://127.0.0.1:{person.realtime}", key)) for key in keys]
        heard = [client.subscribe(channel) for client in clients]
        person.type("python send.py")
        assert [subscription.next(timeout=TIMEOUT).data for subscription in heard] == [told] * len(keys)
        for block in blocks.values():
            if block.language == "sh":  # how many old pages are open
                person.follow(block)
                assert "app 1: 1 connection" in person.shown


def test_a_new_secret_is_valid_at_once_and_nobody_is_disconnected(person: Newcomer) -> None:
    (reload,) = blocks_of(COOKBOOK / "rotate-a-key.md", "A new secret, at once")
    person.type("soundpost init")
    person.type("soundpost start")
    old = person.backend()
    with SyncClient(f"http://127.0.0.1:{person.realtime}", person.app()["key"]) as client:
        orders = client.subscribe("orders")
        file = person.folder / "soundpost.toml"
        file.write_text(file.read_text().replace(person.app()["secret"], "a-secret-that-nobody-has-seen"))
        person.follow(reload)
        with pytest.raises(PusherError):
            old.trigger("orders", "OrderPaid", {"id": 6})
        person.backend().trigger("orders", "OrderPaid", {"id": 7})
        assert orders.next(timeout=TIMEOUT).data == {"id": 7}


def test_an_app_is_added_while_the_server_runs(person: Newcomer) -> None:
    person.type("soundpost init")
    person.type("soundpost start")
    with SyncClient(f"http://127.0.0.1:{person.realtime}", person.app()["key"]) as client:
        orders = client.subscribe("orders")
        person.follow(*blocks_of(COOKBOOK / "add-an-app.md"))
        assert "new: 2" in person.shown
        with SyncClient(f"http://127.0.0.1:{person.realtime}", "another-key") as other:
            other.subscribe("orders")
        person.backend().trigger("orders", "OrderPaid", {"id": 7})
        assert orders.next(timeout=TIMEOUT).data == {"id": 7}


def test_fastapi_writes_down_who_was_here_last(person: Newcomer) -> None:
    person.follow(*blocks_of(COOKBOOK / "last-seen.md", "In FastAPI, with SQLAlchemy"))
    for command in ("soundpost init", "uvicorn main:app --reload"):
        person.type(command)
    for name, user in (("user_online", "ann"), ("user_online", "bob"), ("user_offline", "bob")):
        person.tell({"name": name, "user_id": user})
    assert httpx.get(f"{person.url}/people", timeout=TIMEOUT).json() == {"ann": True, "bob": False}
