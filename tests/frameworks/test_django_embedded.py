"""The embedded server in Django, as ``docs/django.md`` has it, under uvicorn: clients, commands and static files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.docs_project import DocsProject
from support.harness import RawSocket
from support.raw_socket import TIMEOUT
from support.uvicorn_process import UvicornProcess, running_uvicorn

OTHER_APP = '[[apps]]\nid = "9"\nkey = "key-of-the-file"\nsecret = "secret-of-the-file"\n'
COMMAND = """
from django.core.management.base import BaseCommand

from soundpost import publish


class Command(BaseCommand):
    def handle(self, **options):
        publish("news", "Reminder", {"from": "a command"})
"""
VIEW = """

def say(request):
    from django.http import HttpResponse
    from soundpost import publish
    publish("news", "Said", {"from": "a view"})
    return HttpResponse(status=204)
"""


SETTINGS = """
import os

SOUNDPOST = {
    "DRIVER": "embedded",
    "APP_ID": "1",
    "KEY": "key-of-settings",
    "SECRET": "secret-of-settings",
    "SITE_URL": os.environ.get("SITE", "http://127.0.0.1:1"),
}
"""


def embedded_project(folder: Path) -> DocsProject:
    """Make the project of the page in embedded mode, beside a ``soundpost.toml`` of another app."""
    project = DocsProject(folder)
    project.start_django()
    project.add_page("django.md", keep=["mysite/settings.py"])
    with (folder / "mysite/settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (folder / "soundpost.toml").write_text(OTHER_APP)
    project.run("-m", "soundpost", "init")
    project.run("manage.py", "makemigrations", "shop")
    project.run("manage.py", "migrate", "--verbosity=0")
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DocsProject:
    """The project with a command and a view that publish."""
    project = embedded_project(tmp_path_factory.mktemp("project"))
    folder = project.folder
    with (folder / "shop/views.py").open("a") as views:
        views.write(VIEW)
    with (folder / "shop/urls.py").open("a") as urls:
        urls.write('\nurlpatterns.append(path("say", views.say))\n')
    commands = folder / "shop/management/commands"
    commands.mkdir(parents=True)
    (commands / "remind.py").write_text(COMMAND)
    return project


@pytest.fixture
def site(project: DocsProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[UvicornProcess]:
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PYTHONPATH", str(project.folder))
    with running_uvicorn("mysite.asgi:application", {"DJANGO_SETTINGS_MODULE": "mysite.settings"}) as running:
        yield running
        assert "Traceback" not in running.log()


def subscribed(site: UvicornProcess) -> RawSocket:
    client: Any = RawSocket.open(site.port, "key-of-settings")
    client.subscribe("news")
    return client  # type: ignore[no-any-return]


def test_views_and_commands_publish_to_clients_of_the_site(project: DocsProject, site: UvicornProcess) -> None:
    with subscribed(site) as client:
        assert httpx.get(f"{site.url}/say", timeout=TIMEOUT).status_code == 204
        assert client.read_event() == {"event": "Said", "data": '{"from":"a view"}', "channel": "news"}
        project.run("manage.py", "remind", environ={"SITE": site.url})
        assert client.read_event() == {"event": "Reminder", "data": '{"from":"a command"}', "channel": "news"}
        project.run("manage.py", "soundpost", "trigger", "news", "Told", "{}", environ={"SITE": site.url})
        assert client.read_event()["event"] == "Told"


def test_static_files_are_served_in_debug_mode(site: UvicornProcess) -> None:
    answer = httpx.get(f"{site.url}/static/soundpost/echo.iife.js", timeout=TIMEOUT)
    assert (answer.status_code, answer.text[:8]) == (200, "var Echo")


def test_a_command_without_a_site_says_where_it_looked(project: DocsProject) -> None:
    said = project.run("manage.py", "soundpost", "trigger", "news", "Told", "{}", code=1)
    assert "this process has no embedded server for app '1', and the site did not take the event over HTTP" in said
    assert (
        "nothing listens at http://127.0.0.1:1 (connection refused). The site must run with soundpost.asgi.App" in said
    )
    assert "set site_url (SOUNDPOST_SITE_URL) if it is not at http://127.0.0.1:1" in said


def test_the_site_has_a_lifespan_although_django_has_none(
    project: DocsProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PYTHONPATH", str(project.folder))
    environ = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    with running_uvicorn("mysite.asgi:application", environ, log_level="info", lifespan="on") as running:
        assert "Application startup complete" in running.log()


@pytest.mark.parametrize("folder", ["the project's", "another"])
def test_without_the_driver_the_server_says_where_events_go(project: DocsProject, tmp_path: Path, folder: str) -> None:
    script = (
        "import os, sys, logging; logging.basicConfig(); sys.path.insert(0, sys.argv[1])\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'\n"
        "from django.conf import settings; del settings.SOUNDPOST['DRIVER']\n"
        "from mysite.asgi import application\n"
        "print([app.key for app in application.apps])\n"
    )
    start = project if folder == "the project's" else DocsProject(tmp_path)
    said = start.run("-c", script, str(project.folder))
    assert "['key-of-settings']" in said
    assert "its events go to http://127.0.0.1:8080: set SOUNDPOST['DRIVER'] = 'embedded'" in said


def test_the_app_may_be_that_of_the_file(project: DocsProject) -> None:
    script = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'\n"
        "from django.conf import settings; settings.SOUNDPOST = {'DRIVER': 'embedded'}\n"
        "from mysite.asgi import application\n"
        "print([app.key for app in application.apps])\n"
    )
    assert project.run("-c", script) == "['key-of-the-file']\n"
