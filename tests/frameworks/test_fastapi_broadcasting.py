"""Broadcasting from FastAPI's path operations, and the application's beginning and end."""

# No "from __future__ import annotations": FastAPI is to see dependencies that are local names here.

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.testclient import TestClient

import soundpost
from frameworks.fastapi_apps import SETTINGS, current_user, make_soundpost
from soundpost import Event, PrivateChannel
from soundpost.broadcasting import Broadcaster, broadcast
from soundpost.broadcasting.drivers.offline import MemoryDriver
from soundpost.broadcasting.message import Message
from soundpost.errors import BroadcastError, PayloadError
from soundpost.fastapi import RequestBroadcaster, SocketIdMiddleware, Soundpost

HEADERS = {"X-Socket-ID": "1.2"}


class OrderShipped(Event, on=PrivateChannel("orders.{order_id}")):
    order_id: int
    carrier: str = "DHL"


@pytest.fixture
def sp() -> Soundpost:
    return make_soundpost(driver="memory")


@pytest.fixture
def app(sp: Soundpost) -> FastAPI:
    return FastAPI(lifespan=sp.lifespan)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as running:
        yield running


def sent(sp: Soundpost) -> list[Message]:
    """Return the messages that the driver was given."""
    driver = sp.broadcast.drivers.of("")
    assert isinstance(driver, MemoryDriver)
    return driver.sent


def test_a_handler_awaits_its_broadcaster(sp: Soundpost, app: FastAPI, client: TestClient) -> None:
    @app.post("/orders/{id}/ship")
    async def ship(id: int, bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)], others: bool = False) -> None:
        await bc(OrderShipped(id), to_others=others)
        await bc.publish("orders", "Shipped", {"id": id}, to_others=others)
        await bc.to_user(7, "Shipped", {"id": id})

    client.post("/orders/7/ship", headers=HEADERS)
    client.post("/orders/7/ship?others=1", headers=HEADERS)
    client.post("/orders/7/ship?others=1", headers={"X-Socket-ID": "nonsense"})
    found = [(message.channels[0], message.data, message.excluded) for message in sent(sp)]
    shipped = ("private-orders.7", '{"order_id":7,"carrier":"DHL"}')
    assert found == [
        (*shipped, None),
        ("orders", '{"id":7}', None),
        ("#server-to-user-7", '{"id":7}', None),
        (*shipped, "1.2"),
        ("orders", '{"id":7}', "1.2"),
        ("#server-to-user-7", '{"id":7}', None),
        (*shipped, None),
        ("orders", '{"id":7}', None),
        ("#server-to-user-7", '{"id":7}', None),
    ]


def test_a_batch_is_sent_at_its_end(sp: Soundpost, app: FastAPI, client: TestClient) -> None:
    @app.post("/ship")
    async def ship(bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> int:
        async with bc.batch():
            await bc(OrderShipped(1))
            await bc(OrderShipped(2))
            return len(sent(sp))

    assert client.post("/ship").json() == 0
    assert len(sent(sp)) == 2


def test_with_the_middleware_broadcast_itself_knows_the_browser(sp: Soundpost, app: FastAPI) -> None:
    app.add_middleware(SocketIdMiddleware)

    @app.post("/blocking")
    def blocking() -> None:
        sp.broadcast(OrderShipped(1), to_others=True)

    @app.post("/async")
    async def not_blocking() -> None:
        await sp.broadcast.abroadcast(OrderShipped(2), to_others=True)

    with TestClient(app) as client:
        for path in ("/blocking", "/async"):
            client.post(path, headers=HEADERS)
        client.post("/async")
    assert [message.excluded for message in sent(sp)] == ["1.2", "1.2", None]


def test_after_the_response(sp: Soundpost, app: FastAPI, client: TestClient) -> None:
    @app.post("/ship")
    async def ship(bg: BackgroundTasks, bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> int:
        event = OrderShipped(7)
        bc.after_response(bg, event, to_others=True)
        event.carrier = "changed since"
        return len(sent(sp))

    assert client.post("/ship", headers=HEADERS).json() == 0
    (message,) = sent(sp)
    assert (message.data, message.excluded) == ('{"order_id":7,"carrier":"DHL"}', "1.2")


def test_what_fails_after_the_response_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    sp = make_soundpost(port=9, connect_timeout=0.2)
    app = FastAPI(lifespan=sp.lifespan)

    @app.post("/ship")
    async def ship(bg: BackgroundTasks, bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> str:
        bc.after_response(bg, OrderShipped(7))
        return "shipped"

    with TestClient(app) as client:
        assert client.post("/ship").json() == "shipped"
    assert "not sent: event OrderShipped on private-orders.7" in caplog.text


def test_what_cannot_be_sent_fails_in_the_request(sp: Soundpost, app: FastAPI, client: TestClient) -> None:
    @app.post("/ship")
    async def ship(bg: BackgroundTasks, bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> None:
        bc.after_response(bg, OrderShipped(7, object()))  # type: ignore[arg-type]

    with pytest.raises(PayloadError, match="carrier"):
        client.post("/ship")


def test_a_server_that_is_away_is_an_error_of_the_request() -> None:
    sp = make_soundpost(port=9, connect_timeout=0.2)
    app = FastAPI()

    @app.post("/ship")
    async def ship(bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> None:
        await bc(OrderShipped(7))

    with pytest.raises(BroadcastError, match=r"OrderShipped on private-orders\.7"):
        TestClient(app).post("/ship")


def test_the_fake_sees_what_handlers_broadcast(sp: Soundpost, app: FastAPI, client: TestClient) -> None:
    @app.post("/ship")
    async def ship(bg: BackgroundTasks, bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> None:
        await bc(OrderShipped(7), to_others=True)
        bc.after_response(bg, OrderShipped(8))

    with sp.broadcast.fake() as fake:
        client.post("/ship", headers=HEADERS)
        found = fake.assert_broadcast(OrderShipped, times=1, on="private-orders.7")
        fake.assert_broadcast(OrderShipped, on="private-orders.8")
    assert found.excluded == "1.2"
    assert sent(sp) == []


def test_the_lifespan_sends_what_waits_and_closes() -> None:
    sp = make_soundpost(driver="memory", deliver="background")
    app = FastAPI(lifespan=sp.lifespan)

    @app.post("/ship")
    def ship() -> None:
        for number in range(100):
            sp.broadcast(OrderShipped(number))

    with TestClient(app) as client:
        client.post("/ship")
    assert len(sent(sp)) == 100


async def test_the_lifespan_closes_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    sp = make_soundpost(driver="memory")
    closed: list[str] = []
    driver: Any = sp.broadcast.drivers.of("")
    monkeypatch.setattr(driver, "close", lambda: closed.append("threads"))

    async def aclose() -> None:
        closed.append("event loop")

    monkeypatch.setattr(driver, "aclose", aclose)
    async with sp.lifespan(FastAPI()):
        assert closed == []
    assert closed == ["threads", "event loop"]


def test_the_lifespan_goes_around_the_application_s_own(sp: Soundpost, caplog: pytest.LogCaptureFixture) -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        happened.append("begin")
        yield {"database": "open"}
        await sp.broadcast.abroadcast(OrderShipped(1))
        happened.append("end")

    app = FastAPI(lifespan=sp.lifespan_with(own))

    @app.get("/")
    def state(request: Request) -> str:
        return str(request.state.database)

    with TestClient(app) as client:
        assert client.get("/").json() == "open"
    assert happened == ["begin", "end"]
    assert len(sent(sp)) == 1


def test_missing_settings_are_named_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    sp = Soundpost.from_env({}, broadcaster=Broadcaster())
    app = FastAPI(lifespan=sp.lifespan)
    with caplog.at_level(logging.WARNING), TestClient(app):
        pass
    assert "SOUNDPOST_APP_ID" in caplog.text


def test_it_configures_the_process_s_broadcaster_unless_another_is_given() -> None:
    before = broadcast._settings
    try:
        assert Soundpost(**SETTINGS).broadcast is broadcast
        assert soundpost.broadcast.settings.connection().key == "app-key"
        environ = {"REVERB_APP_ID": "2", "REVERB_APP_KEY": "k", "REVERB_APP_SECRET": "s"}
        assert Soundpost.from_env(environ).settings.connection().app_id == "2"
        other = Broadcaster()
        Soundpost({"driver": "null"}, broadcaster=other)
        assert other.settings.connection().driver == "null"
        assert broadcast.settings.connection().app_id == "2"
    finally:
        broadcast._settings = before
        broadcast._drivers = broadcast._delivery = None


def test_options_of_the_page(app: FastAPI) -> None:
    sp = make_soundpost(public={"host": "ws.example.com", "tls": True})
    app.include_router(sp.router(user=current_user))

    @app.get("/page")
    def page(request: Request) -> str:
        return sp.echo_script(request)

    client = TestClient(app)
    options = client.get("/broadcasting/config")
    assert options.json() == {
        "broadcaster": "reverb",
        "key": "app-key",
        "wsHost": "ws.example.com",
        "wsPort": 443,
        "wssPort": 443,
        "forceTLS": True,
        "enabledTransports": ["ws", "wss"],
        "namespace": False,
        "authEndpoint": "/broadcasting/auth",
        "userAuthentication": {"endpoint": "/broadcasting/user-auth", "headers": {}},
    }
    assert options.headers["cache-control"] == "no-store"
    html = client.get("/page").json()
    assert html.startswith('<script id="soundpost-config" type="application/json">')
    assert "app-secret" not in html + options.text


def test_the_script_is_not_escaped_by_templates(sp: Soundpost) -> None:
    app = FastAPI()
    headers = [(b"host", b"shop.example:8000")]
    request = Request({"type": "http", "headers": headers, "app": app, "router": app.router, "path": "/"})
    html = sp.echo_script(request)
    assert html.__html__() == html
    assert '"wsHost": "shop.example"' in html


def test_tasks_of_a_request_know_its_browser(sp: Soundpost, app: FastAPI) -> None:
    app.add_middleware(SocketIdMiddleware)

    @app.post("/ship")
    async def ship() -> None:
        await asyncio.create_task(sp.broadcast.abroadcast(OrderShipped(1), to_others=True))

    with TestClient(app) as client:
        client.post("/ship", headers=HEADERS)
    assert [message.excluded for message in sent(sp)] == ["1.2"]
