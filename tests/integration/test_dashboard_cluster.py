"""The dashboards of two hosts over Redis, one with workers: each shows both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from msgspec.structs import replace

from soundpost.config.settings import DashboardSettings, ScalingSettings
from soundpost.core.app_settings import HistorySettings, WebhookSettings
from support.admin_client import AdminClient
from support.crowd import join, read_up_to
from support.dashboards import Operator, cheap_hash
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server, until
from support.redis_process import free_port, running_redis
from support.webhook_receiver import Receiver, receiver

PORTS: Final = (free_port(), free_port())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Receiver]:
    """The endpoint of the app's webhooks."""
    with receiver() as made:
        yield made


@pytest.fixture(scope="module")
def hosts(endpoint: Receiver) -> Iterator[list[RunningServer]]:
    """Two hosts with dashboards."""
    app = replace(
        DEFAULT_APP,
        webhooks=(WebhookSettings(url=endpoint.url(), events=("member_added",)),),
        history=(HistorySettings(channels=("kept-*",)),),
    )
    with running_redis() as redis, ExitStack() as stack:
        servers = [
            stack.enter_context(
                running_server(
                    apps=[app],
                    workers=workers,
                    scaling=ScalingSettings(redis=redis.url),
                    dashboard=DashboardSettings(port=port, password_hash=cheap_hash()),
                )
            )
            for port, workers in zip(PORTS, (1, 2), strict=True)
        ]
        for server in servers:
            server.wait_for_log("connected, as node")
            until(lambda server=server: server.publish("ready", "e").body == b"{}", "events flow")  # type: ignore[misc]
        yield servers


async def operator(host: int) -> Operator:
    found = Operator(await AdminClient.open(PORTS[host]))
    assert (await found.log_in()).status == 204
    return found


async def read(host: int, target: str) -> Any:
    answer = await (await operator(host)).get(f"/api/{target}")
    assert answer.status == 200, answer.body
    return answer.json()


async def send(host: int, method: str, target: str, body: Any = None) -> Any:
    answer = await (await operator(host)).send(method, f"/api/{target}", json.dumps(body or {}).encode())
    return answer.json() if answer.body else answer.status


@pytest.mark.parametrize("host", [0, 1])
async def test_members_of_a_channel_on_both_hosts(hosts: list[RunningServer], host: int) -> None:
    channel = f"presence-{host}"
    clients = [RawSocket.open(server.port) for server in hosts]
    for client, user in zip(clients, ("ann", "ben"), strict=True):
        join(client, DEFAULT_APP, channel, user)
    found = await read(host, f"apps/1/channels/{channel}")
    assert (found["subscribers"], sorted(found["members"]), found["missing"]) == (2, ["ann", "ben"], [])
    page = await read(host, f"apps/1/channels?search={channel}")
    assert [(line["name"], line["subscribers"], line["members"]) for line in page["channels"]] == [(channel, 2, 2)]
    page = await read(host, f"apps/1/connections?channel={channel}")
    assert [line["socket_id"] for line in page["connections"]] == sorted(client.socket_id for client in clients)
    assert sorted(line["user_id"] for line in page["connections"]) == ["ann", "ben"]


@pytest.mark.parametrize("host", [0, 1])
async def test_an_event_reaches_both_hosts(hosts: list[RunningServer], host: int) -> None:
    clients = [RawSocket.open(server.port) for server in hosts]
    for client in clients:
        client.subscribe("both")
    answer = await send(host, "POST", "apps/1/events", {"channels": ["both"], "name": "e", "data": host})
    assert answer == {"receivers": {"both": 2}}
    assert [client.read_event()["data"] for client in clients] == [str(host)] * 2


@pytest.mark.parametrize("host", [0, 1])
async def test_clients_of_the_other_host_are_disconnected(hosts: list[RunningServer], host: int) -> None:
    there = hosts[1 - host].port
    one, user = RawSocket.open(there), RawSocket.open(there)
    assert await send(host, "DELETE", f"apps/1/connections/{one.socket_id}") == 204
    assert one.read_event()["data"]["code"] == 4009
    join(user, DEFAULT_APP, f"presence-away-{host}", f"user-{host}")
    assert await send(host, "POST", f"apps/1/users/terminate?user=user-{host}") == 204
    assert read_up_to(user, "pusher:error")[-1]["data"]["code"] == 4009


@pytest.mark.parametrize("host", [0, 1])
async def test_a_refusal_of_the_other_host_is_told(hosts: list[RunningServer], host: int) -> None:
    client = RawSocket(hosts[1 - host].port)
    client.handshake(f"/app/key-{host}?protocol=7")
    client.read_event()
    refusals = (await read(host, "refusals"))["refusals"]
    assert refusals[0]["code"] == 4001
    assert str(hosts[1 - host].port) in refusals[0]["worker"]


@pytest.mark.parametrize("host", [0, 1])
async def test_a_tail_has_the_lines_of_both_hosts(hosts: list[RunningServer], host: int) -> None:
    channel = f"tail-{host}"
    stream = await operator(host)
    await stream.open_stream(f"/api/tail?app=1&channel={channel}")
    await stream.client.read_part()
    subscribed: set[str] = set()
    while len(subscribed) < 2:
        clients = [RawSocket.open(server.port) for server in hosts]  # until the tail has begun on both
        for client in clients:
            client.subscribe(channel)
        await asyncio.sleep(0.02)
        subscribed |= {line["worker"].split()[0] for line in (await stream.client.read_event())["lines"]}
    assert {name.rpartition(":")[2] for name in subscribed} == {str(server.port) for server in hosts}


@pytest.mark.parametrize("host", [0, 1])
async def test_the_history_in_redis_is_told(hosts: list[RunningServer], host: int) -> None:
    for number in range(3):
        assert hosts[number % 2].publish(f"kept-{host}", "e").status == 200
    history = (await read(host, f"apps/1/channels/kept-{host}"))["history"]
    assert (history["events"], history["more"]) == (3, False)


async def test_deliveries_of_whichever_host_are_told_and_sent_again(
    hosts: list[RunningServer], endpoint: Receiver
) -> None:
    client = RawSocket.open(hosts[0].port)
    join(client, DEFAULT_APP, "presence-hooked", "cleo")
    endpoint.wait(lambda: any(event["channel"] == "presence-hooked" for event in endpoint.taken()), "the webhook")

    def times() -> int:
        return sum(event["channel"] == "presence-hooked" for event in endpoint.taken())

    for host in (0, 1):
        found: list[Any] = []
        while not found:
            (told,) = (await read(host, "apps/1/webhooks"))["endpoints"]
            found = told["recent"]
        assert (told["number"], told["url"], found[0]["status"]) == (0, endpoint.url(), 200)
        before = times()
        newest = {"id": found[0]["id"]}
        assert await send(host, "POST", "apps/1/webhooks/0/resend", newest) == 204
        endpoint.wait(lambda before=before: times() > before, "it is sent again")  # type: ignore[misc]
    assert "not kept" in (await send(0, "POST", "apps/1/webhooks/0/resend", {"id": "x"}))["error"]
    assert "no endpoint" in (await send(0, "POST", "apps/1/webhooks/1/resend", newest))["error"]


@pytest.mark.parametrize("host", [0, 1])
async def test_the_overview_has_both_hosts(hosts: list[RunningServer], host: int) -> None:
    ports: list[int] = []
    while len(ports) < 2:  # until the other one has stated its figures
        ports = [found["port"] for found in (await read(host, "overview"))["hosts"]]
    assert ports == [hosts[host].port, hosts[1 - host].port]
    session = await read(host, "session")
    assert (session["cluster"], session["apps"][0]["webhooks"]) == (True, 1)
