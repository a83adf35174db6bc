"""Flask applications for tests."""

from __future__ import annotations

from typing import Any, Final

from flask import Flask, request

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.flask import Soundpost

CREDENTIALS: Final = {"SOUNDPOST_APP_ID": "1", "SOUNDPOST_KEY": "app-key", "SOUNDPOST_SECRET": "app-secret"}


def new_app(name: str = "shop", **config: Any) -> Flask:
    """An application with credentials."""
    app = Flask(name)
    app.config.update(SECRET_KEY="s", TESTING=True, **CREDENTIALS)
    app.config.update(config)
    return app


def new_soundpost(app: Flask | None = None, **options: Any) -> Soundpost:
    """An extension that shares nothing with other tests; users say who they are in the header ``X-User``."""
    options = {"broadcaster": Broadcaster(), "channels": ChannelRoutes(), **options}
    sp = Soundpost(app, **options)

    @sp.user_loader
    def load() -> str | None:
        return request.headers.get("X-User")

    return sp


def ask(app: Flask, channel: str, user: str | None = "7", path: str = "/broadcasting/auth", **headers: str) -> Any:
    """Return the response to a subscription request as pusher-js sends it."""
    if user is not None:
        headers["X-User"] = user
    form = {"socket_id": "1.2", "channel_name": channel}
    return app.test_client().post(path, data=form, headers={k.replace("_", "-"): v for k, v in headers.items()})
