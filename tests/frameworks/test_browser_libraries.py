"""The libraries for pages without a bundler: every door serves them, and prints their script tags and positions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI
from flask import Flask, render_template_string
from litestar import Litestar, Request, get
from quart import Quart
from quart import render_template_string as arender_template_string
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import soundpost
import soundpost.fastapi
import soundpost.flask
import soundpost.quart
import soundpost.starlette
from soundpost import Channel
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.browser import LIBRARIES, library_text
from soundpost.broadcasting.settings import settings_from
from soundpost.litestar import SoundpostPlugin

PREFIX: Final = "/realtime"
TAG: Final = "{{ soundpost(libraries=True, positions=positions) }}"
POSITIONS: Final = {Channel("news"): "g7Qx.1795887678285000", "quiet": None}
URLS: Final = [
    f"{PREFIX}/pusher.min.js?v=8.6.0",
    f"{PREFIX}/echo.iife.js?v=2.5.0",
    f"{PREFIX}/soundpost-resume.min.js?v={soundpost.__version__}",
]

Fetch = Callable[[str], Any]
"""Returns the response to a path, with ``text`` and ``headers``."""


def own() -> dict[str, Any]:
    settings = settings_from({"app_id": "1", "key": "app-key", "secret": "app-secret"})
    return {"broadcaster": Broadcaster(settings), "channels": ChannelRoutes()}


def starlette() -> Fetch:
    sp = soundpost.starlette.Soundpost(**own())

    async def page(request: StarletteRequest) -> HTMLResponse:
        return HTMLResponse(sp.echo_script(request, libraries=True, positions=POSITIONS))

    routes = [*sp.routes(user=lambda request: None, url_prefix=PREFIX), Route("/", page)]
    return TestClient(Starlette(routes=routes)).get


def fastapi() -> Fetch:
    sp = soundpost.fastapi.Soundpost(broadcaster=own()["broadcaster"])
    app = FastAPI()
    app.include_router(sp.router(user=lambda: None, url_prefix=PREFIX))

    @app.get("/")
    async def page(request: StarletteRequest) -> HTMLResponse:
        return HTMLResponse(sp.echo_script(request, libraries=True, positions=POSITIONS))

    return TestClient(app).get


def litestar() -> Fetch:
    plugin = SoundpostPlugin(url_prefix=PREFIX, **own())

    @get("/", media_type="text/html", sync_to_thread=False)
    def page(request: Request[Any, Any, Any]) -> str:
        return plugin.echo_script(request, libraries=True, positions=POSITIONS)

    app: Any = Litestar([page], plugins=[plugin], logging_config=None)
    return TestClient(app).get


def quart() -> Fetch:
    app = Quart("shop")
    soundpost.quart.Soundpost(app, url_prefix=PREFIX, **own())
    asgi: Any = app

    @app.get("/")
    async def page() -> str:
        return await arender_template_string(TAG, positions=POSITIONS)

    return TestClient(asgi).get


def flask() -> Fetch:
    app = Flask("shop")
    soundpost.flask.Soundpost(app, url_prefix=PREFIX, **own())

    @app.get("/")
    def page() -> str:
        return render_template_string(TAG, positions=POSITIONS)

    return app.test_client().get


@pytest.mark.parametrize("door", [starlette, fastapi, litestar, quart, flask], ids=lambda each: each.__name__)
def test_pages_load_the_libraries_from_the_application(door: Callable[[], Fetch]) -> None:
    fetch = door()
    scripts = re.findall(r'<script src="(.*?)">', fetch("/").text)
    assert scripts == URLS
    for url, library in zip(scripts, LIBRARIES, strict=True):
        answer = fetch(url)
        assert answer.text == library_text(library.file)
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Cache-Control"] == "public, max-age=86400"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("door", [starlette, fastapi, litestar, quart, flask], ids=lambda each: each.__name__)
def test_pages_have_the_positions_of_their_data(door: Callable[[], Fetch]) -> None:
    (config,) = re.findall(r'<script id="soundpost-config" type="application/json">(.*?)</script>', door()("/").text)
    assert json.loads(config)["positions"] == {"news": "g7Qx.1795887678285000"}


PROJECT: Final = """
INSTALLED_APPS += ["soundpost.django"]
STATIC_ROOT = BASE_DIR / "collected"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
SOUNDPOST = {"APP_ID": "1", "KEY": "app-key", "SECRET": "app-secret"}
"""
PAGE: Final = """
from django.conf import settings
from django.template import engines
settings.DEBUG = False
print(engines["django"].from_string("{% load soundpost %}{% soundpost libraries=True %}").render({}))
"""


def test_django_has_the_libraries_as_static_files_with_hashed_names(tmp_path: Path) -> None:
    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    manage("startproject", "mysite", ".")
    with (tmp_path / "mysite/settings.py").open("a") as settings:
        settings.write(PROJECT)
    site = ("--settings=mysite.settings", "--pythonpath=.")
    assert "broadcasting/browser/static/vendor/pusher.min.js" in manage("findstatic", "soundpost/pusher.min.js", *site)
    manage("collectstatic", "--noinput", *site)
    scripts = re.findall(r'<script src="/(static/soundpost/.*?)">', manage("shell", "-c", PAGE, *site))
    assert [Path(each).name.split(".")[0] for each in scripts] == ["pusher", "echo", "soundpost-resume"]
    for url, library in zip(scripts, LIBRARIES, strict=True):
        assert re.search(r"\.[0-9a-f]{12}\.js$", url)
        collected = tmp_path / url.replace("static/", "collected/")
        assert collected.read_text() == library_text(library.file)
