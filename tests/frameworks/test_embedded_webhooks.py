"""Webhooks of an embedded server: it calls the application's handlers without HTTP."""

# No "from __future__ import annotations": FastAPI is to see dependencies that are local names here.

import json
import queue
import threading
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.applications import Starlette

from frameworks import django_database  # noqa: F401 - sets Django up
from frameworks.django_process import django_state
from soundpost.asgi import App
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.fastapi import Soundpost
from soundpost.webhooks import ClientEvent, Webhooks
from soundpost.wire.signatures import channel_text, sign
from support.raw_socket import TIMEOUT

APP = {"id": "1", "key": "app-key", "secret": "app-secret"}
SOCKET = "/app/app-key?protocol=7"


@pytest.fixture
def heard() -> queue.Queue[Any]:
    """What handlers have put, in any thread."""
    return queue.Queue()


@pytest.fixture
def webhooks() -> Webhooks:
    return Webhooks()


def join(socket: Any, channel: str, user_id: str = "") -> str:
    """Subscribe; give the socket id."""
    socket_id: str = json.loads(socket.receive_json()["data"])["socket_id"]
    data = json.dumps({"user_id": user_id, "user_info": {"name": "Ann"}}) if user_id else None
    auth = f"app-key:{sign('app-secret', channel_text(socket_id, channel, data))}"
    member = {} if data is None else {"channel_data": data}
    socket.send_json({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth, **member}})
    assert socket.receive_json()["event"] == "pusher_internal:subscription_succeeded"
    return socket_id


class TestEmbedded:
    def test_from_the_browser_to_the_handler(self, webhooks: Webhooks, heard: queue.Queue[Any]) -> None:
        @webhooks.on("client_event", "private-post.{post:int}", event="client-like")
        def liked(post: int, data: dict[str, int], event: ClientEvent) -> None:
            heard.put((post, data, event.socket_id, threading.current_thread() is threading.main_thread()))

        server = App(Starlette(), apps=[APP], webhooks=webhooks)
        with TestClient(server) as client, client.websocket_connect(SOCKET) as socket:
            socket_id = join(socket, "private-post.3")
            socket.send_json({"event": "client-like", "channel": "private-post.3", "data": {"stars": 3}})
            assert heard.get(timeout=TIMEOUT) == (3, {"stars": 3}, socket_id, False)

    def test_a_member_who_comes_back_has_not_left_and_the_end_is_told_at_the_stop(
        self, webhooks: Webhooks, heard: queue.Queue[Any]
    ) -> None:
        @webhooks.on("member_added", "presence-room.{room:int}")
        @webhooks.on("member_removed", "presence-room.{room:int}")
        async def moved(event: Any, room: int, user_info: Any) -> None:
            heard.put((event.name, room, event.user_id, user_info))

        with TestClient(App(Starlette(), apps=[APP], webhooks=webhooks)) as client:
            for _ in range(2):
                with client.websocket_connect(SOCKET) as socket:
                    join(socket, "presence-room.7", "5")
            assert heard.get(timeout=TIMEOUT) == ("member_added", 7, "5", {"name": "Ann"})
        assert heard.get(timeout=TIMEOUT)[:3] == ("member_removed", 7, "5")
        assert heard.empty()

    def test_without_handlers_nothing_is_reported(self, webhooks: Webhooks) -> None:
        server = App(Starlette(), apps=[APP], webhooks=webhooks)
        with TestClient(server) as client, client.websocket_connect(SOCKET) as socket:
            join(socket, "private-post.3")
            assert server.state is not None
            assert [app.reports for app in server.state.node.by_id.values()] == [frozenset()]
            assert server.state.webhooks.figures() == []

    def test_a_handler_that_fails_is_called_again(self, webhooks: Webhooks, heard: queue.Queue[Any]) -> None:
        calls: list[str] = []

        @webhooks.on("channel_occupied")
        def works(channel: str) -> None:
            heard.put(f"works {channel}")

        @webhooks.on("channel_occupied")
        def fails(channel: str) -> None:
            calls.append(channel)
            if len(calls) == 1:
                raise ValueError("no database")
            heard.put(f"fails {channel}")

        server = App(Starlette(), apps=[APP], webhooks=webhooks)
        with TestClient(server) as client, client.websocket_connect(SOCKET) as socket:
            join(socket, "private-post.3")
            assert heard.get(timeout=TIMEOUT) == "works private-post.3"
            assert heard.get(timeout=TIMEOUT) == "fails private-post.3"
        assert heard.empty()


class Store:
    """What a dependency gives."""


def store_of(request: Request) -> Store:
    assert isinstance(request.app, FastAPI)
    return Store()


def test_handlers_of_fastapi_have_their_dependencies(webhooks: Webhooks, heard: queue.Queue[Any]) -> None:
    broadcaster = Broadcaster(
        settings_from({"driver": "embedded", "app_id": "1", "key": "app-key", "secret": "app-secret"})
    )
    sp = Soundpost(broadcaster=broadcaster, webhooks=webhooks)
    app = FastAPI(lifespan=sp.lifespan)
    app.add_middleware(sp.server)

    @sp.webhooks.on("channel_occupied", "private-post.{post:int}")
    def occupied(post: int, store: Annotated[Store, Depends(store_of)]) -> None:
        heard.put((post, store))

    mine = Store()
    app.dependency_overrides[store_of] = lambda: mine
    with TestClient(app) as client, client.websocket_connect(SOCKET) as socket:
        join(socket, "private-post.3")
        assert heard.get(timeout=TIMEOUT) == (3, mine)


def test_receivers_of_django_are_called(heard: queue.Queue[Any]) -> None:
    from soundpost.django.signals import webhook_received

    def receive(sender: Any, **_: Any) -> None:
        heard.put(sender.__name__)

    with django_state():
        webhook_received.connect(receive)
        try:
            with TestClient(App(Starlette(), apps=[APP])) as client, client.websocket_connect(SOCKET) as socket:
                join(socket, "private-post.3")
                assert [heard.get(timeout=TIMEOUT), heard.get(timeout=TIMEOUT)] == [
                    "ConnectionOpened",
                    "ChannelOccupied",
                ]
        finally:
            webhook_received.disconnect(receive)
