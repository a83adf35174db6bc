"""The page of docs/django.md in a real browser, served by the embedded server, with an event of a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameworks.test_django_embedded import embedded_project
from support.browser import Browser
from support.harness import until
from support.uvicorn_process import running_uvicorn

LOGIN = """

def enter(request):
    from django.contrib.auth import get_user_model, login
    from django.shortcuts import redirect
    user = get_user_model().objects.create_user("ann")
    order = Order.objects.create(customer=user)
    login(request, user)
    return redirect(f"/orders/{order.pk}")
"""
DATA = '{"order_id": 1, "carrier": "DHL"}'


def test_a_command_changes_the_page(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = embedded_project(tmp_path)
    with (tmp_path / "shop/views.py").open("a") as views:
        views.write(LOGIN)
    with (tmp_path / "shop/urls.py").open("a") as urls:
        urls.write('\nurlpatterns.append(path("enter", views.enter))\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    browser.reset()
    with running_uvicorn("mysite.asgi:application", {"DJANGO_SETTINGS_MODULE": "mysite.settings"}) as site:
        page = browser.open(f"{site.url}/enter")
        page.shows("#state", "Your order is being packed.")
        subscribed = "Boolean(echo.connector.channels['private-orders.1'].subscription.subscribed)"
        until(lambda: page.evaluate(subscribed) is True, site.log)
        arguments = ("soundpost", "trigger", "private-orders.1", "OrderShipped", DATA)
        project.run("manage.py", *arguments, environ={"SITE": site.url})
        page.shows("#state", "On its way with DHL.")
        assert browser.complaints() == []
        browser.reset()
