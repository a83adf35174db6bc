"""Projects that ``soundpost init`` has set up: server, view and script work with nothing in the environment."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli_process import Process, Shell, shell
from support.redis_process import free_port

SCRIPT = 'from soundpost import publish\n\npublish("orders", "OrderPlaced", {"id": 7})\n'
DJANGO_VIEW = """
from django.http import HttpResponse
from soundpost import publish

def ship(request):
    publish("orders", "OrderShipped", {"id": 8})
    return HttpResponse()
"""
DJANGO_URLS = "from django.urls import path\n\nfrom shop import views\n\nurlpatterns = [path('ship', views.ship)]\n"
DJANGO_CLIENT = (
    "from django.test import Client\n"
    "client = Client(SERVER_NAME='localhost')\n"
    "print(client.get('/ship').status_code)\n"
    "form = {'socket_id': '1.2', 'channel_name': 'private-orders.7'}\n"
    "print(client.post('/broadcasting/auth', form).status_code)\n"
)
FASTAPI = """
from fastapi import FastAPI
from soundpost import apublish

app = FastAPI()


@app.get("/ship")
async def ship() -> None:
    await apublish("orders", "OrderShipped", {"id": 8})
"""
FASTAPI_CLIENT = (
    "from fastapi.testclient import TestClient\n"
    "from main import app\n"
    "with TestClient(app) as client:\n"
    "    print(client.get('/ship').status_code)\n"
    "    form = {'socket_id': '1.2', 'channel_name': 'private-orders.7'}\n"
    "    print(client.post('/broadcasting/auth', data=form).status_code)\n"
)
FLASK = """
from flask import Flask
from soundpost import publish

app = Flask(__name__)


@app.get("/ship")
def ship():
    publish("orders", "OrderShipped", {"id": 8})
    return ""
"""
FLASK_CLIENT = (
    "from app import app\n"
    "client = app.test_client()\n"
    "print(client.get('/ship').status_code)\n"
    "form = {'socket_id': '1.2', 'channel_name': 'private-orders.7'}\n"
    "print(client.post('/broadcasting/auth', data=form).status_code)\n"
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as found:
        for name in list(found.environ):
            if name.startswith(("DJANGO_", "FLASK_", "PYTEST_")):
                del found.environ[name]
        yield found


def done(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def initialise(project: Shell) -> int:
    """Call ``soundpost init`` twice, and give the server a free port; return the port."""
    assert "Next" in done(project.run("init"))
    assert "Nothing to do" in done(project.run("init"))
    toml = project.directory / "soundpost.toml"
    port = free_port()
    toml.write_text(toml.read_text().replace("port = 8080", f"port = {port}"))
    return port


def listen_and_publish(project: Shell, server: Process, port: int, client: tuple[str, ...]) -> None:
    """Publish from the application and from a script, and check that a listener gets both events."""
    server.wait_for_start(rf"listening on http://\S+:{port}\b")
    listener = project.listener("orders", "--json", "--count", "2")
    assert done(project.run_python(*client)).split()[-2:] == ["200", "403"]
    (project.directory / "send.py").write_text(SCRIPT)
    done(project.run_python("send.py"))
    for name, id in (("OrderShipped", 8), ("OrderPlaced", 7)):
        listener.wait_for(name)
        event = json.loads(listener.out[-1])
        assert json.loads(event["data"]) == {"id": id}
    assert listener.exit_code() == 0
    server.stop()
    assert not [line for line in server.rest_of_err() if "warning" in line.lower()]


def start_django(project: Shell) -> None:
    done(project.run_python("-m", "django", "startproject", "mysite", "."))
    done(project.run_python("manage.py", "startapp", "shop"))
    (project.directory / "shop/views.py").write_text(DJANGO_VIEW)
    (project.directory / "mysite/urls.py").write_text(DJANGO_URLS)
    with (project.directory / "mysite/settings.py").open("a") as settings:
        settings.write('\nINSTALLED_APPS += ["shop"]\n')


def test_a_django_project(project: Shell) -> None:
    start_django(project)
    port = initialise(project)
    done(project.run_python("manage.py", "migrate", "--verbosity=0"))
    assert "no issues" in done(project.run_python("manage.py", "check"))
    server = project.start_python("manage.py", "soundpost", "start", "--dev")
    listen_and_publish(project, server, port, ("manage.py", "shell", "-c", DJANGO_CLIENT))


def test_a_fastapi_application(project: Shell) -> None:
    (project.directory / "main.py").write_text(FASTAPI)
    port = initialise(project)
    server = project.start("start", "--host", "127.0.0.1")
    listen_and_publish(project, server, port, ("-c", FASTAPI_CLIENT))


def test_a_flask_application(project: Shell) -> None:
    (project.directory / "app.py").write_text(FLASK)
    port = initialise(project)
    server = project.start_python("-m", "flask", "soundpost", "start", "--host", "127.0.0.1")
    listen_and_publish(project, server, port, ("-c", FLASK_CLIENT))


@pytest.mark.parametrize("routes", ["", "True, []", "routes=[]", "routes=own"])
def test_a_starlette_application_answers_browsers(project: Shell, routes: str) -> None:
    text = f"from starlette.applications import Starlette\n\nown = []\napp = Starlette({routes})\n"
    (project.directory / "main.py").write_text(text)
    initialise(project)
    client = FASTAPI_CLIENT.replace("fastapi", "starlette").replace("/ship", "/broadcasting/config")
    assert done(project.run_python("-c", client)).split() == ["200", "403"]


# Commands of a framework, with settings that name another server than the files do

SETTINGS = {"APP_ID": "1", "KEY": "app-key", "SECRET": "0123456789abcdef"}


def test_django_s_commands_use_the_server_of_the_settings(project: Shell) -> None:
    start_django(project)
    done(project.run("init"))
    port = free_port()
    with (project.directory / "mysite/settings.py").open("a") as settings:
        settings.write(f"\nSOUNDPOST = {{**{SETTINGS}, 'PORT': {port}}}\n")
    server = project.start_python("manage.py", "soundpost", "start", "--host", "127.0.0.1")
    server.wait_for_start(rf"listening on http://127\.0\.0\.1:{port}  apps: 1$")
    status = json.loads(done(project.run_python("manage.py", "soundpost", "status", "--json")))
    assert (status["port"], [app["id"] for app in status["apps"]]) == (port, ["1"])
    doctor = json.loads(
        done(project.run_python("manage.py", "soundpost", "doctor", "--json", "--settings=mysite.settings"))
    )
    assert any(str(port) in json.dumps(step) for step in doctor)
    listener = project.start_python("manage.py", "soundpost", "listen", "private-orders", "--count", "1")
    listener.wait_for("^listening on", err=True)
    arguments = ("trigger", "private-orders", "Placed", "{}", "--settings", "mysite.settings", "--no-color")
    assert "Published Placed to private-orders" in done(project.run_python("manage.py", "soundpost", *arguments))
    assert listener.exit_code() == 0
    assert "apps reloaded" in done(project.run_python("manage.py", "soundpost", "reload"))
    assert "stopped" in done(project.run_python("manage.py", "soundpost", "stop", "--wait"))
    assert server.exit_code() == 0
    assert not [line for line in server.rest_of_err() if "warning" in line]


def test_django_is_told_when_the_server_listens_elsewhere(project: Shell) -> None:
    start_django(project)
    port = free_port()
    with (project.directory / "mysite/settings.py").open("a") as settings:
        settings.write(f'\nINSTALLED_APPS += ["soundpost.django"]\nSOUNDPOST = {{**{SETTINGS}, "PORT": {port}}}\n')
    other = free_port()
    server = project.start_python("manage.py", "soundpost", "start", "--dev", "--port", str(other))
    server.wait_for_start(f"listening on http://127.0.0.1:{other}")
    server.stop()
    assert [line.partition(" WARNING soundpost.server: ")[2] for line in server.faults()] == [
        f"Django publishes to port {port}, but this server listens on {other}, so its events do not arrive: set "
        f"the port in settings.SOUNDPOST, or port under [server] in soundpost.toml, to {other}, or let the "
        f"server listen on {port}"
    ]


def test_flask_s_commands_use_the_server_of_the_application(project: Shell) -> None:
    port = free_port()
    config = f'SOUNDPOST_APP_ID="1", SOUNDPOST_KEY="k", SOUNDPOST_SECRET="s", SOUNDPOST_PORT={port}'
    (project.directory / "app.py").write_text(
        f"from flask import Flask\nfrom soundpost.flask import Soundpost\napp = Flask(__name__)\n"
        f"app.config.update({config})\nsp = Soundpost(app)\n"
    )
    done(project.run("init"))
    flask = ("-m", "flask", "soundpost")
    server = project.start_python(*flask, "start", "--host", "127.0.0.1")
    server.wait_for_start(rf"listening on http://127\.0\.0\.1:{port}  apps: 1$")
    assert re.search(rf"serving at 127\.0\.0\.1:{port} ", done(project.run_python(*flask, "status")))
    doctor = json.loads(done(project.run_python(*flask, "doctor", "--json")))
    assert any(str(port) in json.dumps(step) for step in doctor)
    listener = project.start_python(*flask, "listen", "private-orders", "--count", "1")
    listener.wait_for("^listening on", err=True)
    done(project.run_python(*flask, "trigger", "private-orders", "Placed"))
    assert listener.exit_code() == 0
    assert "Nothing to do" in done(project.run_python(*flask, "init"))
    server.stop()
    assert not [line for line in server.rest_of_err() if "warning" in line]
