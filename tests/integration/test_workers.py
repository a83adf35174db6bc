"""Several worker processes behind one port act as one server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import parse_close
from support.crowd import Crowd, crowd, join, names, read_up_to, sign_in
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server, until, upgrade_request

QUIET = msgspec.structs.replace(DEFAULT_APP, activity_timeout=600)
"""An app whose server asks nobody for a sign of life during a test."""
COUNTING = AppSettings(id="2", key="counting-key", secret="counting-secret", subscription_count=True)
LIMITED = AppSettings(id="3", key="limited-key", secret="limited-secret", max_connections=5)
WORKERS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[QUIET, COUNTING, LIMITED], workers=WORKERS) as running:
        assert len(running.workers()) == WORKERS
        yield running
        assert [line for line in running.log().splitlines() if "over connection quota" not in line] == []


@pytest.fixture
def everywhere(server: RunningServer) -> Iterator[Crowd]:
    """Two clients on each worker."""
    with crowd(server) as spread:
        yield spread


def expect(server: RunningServer, path: str, answer: object, app_id: str = "1", **query: str) -> None:
    """Wait until every worker answers an API request with this; the kernel gives each request to any of them."""

    def all_answer() -> bool:
        answers = [server.request("GET", path, b"", app_id=app_id, **query) for _ in range(8)]
        return all((found.status, json.loads(found.body)) == (200, answer) for found in answers)

    until(all_answer, f"{path} is {answer}")


# Events


def test_events_of_several_publishers_reach_every_client_once_in_one_order(
    server: RunningServer, everywhere: Crowd
) -> None:
    """Each publisher waits for its answers, but takes a new connection for every event: any worker may get it."""
    for client in everywhere.clients:
        client.subscribe("orders")

    def publish(publisher: int) -> None:
        for number in range(25):
            assert server.publish("orders", f"{publisher} {number}").status == 200

    publishers = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in publishers:
        thread.start()
    for thread in publishers:
        thread.join()
    server.publish("orders", "end")

    orders = [names(read_up_to(client, "end"))[:-1] for client in everywhere.clients]
    for publisher in range(4):
        own = [name for name in orders[0] if name.startswith(f"{publisher} ")]
        assert own == [f"{publisher} {number}" for number in range(25)]
    assert len(orders[0]) == 100
    assert all(order == orders[0] for order in orders)


def test_a_batch_and_its_answer_know_of_all_workers(server: RunningServer, everywhere: Crowd) -> None:
    for client in everywhere.clients:
        client.subscribe("batch")
    batch = [{"name": name, "channel": "batch", "data": "{}", "info": "subscription_count"} for name in "abc"]

    answer = server.request("POST", "/batch_events", json.dumps({"batch": batch}).encode())

    assert json.loads(answer.body) == {"batch": [{"subscription_count": 6}] * 3}
    for client in everywhere.clients:
        assert names(read_up_to(client, "c")) == ["a", "b", "c"]


def test_a_socket_is_left_out_whichever_worker_is_asked(server: RunningServer, everywhere: Crowd) -> None:
    for client in everywhere.clients:
        client.subscribe("but-one")
    left_out = everywhere.clients[0]
    body = {"name": "e", "channel": "but-one", "data": "{}", "socket_id": left_out.socket_id}

    for _ in range(10):
        assert server.request("POST", "/events", json.dumps(body).encode()).status == 200
    server.publish("but-one", "end")

    for client in everywhere.clients:
        assert len(read_up_to(client, "end")) == (1 if client is left_out else 11)


def test_client_events_reach_the_clients_of_other_workers(server: RunningServer, everywhere: Crowd) -> None:
    sender, *others = everywhere.clients
    for client in everywhere.clients:
        join(client, DEFAULT_APP, "presence-typing", "ann")

    sender.send_event("client-typing", {"on": True}, channel="presence-typing")

    for other in others:
        assert other.read_event() == {
            "event": "client-typing",
            "channel": "presence-typing",
            "data": {"on": True},
            "user_id": "ann",
        }
    server.publish("presence-typing", "end")
    assert sender.read_event()["event"] == "end"


def test_the_last_event_of_a_cache_channel_is_given_on_every_worker(server: RunningServer, everywhere: Crowd) -> None:
    join(everywhere.clients[0], DEFAULT_APP, "cache-empty")
    assert everywhere.clients[0].read_event()["event"] == "pusher:cache_miss"
    for name in ("first", "last"):
        server.publish("cache-full", name, '{"n":1}')

    for client in everywhere.clients:
        join(client, DEFAULT_APP, "cache-full")
        assert client.read_event() == {"event": "last", "channel": "cache-full", "data": '{"n":1}'}


# Presence and counts


def test_members_of_all_workers_see_each_other_once(server: RunningServer, everywhere: Crowd) -> None:
    first, *others = everywhere.clients
    users = ["ann", "bob", "bob", "carl", "carl", "dora"]
    answers = [
        join(client, DEFAULT_APP, "presence-room", user) for client, user in zip(everywhere.clients, users, strict=True)
    ]

    assert json.loads(answers[-1]["data"])["presence"]["ids"] == ["ann", "bob", "carl", "dora"]
    added = read_up_to(first, "pusher_internal:member_added")
    added += [first.read_event() for _ in range(2)]
    assert [json.loads(event["data"])["user_id"] for event in added] == ["bob", "carl", "dora"]
    present = {"users": [{"id": user} for user in ("ann", "bob", "carl", "dora")]}
    expect(server, "/channels/presence-room/users", present)

    for client in others[:3]:  # both of bob, and one tab of carl
        client.send_event("pusher:unsubscribe", {"channel": "presence-room"})
    removed = first.read_event()
    assert (removed["event"], json.loads(removed["data"])) == ("pusher_internal:member_removed", {"user_id": "bob"})
    expect(
        server,
        "/channels",
        {"channels": {"presence-room": {"user_count": 3, "subscription_count": 3}}},
        filter_by_prefix="presence-room",
        info="user_count,subscription_count",
    )
    server.publish("presence-room", "end")
    assert first.read_event()["event"] == "end"


def test_every_worker_counts_the_subscribers_of_all(server: RunningServer) -> None:
    with crowd(server, app_id="2") as everywhere:
        first, *others = everywhere.clients
        first.subscribe("room")
        for client in others:
            join(client, COUNTING, "room")
        told = [json.loads(first.read_event()["data"])["subscription_count"] for _ in everywhere.clients]

        assert told == [1, 2, 3, 4, 5, 6]
        occupied = {"occupied": True, "subscription_count": 6}
        expect(server, "/channels/room", occupied, app_id="2", info="subscription_count")
        expect(server, "/connections", {"connections": 6}, app_id="2")
    expect(server, "/connections", {"connections": 0}, app_id="2")
    expect(server, "/channels", {"channels": {}}, app_id="2")


# Users


def test_a_user_is_reached_and_cut_off_on_every_worker(server: RunningServer, everywhere: Crowd) -> None:
    ann, bob = everywhere.clients[:3], everywhere.clients[3:]
    for clients, user in ((ann, "ann"), (bob, "bob")):
        for client in clients:
            sign_in(client, DEFAULT_APP, user)
            client.subscribe(f"#server-to-user-{user}")

    server.publish("#server-to-user-ann", "hello")
    for client in ann:
        assert client.read_event()["event"] == "hello"
    assert server.request("POST", "/users/ann/terminate_connections").status == 200
    for client in ann:
        assert client.read_event()["data"]["code"] == 4009
        assert parse_close(client.read_frame()[1])[0] == 4009
    server.publish("#server-to-user-bob", "end")
    for client in bob:
        assert client.read_event()["event"] == "end"


# Limits


def outcomes(stack: ExitStack, server: RunningServer, app: AppSettings, count: int) -> list[str | int]:
    """Open connections together; return "admitted", or the code of the error, for each."""
    clients = [stack.enter_context(RawSocket(server.port)) for _ in range(count)]
    for client in clients:
        client.send(upgrade_request(f"/app/{app.key}?protocol=7"))
    found: list[str | int] = []
    for client in clients:
        client.read_head()
        event = client.read_event()
        if event["event"] == "pusher:connection_established":
            found.append("admitted")
        else:
            found.append(event["data"]["code"])
            assert parse_close(client.read_frame()[1])[0] == event["data"]["code"]
    return found


def test_max_connections_of_an_app_is_exact_and_freed(server: RunningServer) -> None:
    for _ in range(3):
        with ExitStack() as stack:
            found = outcomes(stack, server, LIMITED, 20)
            assert (found.count("admitted"), found.count(4004)) == (5, 15)
        expect(server, "/connections", {"connections": 0}, app_id="3")


def test_max_connections_of_the_server_is_exact_and_freed() -> None:
    with running_server(workers=WORKERS, max_connections=40) as server:
        for _ in range(2):
            with ExitStack() as stack:
                found = outcomes(stack, server, DEFAULT_APP, 45)
                assert (found.count("admitted"), found.count(4100)) == (38, 7)  # a twentieth is left to publishers
            expect(server, "/connections", {"connections": 0})
