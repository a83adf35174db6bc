"""Broadcasting for plain Starlette: the core's calling convention."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from frameworks.fastapi_apps import SETTINGS, SOCKET_ID, ask
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes, Context
from soundpost.broadcasting.authorization import channels as default_channels
from soundpost.broadcasting.settings import settings_from
from soundpost.starlette import SocketIdMiddleware, Soundpost


@pytest.fixture
def sp() -> Soundpost:
    broadcaster = Broadcaster(settings_from({**SETTINGS, "driver": "memory"}))
    return Soundpost(broadcaster=broadcaster, channels=ChannelRoutes())


async def find_user(request: Request) -> str | None:
    name = request.headers.get("authorization", "").removeprefix("Bearer ")
    if name == "expired":
        raise HTTPException(401)
    return name or None


def find_user_blocking(request: Request) -> str | None:
    return request.headers.get("authorization", "").removeprefix("Bearer ") or None


def test_a_middleware_gets_the_options_of_pages(sp: Soundpost) -> None:
    class Options(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return JSONResponse(sp.echo_options(request)["authEndpoint"])

    app = Starlette(routes=sp.routes(user=find_user, url_prefix="/live"), middleware=[Middleware(Options)])
    assert TestClient(app).get("/").json() == "/live/auth"


@pytest.mark.parametrize("find", [find_user, find_user_blocking])
def test_auth_routes(sp: Soundpost, find: Any) -> None:
    client = TestClient(Starlette(routes=[Mount("/api", routes=sp.routes(user=find))], lifespan=sp.lifespan))

    @sp.channels.presence("rooms.{room}")
    async def room(user: str, room: str, ctx: Context) -> dict[str, str]:
        return {"name": user, "room": room, "path": ctx.request.url.path}

    @sp.channels.private("orders.{order_id:int}")
    def order(user: str, order_id: int) -> bool:
        return order_id == 7

    def auth(channel: str, user: str = "ann") -> Any:
        form = {"socket_id": SOCKET_ID, "channel_name": channel}
        return client.post("/api/broadcasting/auth", data=form, headers={"Authorization": f"Bearer {user}"})

    assert json.loads(auth("presence-rooms.blue").json()["channel_data"]) == {
        "user_id": "ann",
        "user_info": {"name": "ann", "room": "blue", "path": "/api/broadcasting/auth"},
    }
    assert (auth("private-orders.7").status_code, auth("private-orders.8").status_code) == (200, 403)
    assert auth("private-orders.7", "").json() == {"message": "nobody is logged in"}
    sign_in = client.post(
        "/api/broadcasting/user-auth", data={"socket_id": SOCKET_ID}, headers={"Authorization": "Bearer ann"}
    )
    assert json.loads(sign_in.json()["user_data"]) == {"id": "ann"}
    assert client.get("/api/broadcasting/config").json()["authEndpoint"] == "/api/broadcasting/auth"


def test_auth_routes_are_below_another_prefix(sp: Soundpost) -> None:
    client = TestClient(Starlette(routes=sp.routes(user=find_user, url_prefix="/live")))
    headers = {"Authorization": "Bearer ann"}
    assert client.post("/live/user-auth", data={"socket_id": SOCKET_ID}, headers=headers).status_code == 200
    assert client.get("/live/config").json()["authEndpoint"] == "/live/auth"
    assert client.get("/broadcasting/config").status_code == 404


@pytest.mark.parametrize("prefix", ["/live/", "/", ""])
@pytest.mark.parametrize("name", [None, "realtime"])
def test_the_page_asks_below_a_mount_and_any_prefix(sp: Soundpost, prefix: str, name: str | None) -> None:
    mount = Mount("/api", routes=sp.routes(user=find_user, url_prefix=prefix), name=name)
    client = TestClient(Starlette(routes=[Mount("/x", routes=[], name="x"), Mount("/v1", routes=[mount], name=name)]))
    path = f"/v1/api{prefix.rstrip('/')}"
    options = client.get(f"{path}/config").json()
    assert options["authEndpoint"] == f"{path}/auth"
    assert options["userAuthentication"]["endpoint"] == f"{path}/user-auth"


def test_an_expired_login_is_nobody(sp: Soundpost) -> None:
    sp.channels.private("orders")(lambda user: True)
    client = TestClient(Starlette(routes=sp.routes(user=find_user)))
    assert ask(client, "private-orders", "ann").status_code == 200
    answer = ask(client, "private-orders", "expired")
    assert (answer.status_code, answer.json()) == (403, {"message": "nobody is logged in"})


def test_to_others_with_and_without_the_middleware(sp: Soundpost) -> None:
    async def ship(request: Request) -> Response:
        bc = sp.broadcaster(request)
        await bc.publish("orders", "one", to_others=True)
        await sp.broadcast.apublish("orders", "two", to_others=True)
        return JSONResponse({})

    middleware = [Middleware(SocketIdMiddleware)]
    for known in ([], middleware):
        app = Starlette(routes=[Route("/ship", ship, methods=["POST"])], middleware=known, lifespan=sp.lifespan)
        with TestClient(app) as client:
            client.post("/ship", headers={"X-Socket-ID": "1.2"})
    driver: Any = sp.broadcast.drivers.of("")
    assert [(each.name, each.excluded) for each in driver.sent] == [
        ("one", "1.2"),
        ("two", None),
        ("one", "1.2"),
        ("two", "1.2"),
    ]


def test_channel_routes_are_the_process_s_own_unless_others_are_given() -> None:
    assert Soundpost(broadcaster=Broadcaster()).channels is default_channels


def test_a_form_that_the_application_has_read_before(sp: Soundpost) -> None:
    sp.channels.private("orders")(lambda user: True)

    def reading_first(endpoint: Any) -> Any:
        async def read(request: Request) -> Any:
            async for _ in request.stream():
                pass
            fields: Any = [
                ("socket_id", SOCKET_ID),
                ("channel_name", "private-orders"),
                ("file", UploadFile(BytesIO())),
            ]
            request._form = FormData(fields)  # as request.form() does, which needs python-multipart
            return await endpoint(request)

        return read

    routes = [Route(each.path, reading_first(each.endpoint), methods=["POST"]) for each in sp.routes(user=find_user)]
    assert ask(TestClient(Starlette(routes=routes)), "private-orders").status_code == 200
