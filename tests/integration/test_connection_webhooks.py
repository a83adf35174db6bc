"""Webhooks about connections and users, from real sockets to a real endpoint: workers, and the embedded server."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import NamedTuple

import msgspec
import pytest

from soundpost.core.app_settings import WebhookSettings
from soundpost.wire.frames import CLOSE
from support.embedded import running_embedded
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server
from support.webhook_receiver import Receiver

RUN: dict[str, Callable[..., AbstractContextManager[RunningServer]]] = {
    "workers": partial(running_server, workers=2),
    "embedded": running_embedded,
}


class Told(NamedTuple):
    """A server, and the endpoint that it tells."""

    server: RunningServer
    receiver: Receiver


@pytest.fixture(scope="module", params=list(RUN))
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    with ExitStack() as stack:
        receiver = Receiver()
        stack.callback(receiver.close)
        endpoint = WebhookSettings(url=receiver.url(), events=("connection_opened", "connection_closed", "user_online"))
        app = msgspec.structs.replace(DEFAULT_APP, webhooks=(endpoint,))
        yield Told(stack.enter_context(RUN[request.param](apps=[app])), receiver)


def connect(server: RunningServer, source: str = "", **headers: str) -> RawSocket:
    client = RawSocket(server.port, source=source)
    assert client.handshake("/app/app-key?protocol=7", **headers).startswith(b"HTTP/1.1 101 ")
    client.socket_id = json.loads(client.read_event()["data"])["socket_id"]
    return client


def test_a_connection_is_told_with_address_origin_user_and_close_code(told: Told) -> None:
    client = connect(told.server, "127.0.0.2", Origin="https://shop.example")
    data = json.dumps({"id": "ann"})
    digest = hmac.new(DEFAULT_APP.secret.encode(), f"{client.socket_id}::user::{data}".encode(), "sha256").hexdigest()
    client.send_event("pusher:signin", {"auth": f"app-key:{digest}", "user_data": data})
    client.read_event()
    client.send_frame(CLOSE, (1000).to_bytes(2, "big"))
    assert client.read_close_code() == 1000

    events = wait_for_closed(told.receiver, client)

    where = {"socket_id": client.socket_id, "address": "127.0.0.2", "origin": "https://shop.example"}
    bodies = [{key: value for key, value in each.items() if key not in ("id", "time_ms")} for each in events]
    assert bodies == [
        {"name": "connection_opened", **where},
        {"name": "connection_closed", **where, "user_id": "ann", "code": 1000},
    ]
    assert {"name": "user_online", "user_id": "ann"}.items() <= told.receiver.taken()[-2].items()


def test_a_lost_connection_without_origin_is_told_without_code(told: Told) -> None:
    client = connect(told.server)
    client.socket.close()
    opened, closed = wait_for_closed(told.receiver, client)
    assert opened["origin"] is closed["origin"] is None
    assert not {"user_id", "code"} & closed.keys()


def wait_for_closed(receiver: Receiver, client: RawSocket) -> list[dict[str, object]]:
    """Return the events about a connection once it is told that it closed."""

    def events() -> list[dict[str, object]]:
        return [event for event in receiver.taken() if event.get("socket_id") == client.socket_id]

    receiver.wait(lambda: len(events()) == 2, "the connection is told")
    return events()
