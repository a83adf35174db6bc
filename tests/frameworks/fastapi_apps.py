"""FastAPI applications of the tests."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.fastapi import Soundpost

SETTINGS: Final[dict[str, Any]] = {"app_id": "1", "key": "app-key", "secret": "app-secret", "debug": True}
SOCKET_ID: Final = "123.456"
User = dict[str, Any]


def current_user(request: Request) -> User:
    """Return the user whom the bearer token names."""
    name = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not name:
        raise HTTPException(401, "log in first")
    return {"id": name, "name": name.title()}


CurrentUser = Annotated[User, Depends(current_user)]


def make_soundpost(**settings: Any) -> Soundpost:
    """Return an extension with a broadcaster of its own, not the process's."""
    return Soundpost(broadcaster=Broadcaster(settings_from({**SETTINGS, **settings})))


def make_app(sp: Soundpost, **options: Any) -> FastAPI:
    """An application with the auth routes."""
    app = FastAPI(lifespan=sp.lifespan, **options)
    app.include_router(sp.router(user=current_user))
    return app


def ask(client: TestClient, channel: str, user: str | None = "ann", **headers: str) -> Any:
    """Return the response of the auth route to a request as laravel-echo sends it."""
    token = {} if user is None else {"Authorization": f"Bearer {user}"}
    form = {"socket_id": SOCKET_ID, "channel_name": channel}
    return client.post("/broadcasting/auth", data=form, headers={**token, **headers})
