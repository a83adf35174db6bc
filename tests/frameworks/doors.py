"""The auth endpoints of all frameworks, opened alike: for rules that hold at each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette
from starlette.testclient import TestClient

import soundpost.fastapi
import soundpost.flask
import soundpost.quart
import soundpost.starlette
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.settings import settings_from
from soundpost.litestar import SoundpostPlugin

SETTINGS: Final = {"app_id": "1", "key": "app-key", "secret": "app-secret"}
SOCKET_ID: Final = "123.456"
FORM: Final = "application/x-www-form-urlencoded"

FindUser = Callable[[], Any]


class Answer(NamedTuple):
    """The response of an auth endpoint."""

    status: int
    body: str

    @property
    def member(self) -> dict[str, Any]:
        """``channel_data``."""
        found: dict[str, Any] = json.loads(json.loads(self.body)["channel_data"])
        return found

    @property
    def user(self) -> dict[str, Any]:
        """``user_data``."""
        found: dict[str, Any] = json.loads(json.loads(self.body)["user_data"])
        return found

    @property
    def message(self) -> str:
        """The reason of a refusal, in debug mode."""
        return str(json.loads(self.body)["message"])


class Door:
    """An application with auth endpoints: ``channels`` are its routes, ``app`` is the framework's own object."""

    def __init__(self, app: Any, channels: ChannelRoutes, post: Callable[[str, bytes, dict[str, str]], Answer]) -> None:
        self.app = app
        self.channels = channels
        self.post = post

    def ask(self, channel: str) -> Answer:
        """Ask for a channel as pusher-js does."""
        return self.form("/broadcasting/auth", socket_id=SOCKET_ID, channel_name=channel)

    def sign_in(self) -> Answer:
        """Ask for a sign-in as pusher-js does."""
        return self.form("/broadcasting/user-auth", socket_id=SOCKET_ID)

    def form(self, path: str, **values: str) -> Answer:
        """Send a form."""
        return self.post(path, urlencode(values).encode(), {"Content-Type": FORM})


def starlette(find: FindUser, **settings: Any) -> Door:
    """Starlette."""
    sp = soundpost.starlette.Soundpost(broadcaster=_broadcaster(settings), channels=ChannelRoutes())
    return _asgi(Starlette(routes=sp.routes(user=lambda request: find()), lifespan=sp.lifespan), sp.channels)


def fastapi(find: FindUser, **settings: Any) -> Door:
    """FastAPI, where ``find`` is a dependency."""
    sp = soundpost.fastapi.Soundpost(broadcaster=_broadcaster(settings))
    app = FastAPI(lifespan=sp.lifespan)
    app.include_router(sp.router(user=find))
    return _asgi(app, sp.channels)


def litestar(find: FindUser, **settings: Any) -> Door:
    """Litestar."""
    plugin = SoundpostPlugin(user=lambda request: find(), broadcaster=_broadcaster(settings), channels=ChannelRoutes())
    return _asgi(Litestar([], plugins=[plugin], logging_config=None), plugin.channels)


def quart(find: FindUser, **settings: Any) -> Door:
    """Quart."""
    app = Quart("shop")
    sp = soundpost.quart.Soundpost(app, broadcaster=_broadcaster(settings), channels=ChannelRoutes())
    app.config["SOUNDPOST_DEBUG"] = settings.get("debug", False)
    sp.user_loader(find)
    return _asgi(app, sp.channels)


def flask(find: FindUser, **settings: Any) -> Door:
    """Flask."""
    app = Flask("shop")
    sp = soundpost.flask.Soundpost(app, broadcaster=_broadcaster(settings), channels=ChannelRoutes())
    app.config["SOUNDPOST_DEBUG"] = settings.get("debug", False)
    sp.user_loader(find)

    def post(path: str, body: bytes, headers: dict[str, str]) -> Answer:
        answer = app.test_client().post(path, data=body, headers=headers)
        return Answer(answer.status_code, answer.text)

    return Door(app, sp.channels, post)


DOORS: Final = [starlette, fastapi, litestar, quart, flask]
Open = Callable[..., Door]


def _broadcaster(settings: dict[str, Any]) -> Broadcaster:
    return Broadcaster(settings_from({**SETTINGS, **settings}))


def _asgi(app: Any, channels: ChannelRoutes) -> Door:
    def post(path: str, body: bytes, headers: dict[str, str]) -> Answer:
        with TestClient(app, base_url="http://testserver.local") as client:
            answer = client.post(path, content=body, headers=headers)
        return Answer(answer.status_code, answer.text)

    return Door(app, channels, post)
