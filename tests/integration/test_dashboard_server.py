"""The dashboard of real servers: of one process, of workers, over a restart, behind a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from msgspec.structs import replace

from soundpost.config.settings import DashboardSettings
from soundpost.core.app_settings import HistorySettings
from support.admin_client import AdminClient, Answer
from support.crowd import join, read_up_to
from support.dashboards import Operator, cheap_hash
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server
from support.redis_process import free_port

PORT: Final = free_port()


@pytest.fixture(scope="module", params=[1, 2], ids=["process", "workers"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server with a dashboard."""
    app = replace(DEFAULT_APP, history=(HistorySettings(channels=("kept-*",)),))
    with running_server(
        apps=[app], workers=request.param, dashboard=DashboardSettings(port=PORT, password_hash=cheap_hash())
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
        ({"channels": [], "data": 1}, 422, "channels is empty: name at least one channel"),
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
    assert (await (await operator()).send("POST", "/api/apps/1/users/terminate?user=ann")).status == 204
    assert [client.read_event()["data"]["code"] for client in clients[:2]] == [4009, 4009]
    clients[2].send_event("pusher:ping", {})
    assert clients[2].read_event()["event"] == "pusher:pong"


async def read(target: str) -> Any:
    answer = await (await operator()).get(f"/api/{target}")
    assert answer.status == 200, answer.body
    return answer.json()


async def test_channels_are_found_by_name_and_kind(server: RunningServer) -> None:
    client = RawSocket.open(server.port)
    for channel in ("find-a", "find-b", "find-c", "private-find-d"):
        join(client, DEFAULT_APP, channel) if channel.startswith("private-") else client.subscribe(channel)
    page = await read("apps/1/channels?search=FIND-&limit=2")
    assert [channel["name"] for channel in page["channels"]] == ["find-a", "find-b"]
    assert (page["total"], page["next"], page["missing"]) == (4, "find-b", [])
    page = await read("apps/1/channels?search=find-&limit=2&after=find-b")
    assert [channel["name"] for channel in page["channels"]] == ["find-c", "private-find-d"]
    page = await read("apps/1/channels?search=find-&kind=private")
    assert [(channel["name"], channel["subscribers"]) for channel in page["channels"]] == [("private-find-d", 1)]


async def test_a_presence_channel_tells_its_members(server: RunningServer) -> None:
    clients = [RawSocket.open(server.port) for _ in range(3)]
    for client, user in zip(clients, ("ann", "ann", "<ben>"), strict=True):
        join(client, DEFAULT_APP, "presence-office", user)
    assert (await publish(channels=["presence-office"], data=1)).status == 200
    for client in clients:
        read_up_to(client, "e")
    channel = await read("apps/1/channels/presence-office")
    assert (channel["kind"], channel["subscribers"], channel["member_count"]) == ("presence", 3, 2)
    assert sorted(channel["members"]) == ["<ben>", "ann"]
    assert (channel["last_event"], channel["history"], channel["missing"]) == ("e", None, [])
    assert channel["last_event_at"] > 1.7e9


async def test_a_channel_nobody_is_subscribed_to(server: RunningServer) -> None:
    answer = await (await operator()).get("/api/apps/1/channels/nobody-here")
    assert (answer.status, answer.error) == (404, "Nobody is subscribed to nobody-here, and it has no kept events")
    answer = await (await operator()).get("/api/apps/1/channels/a%20b")
    assert (answer.status, "letters, digits" in answer.error) == (422, True)


async def test_the_history_of_a_channel_is_told(server: RunningServer) -> None:
    empty = await (await operator()).get("/api/apps/1/channels/kept-1")
    assert empty.status == 404
    for number in range(3):
        assert (await publish(channels=["kept-1"], data=number)).status == 200
    channel = await read("apps/1/channels/kept-1")
    history = channel["history"]
    assert (channel["subscribers"], history["events"], history["more"]) == (0, 3, False)
    assert 0 < history["first"] < history["last"]
    assert history["bytes"] > 100


async def test_connections_are_found_and_closed(server: RunningServer) -> None:
    clients = [RawSocket.open(server.port) for _ in range(3)]
    for client in clients:
        client.subscribe("closing")
    page = await read("apps/1/connections?channel=closing&limit=2")
    assert page["total"] == 3
    found = [connection["socket_id"] for connection in page["connections"]]
    page = await read(f"apps/1/connections?channel=closing&after={page['next']}")
    found += [connection["socket_id"] for connection in page["connections"]]
    assert found == sorted(client.socket_id for client in clients)
    assert page["next"] is None

    one = await read(f"apps/1/connections/{clients[0].socket_id}")
    assert (one["address"], one["client"], one["channel_names"]) == ("127.0.0.1", "harness 1.0", ["closing"])
    path = f"/api/apps/1/connections/{clients[0].socket_id}"
    assert (await (await operator()).send("DELETE", path)).status == 204
    assert clients[0].read_event()["data"]["code"] == 4009
    answer = await (await operator()).send("DELETE", "/api/apps/1/connections/1.1")
    assert (answer.status, answer.error) == (404, "There is no connection '1.1' now")
    assert (await (await operator()).get("/api/apps/1/connections/1.1")).status == 404


@pytest.mark.parametrize(
    "query", ["channels?kind=odd", "channels?limit=0", "connections?limit=x", f"channels?search={'x' * 501}"]
)
async def test_a_query_with_a_fault_is_refused(server: RunningServer, query: str) -> None:
    assert (await (await operator()).get(f"/api/apps/1/{query}")).status == 422


async def test_why_a_client_was_refused_is_told(server: RunningServer) -> None:
    client = RawSocket(server.port)
    client.handshake("/app/wrong-key?protocol=7")
    client.read_event()
    refusals = (await read("refusals"))["refusals"]
    assert any("wrong-key" in refusal["reason"] or "does not exist" in refusal["reason"] for refusal in refusals)
    assert refusals[0]["address"] == "127.0.0.1"


async def test_a_tail_tells_what_happens_to_a_channel(server: RunningServer) -> None:
    stream = await operator()
    await stream.open_stream("/api/tail?app=1&channel=tail-1")
    assert (await stream.client.read_part()).startswith(b":")
    client = RawSocket.open(server.port)
    client.subscribe("tail-1")
    assert (await publish(channels=["tail-1"], data={"x": 1})).status == 200
    assert (await publish(channels=["tail-2"], data={"x": 2})).status == 200
    lines: list[dict[str, Any]] = []
    while not any(line["event"] == "e" and line["channel"] == "tail-1" for line in lines):
        page = await stream.client.read_event()
        lines += page["lines"]
        assert page["left_out"] == 0
    assert {line["channel"] for line in lines} == {"tail-1"}


async def test_a_tail_of_an_app_that_there_is_not(server: RunningServer) -> None:
    assert (await (await operator()).get("/api/tail?app=2")).status == 404


async def test_a_logout_ends_the_streams_of_a_session(server: RunningServer) -> None:
    stream = await operator()
    other = Operator(await AdminClient.open(PORT))
    other.cookie, other.csrf = stream.cookie, stream.csrf
    await stream.open_stream("/api/live")
    live = await stream.client.read_event()
    assert [host["port"] for host in live["hosts"]] == [server.port]
    assert (await other.send("POST", "/api/logout")).status == 204
    while await stream.client.read_part():
        pass


async def test_the_overview_counts_what_happens(server: RunningServer) -> None:
    before = await read("overview")
    client = RawSocket.open(server.port)
    client.subscribe("counted")
    assert (await publish(channels=["counted"], data=1)).status == 200
    assert client.read_event()["event"] == "e"
    after = await read("overview")
    assert after["timeline"]["step"] == 5
    now, then = after["hosts"][0]["apps"]["1"], before["hosts"][0]["apps"]["1"]
    assert now["opened"] - then["opened"] == 1
    assert now["events"] - then["events"] == 1
    assert now["deliveries"] - then["deliveries"] == 1


async def test_the_page_is_served(server: RunningServer) -> None:
    client = await AdminClient.open(PORT)
    page = await client.request("GET", "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<title>Soundpost dashboard</title>" in page.body
    script = await client.request("GET", "/dashboard.js")
    assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
