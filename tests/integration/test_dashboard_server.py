"""The dashboard of real servers: of one process, of workers, over a restart, behind a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from soundpost.config.settings import DashboardSettings
from support.admin_client import AdminClient, Answer
from support.crowd import join
from support.dashboards import Operator, cheap_hash
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server
from support.redis_process import free_port

PORT: Final = free_port()


@pytest.fixture(scope="module", params=[1, 2], ids=["process", "workers"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server with a dashboard."""
    with running_server(
        workers=request.param, dashboard=DashboardSettings(port=PORT, password_hash=cheap_hash())
    ) as running:
        yield running


async def operator() -> Operator:
    found = Operator(await AdminClient.open(PORT))
    assert (await found.log_in()).status == 204
    return found


async def publish(**body: Any) -> Answer:
    return await (await operator()).send("POST", "/api/apps/1/events", json.dumps({"name": "e", **body}).encode())


async def test_an_event_reaches_clients_and_is_counted(server: RunningServer) -> None:
    clients = [RawSocket.open(server.port) for _ in range(4)]
    for client in clients:
        client.subscribe("news")
    answer = await publish(channels=["news", "nobody", "news"], data={"text": "<b>"}, ephemeral=True)
    assert answer.json() == {"receivers": {"news": 4, "nobody": 0}}
    for client in clients:
        event = client.read_event()
        assert (event["event"], event["channel"], event["data"]) == ("e", "news", '{"text": "<b>"}')


async def test_one_client_can_be_left_out(server: RunningServer) -> None:
    first, other = RawSocket.open(server.port), RawSocket.open(server.port)
    first.subscribe("left-out")
    other.subscribe("left-out")
    assert (await publish(channels=["left-out"], data=1, socket_id=first.socket_id)).status == 200
    assert (await publish(channels=["left-out"], data=2)).status == 200
    assert first.read_event()["data"] == "2"
    assert other.read_event()["data"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"channels": [], "data": 1}, 422, "channels: name at least one"),
        ({"channels": ["a b"], "data": 1}, 422, "channels: "),
        ({"channels": ["news"], "name": "pusher:e", "data": 1}, 422, "name: "),
        ({"channels": ["news"], "data": "x" * 20_000}, 413, "max_event_data_size"),
        ({"channels": ["news"], "data": 1, "socket_id": "x"}, 400, "socket_id: "),
        ({"channels": ["private-encrypted-x"], "data": 1}, 422, "only applications have the key"),
        ({"channels": ["news"]}, 422, "Invalid body"),
    ],
)
async def test_an_event_with_a_fault_is_refused(
    server: RunningServer, body: dict[str, Any], status: int, said: str
) -> None:
    answer = await publish(**body)
    assert (answer.status, said in answer.error) == (status, True)


async def test_an_app_that_there_is_not(server: RunningServer) -> None:
    answer = await (await operator()).send("POST", "/api/apps/2/events", b'{"channels":["a"],"name":"e","data":1}')
    assert (answer.status, answer.error) == (404, "There is no app '2' on this server")


async def test_a_user_is_disconnected(server: RunningServer) -> None:
    clients = [RawSocket.open(server.port) for _ in range(3)]
    for number, user in enumerate(("ann", "ann", "ben")):
        join(clients[number], DEFAULT_APP, f"presence-room-{number}", user)
    assert (await (await operator()).send("POST", "/api/apps/1/users/ann/terminate")).status == 204
    assert [client.read_event()["data"]["code"] for client in clients[:2]] == [4009, 4009]
    clients[2].send_event("pusher:ping", {})
    assert clients[2].read_event()["event"] == "pusher:pong"
