"""A Flask application, a real server and an unmodified laravel-echo."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from frameworks.flask_apps import new_app
from soundpost import EncryptedPrivateChannel, Event, PrivateChannel
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.flask import Soundpost
from support.clients_js import EchoJs
from support.harness import RunningServer

MASTER_KEY = "TKUM8i5mR1QZJmcoLnXm4ZkzFEwOaCIWEX0BNYyLTcM="


class OrderShipped(Event, on=PrivateChannel("orders.{order_id}")):
    order_id: int
    carrier: str


class Secret(Event, on=EncryptedPrivateChannel("orders.{order_id}")):
    order_id: int


def shop(port: int) -> Flask:
    app = new_app(SOUNDPOST_PORT=port, SOUNDPOST_ENCRYPTION_MASTER_KEY=MASTER_KEY)
    sp = Soundpost(app, broadcaster=Broadcaster(), channels=ChannelRoutes())

    @sp.user_loader
    def by_token() -> str | None:
        return request.headers.get("Authorization", "").removeprefix("Bearer ") or None

    @sp.channels.private("orders.{order_id:int}")
    def order(user: str, order_id: int) -> bool:
        return user != "eve"

    @sp.channels.presence("room")
    def room(user: str) -> dict[str, str]:
        return {"name": user.title()}

    @app.post("/ship/<int:order_id>")
    def ship(order_id: int) -> str:
        sp.broadcast(OrderShipped(order_id, "DHL"), to_others=True)
        return "shipped"

    @app.post("/ship-async/<int:order_id>")
    async def ship_async(order_id: int) -> str:
        await asyncio.sleep(0)
        await sp.broadcast.abroadcast(OrderShipped(order_id, "async"))
        return "shipped"

    @app.post("/secret/<int:order_id>")
    def secret(order_id: int) -> str:
        sp.broadcast(Secret(order_id))
        return "told"

    return app


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The application on a free port, a thread for each request; its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Site:
    """The running application, and browsers at it."""

    def __init__(self, server: RunningServer, url: str, stack: ExitStack) -> None:
        self._server = server
        self._url = url
        self._stack = stack

    def echo(self, user: str) -> EchoJs:
        return self._stack.enter_context(EchoJs(self._server.port, self._url, user)).connected()

    def post(self, path: str, **headers: str) -> str:
        request = Request(self._url + path, b"", {name.replace("_", "-"): value for name, value in headers.items()})
        with urlopen(request) as answer:
            text: bytes = answer.read()
        return text.decode()


@pytest.fixture
def site(server: RunningServer) -> Iterator[Site]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(shop(server.port)))
        yield Site(server, url, stack)


def heard(echo: EchoJs, channel: str, event: str = "OrderShipped") -> Any:
    return echo.expect_heard(channel, event)


def test_an_event_arrives_at_all_others(site: Site) -> None:
    ann, bob = site.echo("ann"), site.echo("bob")
    for echo in (ann, bob):
        echo.listen(echo.open("private", "orders.7"), "OrderShipped")
    assert site.post("/ship/7", X_Socket_ID=ann.socket_id) == "shipped"
    assert heard(bob, "private-orders.7") == {"order_id": 7, "carrier": "DHL"}
    site.post("/ship/7")
    assert heard(ann, "private-orders.7") == {"order_id": 7, "carrier": "DHL"}
    assert not ann.has("heard")


def test_async_views_broadcast_one_after_the_other(site: Site) -> None:
    ann = site.echo("ann")
    ann.listen(ann.open("private", "orders.8"), "OrderShipped")
    for _ in range(3):
        site.post("/ship-async/8")
        assert heard(ann, "private-orders.8")["carrier"] == "async"


def test_who_may_not_is_told_so(site: Site) -> None:
    eve = site.echo("eve")
    eve.run("open", "private", "orders.7")
    assert eve.expect("error", channel="private-orders.7")["error"]["status"] == 403


def test_members_see_each_other(site: Site) -> None:
    ann = site.echo("ann")
    ann.open("join", "room")
    assert ann.expect_here("presence-room") == [{"name": "Ann"}]
    bob = site.echo("bob")
    bob.open("join", "room")
    assert ann.expect("joining")["member"] == {"name": "Bob"}


def test_encrypted_events_are_read_by_those_who_may(site: Site) -> None:
    ann = site.echo("ann")
    ann.listen(ann.open("encryptedPrivate", "orders.7"), "Secret")
    site.post("/secret/7")
    assert heard(ann, "private-encrypted-orders.7", "Secret") == {"order_id": 7}


def test_users_sign_in(site: Site) -> None:
    ann = site.echo("ann")
    ann.run("signin")
    ann.expect("signed-in")
