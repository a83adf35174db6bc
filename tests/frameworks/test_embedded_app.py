"""The embedded server in an application, without a network: how it is configured, added, begun and ended."""

# No "from __future__ import annotations": FastAPI is to see dependencies that are local names here.

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from frameworks.fastapi_apps import SETTINGS, ask, current_user, make_soundpost
from soundpost.asgi import App
from soundpost.broadcasting.browser import echo_options
from soundpost.broadcasting.settings import settings_from
from soundpost.errors import BroadcastError, ConfigurationError
from soundpost.fastapi import RequestBroadcaster, Soundpost

APP = {"id": "1", "key": "app-key", "secret": "app-secret"}
SOCKET = "/app/app-key?protocol=7"


@pytest.fixture
def sp() -> Soundpost:
    return make_soundpost(driver="embedded")


@pytest.fixture
def app(sp: Soundpost) -> FastAPI:
    app = FastAPI(lifespan=sp.lifespan)
    app.include_router(sp.router(user=current_user))
    sp.channels.private("orders.{order_id:int}")(lambda order_id: order_id == 7)

    async def ship(order_id: int, bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> None:
        await bc.publish(f"private-orders.{order_id}", "Shipped", {"id": order_id})

    def ship_blocking(order_id: int) -> None:
        sp.broadcast.publish(f"private-orders.{order_id}", "Shipped", {"id": order_id})

    app.post("/orders/{order_id}/ship")(ship)
    app.post("/orders/{order_id}/ship-blocking")(ship_blocking)
    return app


@pytest.fixture(params=["middleware", "mounted", "around"])
def client(request: pytest.FixtureRequest, app: FastAPI, sp: Soundpost) -> Iterator[TestClient]:
    served: Any = app
    if request.param == "middleware":
        app.add_middleware(sp.server)
    elif request.param == "mounted":
        app.mount("/", sp.server())
    else:
        served = sp.server(app)
    with TestClient(served) as running:
        yield running


def hello(socket: Any) -> str:
    """Read the hello; give the socket id in it."""
    event = socket.receive_json()
    assert event["event"] == "pusher:connection_established"
    return str(json.loads(event["data"])["socket_id"])


@pytest.mark.parametrize("path", ["ship", "ship-blocking"])
def test_from_the_handler_to_the_subscriber(client: TestClient, path: str) -> None:
    with client.websocket_connect(SOCKET) as socket:
        form = {"socket_id": hello(socket), "channel_name": "private-orders.7"}
        auth = client.post("/broadcasting/auth", data=form, headers={"Authorization": "Bearer ann"}).json()
        socket.send_json({"event": "pusher:subscribe", "data": {"channel": "private-orders.7", **auth}})
        assert socket.receive_json()["event"] == "pusher_internal:subscription_succeeded"
        assert client.post(f"/orders/7/{path}").status_code == 200
        assert socket.receive_json() == {"event": "Shipped", "data": '{"id":7}', "channel": "private-orders.7"}


def test_a_handler_reads_positions_and_kept_events(sp: Soundpost) -> None:
    app = FastAPI(lifespan=sp.lifespan)

    async def orders(bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> dict[str, Any]:
        positions = await bc.positions(["private-orders.7", "news"])
        await bc.publish("private-orders.7", "Seen", ephemeral=True)
        await bc.publish("private-orders.7", "Shipped", {"id": 7})
        kept = await bc.history("private-orders.7", after=positions["private-orders.7"])
        names, end = [event.name for event in kept.events], await bc.position("private-orders.7")
        return {"channels": list(positions), "names": names, "is_end": kept.position == end}

    app.get("/orders")(orders)
    app.add_middleware(sp.server, history=[{"channels": ["private-*"], "age": "1h"}])
    with TestClient(app) as client:
        assert client.get("/orders").json() == {"channels": ["private-orders.7"], "names": ["Shipped"], "is_end": True}


def test_pages_connect_where_they_came_from(client: TestClient) -> None:
    for host, ports in (("shop.example", (80, 443)), ("127.0.0.1:8000", (8000, 8000)), ("[::1]:8000", (8000, 8000))):
        options = client.get("/broadcasting/config", headers={"Host": host}).json()
        assert options["wsHost"] == host.removesuffix(":8000").strip("[]")
        assert (options["wsPort"], options["wssPort"], options["forceTLS"]) == (*ports, False)


@pytest.mark.parametrize("port", ["\xb2", "9" * 5_000, "-1", "x", "0"])
def test_a_port_that_is_none_is_left_out(sp: Soundpost, port: str) -> None:
    options = echo_options(sp.broadcast.settings, request_host=f"shop.example:{port}")
    assert (options["wsPort"], options["wssPort"]) == (80, 443)


def test_a_public_address_wins() -> None:
    settings = settings_from(
        {"driver": "embedded", "app_id": "1", "key": "k", "secret": "s", "public": {"host": "ws.example", "tls": True}}
    )
    options = echo_options(settings, request_host="127.0.0.1:8000")
    assert (options["wsHost"], options["wssPort"], options["forceTLS"]) == ("ws.example", 443, True)


def test_below_a_path(sp: Soundpost) -> None:
    app = Starlette(routes=[Mount("/live", App(apps=[APP]))], lifespan=sp.lifespan)
    with TestClient(app) as client, client.websocket_connect(f"/live{SOCKET}") as socket:
        hello(socket)
        assert client.get("/live/apps/1/channels").status_code == 401
        assert client.get("/live/up").json() == {"health": "OK"}


def test_the_app_alone_serves_clients_and_health(sp: Soundpost) -> None:
    with TestClient(App(apps=[APP])) as client, client.websocket_connect(SOCKET) as socket:
        hello(socket)
        assert client.get("/up").json() == {"health": "OK"}
        assert client.get("/").status_code == 404


async def test_the_end_of_the_application_sends_clients_away() -> None:
    server = App(apps=[APP])
    received: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/app/app-key", "query_string": b"protocol=7", "headers": []}
    client = asyncio.create_task(server(scope, received.get, sent.put))
    types = [(await sent.get())["type"] for _ in range(2)]
    assert types == ["websocket.accept", "websocket.send"]

    stopping = asyncio.create_task(server.stop())
    assert await sent.get() == {
        "type": "websocket.close",
        "code": 4200,
        "reason": "Server is going down: reconnect",
    }
    received.put_nowait({"type": "websocket.disconnect", "code": 4200})
    await client
    await stopping
    assert server.state is None


def test_without_lifespan_it_starts_with_the_first_client(app: FastAPI, sp: Soundpost) -> None:
    app.add_middleware(sp.server)
    client = TestClient(app)
    for _ in range(2):  # each in an event loop of its own
        with client.websocket_connect(SOCKET) as socket:
            hello(socket)
    assert client.post("/orders/7/ship").status_code == 200


def test_publishing_where_no_server_is() -> None:
    sp = make_soundpost(driver="embedded", app_id="elsewhere")
    with pytest.raises(BroadcastError, match="this process has no embedded server for app 'elsewhere'"):
        sp.broadcast.publish("orders", "Shipped")
    server = sp.server()
    with pytest.raises(BroadcastError, match="does not serve yet"):
        sp.broadcast.publish("orders", "Shipped")
    assert server.state is None


def test_options_of_the_app() -> None:
    sp = make_soundpost(driver="embedded")
    (app,) = sp.server(max_presence_members=500, allowed_origins=["shop.example"]).apps
    assert (app.id, app.key, app.secret) == ("1", "app-key", "app-secret")
    assert (app.max_presence_members, app.allowed_origins) == (500, ("shop.example",))


def test_it_is_configured_as_the_daemon_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SOUNDPOST_APP_ID", "SOUNDPOST_APP_KEY", "SOUNDPOST_APP_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="SOUNDPOST_APP_ID"):
        App()
    (tmp_path / "soundpost.toml").write_text('[[apps]]\nid = "5"\nkey = "k"\nsecret = "s"\nmax_connections = 7\n')
    (app,) = App().apps
    assert (app.id, app.max_connections) == ("5", 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: App(apps=[{**APP, "max_mebers": 3}]), "max_mebers"),
        (lambda: App(apps=[APP], server={"max_request_size": 0}), "max_request_size"),
        (lambda: App([APP]), r"App\(list\): an ASGI application is expected"),
        (lambda: App(Flask("shop"), apps=[APP]), r"App\(Flask\): this is a WSGI application"),
        (lambda: make_soundpost().server(), "no connection has the driver 'embedded'"),
        (lambda: make_soundpost(driver="embedded", secret="").server(), "has no secret"),
    ],
)
def test_wrong_settings_are_named(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_encrypted_channels_are_sealed_and_their_secret_given() -> None:
    sp = make_soundpost(driver="embedded", encryption_master_key="A" * 43 + "=")
    app = FastAPI(lifespan=sp.lifespan)
    app.include_router(sp.router(user=current_user))
    app.add_middleware(sp.server)
    sp.channels.private("diary")(lambda: True)
    with TestClient(app) as client, client.websocket_connect(SOCKET) as socket:
        hello(socket)
        assert "shared_secret" in ask(client, "private-encrypted-diary").json()


def test_the_rest_goes_to_the_application_around() -> None:
    inner = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse(request.url.path))])
    client = TestClient(App(inner, apps=[APP]))
    for path in ("/", "/application", "/apps", "/app", "/users/7/terminate_connections", "/up"):
        assert client.get(path).text == path
    assert client.get("/apps/1/channels").status_code == 401


def test_pages_connect_below_the_root_path_of_the_server(sp: Soundpost, app: FastAPI) -> None:
    """A proxy strips /shop; the server is found there from pages of mounted applications too."""
    app.add_middleware(sp.server)
    app.mount("/inner", FastAPI(routes=[Route("/config", sp.config)]))
    with TestClient(app, root_path="/shop") as client:
        for page in ("/shop/broadcasting/config", "/shop/inner/config"):
            path = client.get(page).json()["wsPath"]
            assert path == "/shop"
        with client.websocket_connect(f"{path}{SOCKET}") as socket:
            assert socket.receive_json()["event"] == "pusher:connection_established"
        sp.broadcast.configure(**{**SETTINGS, "driver": "embedded", "path": "/shop"})
        assert client.get("/shop/broadcasting/config").json()["wsPath"] == "/shop"
        sp.broadcast.configure(**{**SETTINGS, "driver": "embedded", "public": {"path": "/ws"}})
        assert client.get("/shop/broadcasting/config").json()["wsPath"] == "/ws"


def test_a_server_in_a_mounted_application_is_found_there(sp: Soundpost, app: FastAPI) -> None:
    app.add_middleware(sp.server)
    outer = FastAPI()
    outer.mount("/inner", app)
    client = TestClient(outer)
    path = client.get("/inner/broadcasting/config").json()["wsPath"]
    with client.websocket_connect(f"{path}{SOCKET}") as socket:
        assert socket.receive_json()["event"] == "pusher:connection_established"
