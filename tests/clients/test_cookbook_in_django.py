"""The recipes of the cookbook in Django: a project with a login, the files of the recipe, and a look in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx
import pytest

from support.browser import Browser, Page
from support.newcomer import PASSWORD, Block, Newcomer, blocks_of
from support.pages import DOCS
from support.raw_socket import TIMEOUT
from support.recipes import (
    COOKBOOK,
    buy_one_of_three,
    copy_htmx,
    lose_the_server,
    person,
    post_expired_token,
    see_people_come_and_leave,
)

__all__ = ["person"]

TAGS: Final = "{% load soundpost %}{% soundpost libraries=True %}"
READ: Final = "from shop.models import UserOnline as U; assert [*U.objects.values_list('is_online', flat=True)]"
VIEWS: Final = """
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path

urlpatterns = [
    path("", lambda request: render(request, "shop/score.html")),
    path("goal", lambda request: HttpResponse()),
]
"""


@pytest.fixture
def project(person: Newcomer) -> Newcomer:
    """A newcomer who has made a project with a login."""
    person.follow(*blocks_of(DOCS / "django.md", "1. Install it"))
    return person


def cook(person: Newcomer, recipe: str, *more: Block) -> None:
    """Copy the files of a recipe, and start the project as the cookbook says."""
    person.follow(*blocks_of(COOKBOOK / recipe, "In Django"), *more)
    person.follow(*blocks_of(COOKBOOK / "README.md", "In Django"))


def page_of(recipe: str, place: str, at: str, replaced: Mapping[str, str]) -> Block:
    """Return a page of a recipe as a file of the Django project, with texts replaced as the recipe says."""
    (page,) = [block for block in blocks_of(COOKBOOK / recipe) if block.place == place]
    text = page.text
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return page._replace(place=at, text=text)


def log_in(browser: Browser, person: Newcomer, name: str) -> Page:
    """Open the site in a window of its own, where the login of the admin asks for the name."""
    page = browser.open(person.url, profile=name)
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")
    return page


def test_a_notification_reaches_its_user_alone(browser: Browser, project: Newcomer) -> None:
    cook(project, "notifications.md")
    ann, bob = (log_in(browser, project, name) for name in ("ann", "bob"))
    for key in (1, 2):
        project.wait_for_subscribers(f"private-App.Models.User.{key}", 1)
    ann.click("button")
    bob.shows("#notifications li", "ann: Have a look at this.")
    ann.count("#notifications li", 0)


def test_people_come_online_and_leave(browser: Browser, project: Newcomer) -> None:
    old = "{{ soundpost(libraries=True) }}"
    page = page_of("who-is-online.md", "templates/home.html", "shop/templates/shop/home.html", {old: TAGS})
    cook(project, "who-is-online.md", page)
    see_people_come_and_leave(lambda name: log_in(browser, project, name))


def test_htmx_sends_the_token_and_fetches_again(browser: Browser, project: Newcomer) -> None:
    copy_htmx(project.folder / "shop/static/shop")
    cook(project, "htmx.md")
    buy_one_of_three(browser, project)


def test_every_subscription_gets_a_new_token(browser: Browser, project: Newcomer) -> None:
    (get_token,) = [
        block for block in blocks_of(COOKBOOK / "expiring-tokens.md", "In Django") if block.language == "js"
    ]
    old = "const getToken = async () => (await fetch('/token', { method: 'POST' })).json();"
    page = page_of(
        "expiring-tokens.md",
        "page.html",
        "shop/templates/shop/page.html",
        {"<!-- soundpost -->": TAGS, old: get_token.text},
    )
    cook(project, "expiring-tokens.md", page)
    lose_the_server(browser, project, log_in(browser, project, "ann"))
    assert post_expired_token(project, {}) == 403


def test_a_page_of_django_scores_a_goal_with_the_token(browser: Browser, project: Newcomer) -> None:
    (line,) = [each for each in (COOKBOOK / "missed-events.md").read_text().splitlines() if "X-CSRFToken" in each]
    fetch = line.strip().strip("`.")
    views = Block("python", VIEWS, "shop/urls.py", added=False)
    page = Block("html", TAGS, "shop/templates/shop/score.html", added=False)
    project.follow(views, page)
    project.type("python manage.py migrate")
    project.type("python manage.py runserver")
    shown = browser.open(project.url)
    assert httpx.post(f"{project.url}/goal", timeout=TIMEOUT).status_code == 403
    assert shown.evaluate(f"{fetch}.then((answer) => answer.status)") == 200


def test_the_database_knows_who_was_here_last(project: Newcomer) -> None:
    project.follow(*blocks_of(COOKBOOK / "last-seen.md", "In Django"))
    for command in ("makemigrations shop", "migrate", "createsuperuser --username ann", "runserver"):
        project.type(f"python manage.py {command}")
    for name, is_online in (("user_online", True), ("user_offline", False)):
        project.tell({"name": name, "user_id": "1"})
        project.type(f'python manage.py shell -c "{READ} == [{is_online}]"')
