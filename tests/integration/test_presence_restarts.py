"""Members of presence channels while real servers restart, stop, or send slow clients away: nobody is told anything."""

from __future__ import annotations

import hmac
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import CLOSE
from support.crowd import join, names
from support.harness import DEFAULT_APP, RawSocket, http_request, running_server, signed_request, until
from support.operated import CALM, Operated, operated
from support.redis_process import running_redis

ROOM = "presence-room"
USERS = [f"user {number}" for number in range(8)]


def terminate(port: int, user: str) -> None:
    """Close all connections of a user by the API."""
    path = f"/users/{user.replace(' ', '%20')}/terminate_connections"
    assert http_request(port, signed_request("POST", path, b"{}")).status == 200


class Members:
    """Members who come back at once when they are sent away; ``told`` has the notices that they got."""

    def __init__(self, connect: Callable[[int], RawSocket], stack: ExitStack) -> None:
        self._connect = connect
        self._stack = stack
        self.here: dict[str, RawSocket] = {}
        self.told: list[str] = []
        self.lists: list[list[str]] = []
        self.moves = 0

    def come(self, user: str) -> None:
        """Join, on any server."""
        client = self._stack.enter_context(self._connect(self.moves))
        answer = join(client, DEFAULT_APP, ROOM, user)
        self.lists.append(sorted(json.loads(answer["data"])["presence"]["ids"]))
        self.here[user] = client

    def read(self) -> None:
        """Take what has come; who is sent away comes back."""
        for user, client in list(self.here.items()):
            while client.has_input():
                opcode, payload = client.read_frame()
                if opcode == CLOSE:
                    client.send_frame(CLOSE, payload)
                    client.socket.close()
                    self.moves += 1
                    self.come(user)
                    break
                self.told += names([json.loads(payload)])

    def gather(self) -> None:
        """Let all join, and forget what they are told of it."""
        for user in USERS:
            self.come(user)
        until(lambda: self.has_been_told(sum(range(len(USERS)))), "each is told of those who came later")
        self.forget()

    def has_been_told(self, count: int) -> bool:
        """Tell whether so many notices have come."""
        self.read()
        return len(self.told) == count

    def forget(self) -> None:
        """Forget what the members were told so far."""
        self.told.clear()
        self.lists.clear()

    def moved(self, times: int) -> bool:
        """Tell whether they have been sent away so many times, together."""
        self.read()
        return self.moves >= times


@contextmanager
def members(*servers: Operated) -> Iterator[Members]:
    """Eight members, spread over some servers."""
    with ExitStack() as stack:

        def connect(moves: int) -> RawSocket:
            return servers[moves % len(servers)].connect()

        made = Members(connect, stack)
        made.gather()
        yield made


@contextmanager
def serving(server: str = CALM, apps: tuple[AppSettings, ...] = (DEFAULT_APP,), rest: str = "") -> Iterator[Operated]:
    """A server with its configuration, started."""
    with operated() as made:
        made.configure(server, apps, rest)
        made.start()
        yield made


def test_nobody_is_told_anything_when_one_process_restarts() -> None:
    with serving() as server, members(server) as room:
        for times in range(1, 3):
            server.signal(signal.SIGHUP)
            server.process.wait_for_start()
            until(lambda times=times: room.moved(times * len(USERS)), "all are back")  # type: ignore[misc]

        assert room.told == []
        assert room.lists == [USERS] * (2 * len(USERS))


def test_who_is_signed_in_stays_online_when_one_process_restarts() -> None:
    with serving() as server, ExitStack() as stack:
        tabs = [stack.enter_context(server.connect()) for _ in range(2)]
        for tab, user in zip(tabs, ("ann", "bob"), strict=True):
            sign_in(tab, user)
        server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        watcher = stack.enter_context(server.connect())
        sign_in(watcher, "me", "ann", "bob", "carl")
        states = watcher.read_event()["data"]["events"]
        assert {event["name"]: sorted(event["user_ids"]) for event in states} == {
            "online": ["ann", "bob"],
            "offline": ["carl"],
        }


def sign_in(client: RawSocket, user: str, *watchlist: str) -> None:
    """Sign in, and read the answer."""
    data = json.dumps({"id": user, "watchlist": list(watchlist)})
    text = f"{client.socket_id}::user::{data}"
    auth = f"{DEFAULT_APP.key}:{hmac.new(DEFAULT_APP.secret.encode(), text.encode(), 'sha256').hexdigest()}"
    client.send_event("pusher:signin", {"auth": auth, "user_data": data})
    assert client.read_event()["event"] == "pusher:signin_success"


def test_a_lingering_member_that_was_handed_over_is_a_member_like_others() -> None:
    with serving() as server:
        with server.connect() as ann, server.connect() as bob:
            for user, client in (("ann", ann), ("bob", bob)):
                join(client, DEFAULT_APP, ROOM, user, {"name": user.title()})
            server.signal(signal.SIGHUP)
            server.process.wait_for_start()
        with server.connect() as back:
            presence = json.loads(join(back, DEFAULT_APP, ROOM, "ann")["data"])["presence"]
            assert presence["hash"] == {"ann": None, "bob": {"name": "Bob"}}
            assert server.get(f"/channels/{ROOM}/users").json() == {"users": [{"id": "ann"}, {"id": "bob"}]}
            count = server.get(f"/channels/{ROOM}", info="user_count,subscription_count").json()
            assert (count["user_count"], count["subscription_count"]) == (2, 1)

            terminate(server.port, "bob")
            removed = back.read_event()
            assert names([removed]) == ["member_removed"]
            assert json.loads(removed["data"]) == {"user_id": "bob"}


def test_nobody_is_told_anything_when_workers_restart() -> None:
    with serving(f"{CALM}workers = 2\n") as server, members(server) as room:
        server.signal(signal.SIGHUP)
        until(lambda: room.moved(len(USERS)), "all have moved")
        server.said("all workers are new")
        room.read()

        assert room.told == []
        assert room.lists == [USERS] * room.moves


@contextmanager
def cluster(workers: int = 1) -> Iterator[tuple[Operated, Operated]]:
    """Two hosts that have met."""
    with running_redis() as redis, ExitStack() as stack:
        rest = f'[scaling]\nredis = "{redis.url}"\n'
        one, other = (stack.enter_context(serving(f"{CALM}workers = {workers}\n", rest=rest)) for _ in range(2))
        for host in (one, other):
            until(lambda host=host: host.status()["redis"]["hosts"] == 2, "they have met")  # type: ignore[misc]
        yield one, other


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_is_told_anything_when_a_cluster_restarts(workers: int) -> None:
    with cluster(workers) as hosts, members(*hosts) as room:
        room.moves += 1  # half of the members are on each host
        for number, user in enumerate(USERS[::2], 1):
            room.here.pop(user).socket.close()
            until(lambda number=number: room.has_been_told((2 * number - 1) * 7), "it has left")  # type: ignore[misc]
            room.come(user)
            until(lambda number=number: room.has_been_told(2 * number * 7), "it is back")  # type: ignore[misc]
        began = {host: host.status()["pid"] for host in hosts}
        room.forget()
        before = room.moves

        assert hosts[0].run("restart", "--all").returncode == 0
        for host in hosts:
            until(lambda host=host: _is_restarted(host, room, workers), "it is new", 90)  # type: ignore[misc]
        until(lambda: room.moved(before + len(USERS)), "all have moved")
        room.read()

        assert room.told == []
        assert set(map(tuple, room.lists)) == {tuple(USERS)}
        assert began == {host: host.status()["pid"] for host in hosts}


def _is_restarted(host: Operated, room: Members, workers: int) -> bool:
    room.read()
    seen = host.process.err_so_far()
    return any("all workers are new" in line or "executing the new code" in line for line in seen)


def test_nobody_is_told_anything_when_a_host_is_stopped_whose_clients_come_to_another() -> None:
    with cluster() as (stopped, other), ExitStack() as stack:
        watcher = stack.enter_context(other.connect())
        guests = {user: stack.enter_context(stopped.connect()) for user in ("ann", "bob")}
        for user, client in guests.items():
            join(client, DEFAULT_APP, ROOM, user)
        ids = json.loads(join(watcher, DEFAULT_APP, ROOM, "watcher")["data"])["presence"]["ids"]
        assert sorted(ids) == ["ann", "bob", "watcher"]

        assert stopped.process.stop() == 0
        back = stack.enter_context(other.connect())
        presence = json.loads(join(back, DEFAULT_APP, ROOM, "ann")["data"])["presence"]
        assert sorted(presence["ids"]) == ["ann", "bob", "watcher"]
        other.publish(ROOM, "fence")
        assert watcher.read_event()["event"] == "fence"

        removed = watcher.read_event()  # 10 s later, by a host that bob has never been on
        assert names([removed]) == ["member_removed"]
        assert json.loads(removed["data"]) == {"user_id": "bob"}


def test_a_client_that_is_sent_away_for_slowness_has_a_grace() -> None:
    app = msgspec.structs.replace(DEFAULT_APP, max_output_buffer=50_000)
    with running_server(apps=[app]) as server, server.connect() as watcher:
        join(watcher, app, ROOM, "watcher")
        slow = server.connect()
        join(slow, app, ROOM, "slow")
        slow.subscribe("much")
        assert names([watcher.read_event()]) == ["member_added"]

        def overflows() -> bool:
            for _ in range(50):
                server.publish("much", "e", json.dumps("x" * 9_000))
            return "read too slowly" in server.log()

        until(overflows, "the client is closed")
        with server.connect() as back:
            join(back, app, ROOM, "slow")
            server.publish(ROOM, "fence")
            assert watcher.read_event()["event"] == "fence"


def test_presence_grace_bridges_a_lost_connection() -> None:
    app = msgspec.structs.replace(DEFAULT_APP, presence_grace=30)
    with running_server(apps=[app]) as server, server.connect() as watcher:
        join(watcher, app, ROOM, "watcher")
        ann: Any = server.connect()
        join(ann, app, ROOM, "ann")
        watcher.read_event()

        ann.socket.close()
        until(lambda: server.request("GET", "/connections").json()["connections"] == 1, "the connection is lost")
        with server.connect() as back:
            join(back, app, ROOM, "ann")
            server.publish(ROOM, "fence")
            assert watcher.read_event()["event"] == "fence"
