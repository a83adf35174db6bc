"""Beside Flask-Login and Flask-WTF, the real ones."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, render_template_string
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf import CSRFProtect

from frameworks.flask_apps import ask, new_app, new_soundpost
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.flask import Soundpost


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, id: str) -> None:
        self.id = id


async def load_asynchronously() -> Any:
    return current_user


@pytest.fixture(params=[None, lambda: current_user, load_asynchronously], ids=["usual", "loader", "async loader"])
def app(request: pytest.FixtureRequest) -> Flask:
    """An application with Flask-Login, and a private and a presence route; its loader may hand on the proxy."""
    app = new_app()
    sp = Soundpost(app, broadcaster=Broadcaster(), channels=ChannelRoutes())
    if request.param is not None:
        sp.user_loader(request.param)
    LoginManager(app).user_loader(User)

    @app.get("/login/<id>")
    def login(id: str) -> str:
        login_user(User(id))
        return "hello"

    @app.get("/logout")
    def logout() -> str:
        logout_user()
        return "bye"

    @sp.channels.private("users.{user_id}")
    def own(user: User, user_id: str) -> bool:
        return bool(user.id == user_id)

    @sp.channels.presence("lobby", guests=True)
    def lobby(user: User | None, ctx: Any) -> dict[str, str]:
        return {"id": ctx.socket_id} if user is None else {"name": f"user {user.id}"}

    return app


def subscribe(client: Any, channel: str) -> Any:
    return client.post("/broadcasting/auth", data={"socket_id": "1.2", "channel_name": channel})


def test_the_user_is_flask_login_s(app: Flask) -> None:
    client = app.test_client()
    assert subscribe(client, "private-users.7").status_code == 403
    client.get("/login/7")
    assert subscribe(client, "private-users.7").status_code == 200
    assert subscribe(client, "private-users.8").status_code == 403
    client.get("/logout")
    assert subscribe(client, "private-users.7").status_code == 403


def test_a_member_has_the_id_of_flask_login_s_user(app: Flask) -> None:
    client = app.test_client()
    assert subscribe(client, "presence-lobby").json["channel_data"] == '{"user_id":"1.2","user_info":{"id":"1.2"}}'
    client.get("/login/7")
    assert subscribe(client, "presence-lobby").json["channel_data"] == '{"user_id":"7","user_info":{"name":"user 7"}}'


def protected_app(csrf_first: bool) -> Flask:
    app = new_app()
    csrf = CSRFProtect()
    if csrf_first:
        csrf.init_app(app)
    sp = new_soundpost(app)
    if not csrf_first:
        csrf.init_app(app)

    @sp.channels.private("x")
    def x(user: str) -> bool:
        return True

    @app.post("/orders")
    def orders() -> str:
        return "taken"

    @app.get("/")
    def page() -> str:
        return render_template_string("{{ soundpost() }}")

    return app


@pytest.mark.parametrize("csrf_first", [True, False], ids=["before us", "after us"])
def test_auth_routes_need_no_token_of_flask_wtf_s_others_do(csrf_first: bool) -> None:
    app = protected_app(csrf_first)
    assert ask(app, "private-x").status_code == 200
    assert ask(app, "", path="/broadcasting/user-auth").status_code == 200
    assert app.test_client().post("/orders").status_code == 400


def test_the_page_gets_a_token_that_flask_wtf_takes() -> None:
    app = protected_app(True)
    client = app.test_client()
    page = client.get("/").text
    token = page.partition('"csrfToken": "')[2].partition('"')[0]
    assert client.post("/orders", headers={"X-CSRFToken": token}).text == "taken"
    # Echo's name of the header, for those who send their own requests with it.
    assert client.post("/orders", headers={"X-CSRF-TOKEN": token}).text == "taken"


def test_without_flask_wtf_there_is_no_token() -> None:
    app = new_app()
    new_soundpost(app)
    with app.test_request_context():
        assert "csrfToken" not in render_template_string("{{ soundpost() }}")
