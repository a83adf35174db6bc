"""Litestar: auth routes, the sender's socket id, the dependency, the page's options."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.config.csrf import CSRFConfig
from litestar.di import NamedDependency
from litestar.exceptions import PermissionDeniedException
from litestar.testing import TestClient

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, ChannelRoutes
from soundpost.litestar import SoundpostPlugin

CREDENTIALS = {"app_id": "1", "key": "app-key", "secret": "app-secret"}


async def by_header(request: Request[Any, Any, Any]) -> str | None:
    await asyncio.sleep(0)
    return request.headers.get("x-user")


@pytest.fixture
def plugin() -> SoundpostPlugin:
    plugin = SoundpostPlugin(CREDENTIALS, user=by_header, broadcaster=Broadcaster(), channels=ChannelRoutes())

    @plugin.channels.private("orders.{order_id:int}")
    def order(user: str, order_id: int) -> bool:
        if order_id == 9:
            raise PermissionDeniedException
        return user == str(order_id)

    @plugin.channels.presence("rooms.{room}")
    async def member(user: str, room: str) -> dict[str, str]:
        return {"name": f"Ünal {user}"}

    return plugin


@post("/orders")
async def orders(broadcaster: NamedDependency[Broadcaster]) -> str:
    await broadcaster.apublish("orders", "Placed", to_others=True)
    return "placed"


@pytest.fixture
def client(plugin: SoundpostPlugin) -> Iterator[TestClient[Litestar]]:
    @get("/options")
    async def options(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return plugin.echo_options(request)

    app = Litestar([orders, options], plugins=[plugin])
    with TestClient(app, base_url="http://testserver.local") as client:
        yield client


def ask(client: TestClient[Litestar], channel: str, user: str | None = "7", path: str = "auth") -> Any:
    headers = {} if user is None else {"X-User": user}
    form = {"socket_id": "1.2", "channel_name": channel}
    return client.post(f"/broadcasting/{path}", data=form, headers=headers)


@pytest.mark.parametrize("channel", ["private-orders.7", "private-orders.9", "presence-rooms.x", "private-no", ""])
@pytest.mark.parametrize("user", ["7", None])
def test_answers_are_the_core_s_to_the_byte(
    client: TestClient[Litestar], plugin: SoundpostPlugin, channel: str, user: str | None
) -> None:
    endpoint = AuthEndpoint(plugin.channels, lambda: plugin.broadcast.settings, denials=(PermissionDeniedException,))
    form = f"socket_id=1.2&channel_name={channel}".encode()
    expected = endpoint.channel(AuthRequest({}, "", form, "testserver.local", lambda guard: user))
    answer = ask(client, channel, user)
    assert (answer.status_code, answer.text) == expected
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_sign_in(client: TestClient[Litestar]) -> None:
    assert ask(client, "", path="user-auth").json()["user_data"] == '{"id":"7"}'
    assert ask(client, "", None, path="user-auth").status_code == 403


def test_the_sender_is_left_out(client: TestClient[Litestar], plugin: SoundpostPlugin) -> None:
    with plugin.broadcast.fake() as sent:
        assert client.post("/orders", headers={"X-Socket-ID": "11.22"}).text == "placed"
        assert sent.assert_broadcast("Placed", on="orders").excluded == "11.22"


def test_the_page_is_told_where_to_connect(client: TestClient[Litestar]) -> None:
    options = client.get("/options").json()
    assert (options["key"], options["wsHost"]) == ("app-key", "testserver.local")
    assert options["authEndpoint"] == "/broadcasting/auth"


def test_auth_routes_need_no_token_of_litestar_s_csrf_protection_others_do(plugin: SoundpostPlugin) -> None:
    app = Litestar([orders], plugins=[plugin], csrf_config=CSRFConfig(secret="s" * 32))
    with TestClient(app) as client:
        assert ask(client, "private-orders.7").status_code == 200
        assert client.post("/orders").status_code == 403


def test_auth_routes_are_below_another_prefix() -> None:
    plugin = SoundpostPlugin(CREDENTIALS, user=by_header, broadcaster=Broadcaster(), url_prefix="/live/")
    with TestClient(Litestar([], plugins=[plugin])) as client:
        answer = client.post("/live/user-auth", data={"socket_id": "1.2"}, headers={"X-User": "7"})
        assert answer.json()["user_data"] == '{"id":"7"}'
        assert client.post("/broadcasting/user-auth").status_code == 404


@pytest.mark.parametrize("prefix", ["/live", "live/", "", "/"])
def test_the_page_asks_below_the_path_of_the_application(prefix: str) -> None:
    plugin = SoundpostPlugin(CREDENTIALS, user=by_header, broadcaster=Broadcaster(), url_prefix=prefix)

    @get("/options")
    async def options(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {**plugin.echo_options(request), "script": str(plugin.echo_script(request, libraries=True))}

    path = "/api/live" if "live" in prefix else "/api"
    with TestClient(Litestar([options], plugins=[plugin], path="/api"), root_path="/shop") as client:
        found = client.get("/api/options").json()
        assert client.post(f"{path}/user-auth", data={"socket_id": "1.2"}, headers={"X-User": "7"}).status_code == 200
    assert found["authEndpoint"] == f"/shop{path}/auth"
    assert found["userAuthentication"]["endpoint"] == f"/shop{path}/user-auth"
    assert f'src="/shop{path}/pusher.min.js' in found["script"]


def test_a_form_data_that_the_application_has_read_before(plugin: SoundpostPlugin) -> None:
    async def read_form(request: Request[Any, Any, Any]) -> None:
        await request.form()

    form: Any = {"socket_id": (None, "1.2"), "channel_name": (None, "private-orders.7"), "more": ("a.txt", b"x")}
    with TestClient(Litestar([], plugins=[plugin], before_request=read_form)) as client:
        answer = client.post("/broadcasting/auth", files=form, headers={"X-User": "7"})
    assert answer.status_code == 200
