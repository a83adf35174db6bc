"""Quart: auth routes, the sender's socket id, the page's configuration, all without blocking."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from quart import Quart, abort, render_template_string, request
from werkzeug.exceptions import NotFound

from frameworks.flask_apps import CREDENTIALS
from soundpost import current_socket_id
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, ChannelRoutes
from soundpost.quart import Soundpost


@pytest.fixture
def app() -> Quart:
    app = Quart("shop")
    app.config.update(CREDENTIALS)
    return app


@pytest.fixture
def sp(app: Quart) -> Soundpost:
    sp = Soundpost(app, broadcaster=Broadcaster(), channels=ChannelRoutes())

    @sp.user_loader
    async def load() -> str | None:
        await asyncio.sleep(0)
        return request.headers.get("X-User")

    @sp.channels.private("orders.{order_id:int}")
    async def order(user: str, order_id: int) -> bool:
        if order_id == 9:
            abort(404)
        return user == str(order_id)

    @sp.channels.presence("rooms.{room}")
    def member(user: str, room: str) -> dict[str, str]:
        return {"name": f"user {user}"}

    @app.post("/orders")
    async def orders() -> str:
        await sp.broadcast.apublish("orders", "Placed", to_others=True)
        return str(current_socket_id())

    return sp


async def ask(app: Quart, channel: str, user: str | None = "7", path: str = "/broadcasting/auth") -> Any:
    headers = {} if user is None else {"X-User": user}
    return await app.test_client().post(path, form={"socket_id": "1.2", "channel_name": channel}, headers=headers)


@pytest.mark.parametrize("channel", ["private-orders.7", "private-orders.9", "presence-rooms.x", "private-no", ""])
@pytest.mark.parametrize("user", ["7", None])
async def test_answers_are_the_core_s_to_the_byte(app: Quart, sp: Soundpost, channel: str, user: str | None) -> None:
    endpoint = AuthEndpoint(sp.channels, lambda: sp.broadcast.settings, denials=(NotFound,))
    form = f"socket_id=1.2&channel_name={channel}".encode()
    expected = await endpoint.achannel(AuthRequest({}, "", form, "localhost", lambda guard: user))
    answer = await ask(app, channel, user)
    assert (answer.status_code, await answer.get_data(as_text=True)) == expected
    assert answer.headers["Content-Type"] == "application/json"


async def test_sign_in(app: Quart, sp: Soundpost) -> None:
    answer = await (await ask(app, "", path="/broadcasting/user-auth")).get_json()
    assert answer["user_data"] == '{"id":"7"}'
    assert (await ask(app, "", None, path="/broadcasting/user-auth")).status_code == 403


async def test_the_sender_is_left_out(app: Quart, sp: Soundpost) -> None:
    with sp.broadcast.fake() as sent:
        answer = await app.test_client().post("/orders", headers={"X-Socket-ID": "11.22"})
        assert await answer.get_data(as_text=True) == "11.22"
        assert sent.assert_broadcast("Placed", on="orders").excluded == "11.22"
    assert current_socket_id() is None


async def test_the_page_is_told_where_to_connect(app: Quart, sp: Soundpost) -> None:
    async with app.test_request_context("/"):
        page = await render_template_string("{{ soundpost(nonce='n') }}")
    assert '"authEndpoint": "/broadcasting/auth"' in page
    assert '<script nonce="n">' in page
