"""Servers that act as one over Redis, and what every one of them must say once all is calm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from soundpost.config.settings import ScalingSettings
from soundpost.core.app_settings import AppSettings
from support.crowd import Event, join
from support.harness import DEFAULT_APP, RunningServer, running_server, until


class Fleet:
    """``servers``, by their number, and the clients that a test has on them."""

    def __init__(self, servers: list[RunningServer]) -> None:
        self.servers = servers
        self.clients: list[Member] = []

    def __getitem__(self, number: int) -> RunningServer:
        return self.servers[number]

    def member(self, number: int, user: str, *channels: str) -> Member:
        """A client on server ``number`` that is a user on presence channels, and subscribed to others."""
        member = Member(self.servers[number], user)
        self.clients.append(member)
        for channel in channels:
            member.join(channel)
        return member

    def leave(self, member: Member) -> None:
        """A client disconnects."""
        member.socket.socket.close()
        self.clients.remove(member)

    def truth(self) -> dict[str, set[str]]:
        """Users by presence channel."""
        found: dict[str, set[str]] = {}
        for client in self.clients:
            for channel in client.channels:
                if channel.startswith("presence-"):
                    found.setdefault(channel, set()).add(client.user)
        return found

    def check(self, *numbers: int) -> None:
        """Wait until servers (all, if none are named) and clients know the truth. Raises AssertionError."""
        servers = [self.servers[number] for number in numbers] or self.servers
        truth = self.truth()
        subscriptions = {
            channel: sum(channel in client.channels for client in self.clients)
            for client in self.clients
            for channel in client.channels
        }

        def agreed() -> bool:
            for client in self.clients:
                client.read_waiting()
            return (
                all(_users(server) == truth for server in servers)
                and all(_subscriptions(server) == subscriptions for server in servers)
                and all(
                    server.request("GET", "/connections").json() == {"connections": len(self.clients)}
                    for server in servers
                )
                and all(client.members == {c: truth[c] for c in client.members} for client in self.clients)
            )

        until(agreed, lambda: self._differences(servers, truth))

    def _differences(self, servers: Sequence[RunningServer], truth: dict[str, set[str]]) -> str:
        views = [(_users(server), _subscriptions(server)) for server in servers]
        return f"the truth {truth} at servers {views} and clients {[client.members for client in self.clients]}"

    def check_reach(self, channel: str, name: str) -> None:
        """Whatever is published on any server comes to all subscribers, once."""
        for number, server in enumerate(self.servers):
            until(lambda server=server: server.publish("x", "e").body == b"{}", "events flow")  # type: ignore[misc]
            assert server.publish(channel, f"{name} {number}").body == b"{}"
        for client in self.clients:
            if channel in client.channels:
                client.wait_for(channel, [f"{name} {number}" for number in range(len(self.servers))])


class Member:
    """A client that notes what it is told."""

    def __init__(self, server: RunningServer, user: str) -> None:
        self.socket = server.connect()
        self.user = user
        self.channels: list[str] = []
        self.members: dict[str, set[str]] = {}
        self.notices: list[tuple[str, str]] = []
        """Members added (``+``) and removed (``-``)."""
        self.events: list[Event] = []

    def join(self, channel: str) -> None:
        """Subscribe."""
        user = self.user if channel.startswith("presence-") else None
        answer = join(self.socket, DEFAULT_APP, channel, user, {"name": self.user})
        self.channels.append(channel)
        if user is not None:
            self.members[channel] = {str(id) for id in json.loads(answer["data"])["presence"]["ids"]}

    def read_waiting(self) -> None:
        """Take in what has come."""
        while self.socket.has_input():
            self._take(self.socket.read_event())

    def _take(self, event: Event) -> None:
        name = event["event"]
        if name == "pusher:ping":
            self.socket.send_event("pusher:pong", {})
        elif name in ("pusher_internal:member_added", "pusher_internal:member_removed"):
            user, members = json.loads(event["data"])["user_id"], self.members[event["channel"]]
            added = name.endswith("added")
            assert (user in members) is not added, f"told twice: {event}"
            (members.add if added else members.remove)(user)
            self.notices.append(("+" if added else "-", user))
        else:
            self.events.append(event)

    def names(self, channel: str) -> list[str]:
        """Names of the events of a channel so far."""
        return [event["event"] for event in self.events if event.get("channel") == channel]

    def wait_for(self, channel: str, expected: list[str]) -> None:
        """Wait for events, in any order; none may come twice."""

        def came() -> bool:
            self.read_waiting()
            return set(expected) <= set(self.names(channel))

        until(came, lambda: f"{expected}, but there are {self.names(channel)}")
        names = self.names(channel)
        assert len(names) == len(set(names)), names


def _users(server: RunningServer) -> dict[str, set[str]]:
    channels = server.request("GET", "/channels", filter_by_prefix="presence-").json()["channels"]
    found = {}
    for channel in channels:
        answer = server.request("GET", f"/channels/{channel}/users").json()
        found[channel] = {str(user["id"]) for user in answer.get("users", ())}
    return found


def _connections(server: RunningServer) -> int:
    return int(server.request("GET", "/connections").json()["connections"])


def _subscriptions(server: RunningServer) -> dict[str, int]:
    channels: dict[str, Any] = server.request("GET", "/channels", info="subscription_count").json()["channels"]
    return {name: about["subscription_count"] for name, about in channels.items()}


@contextmanager
def running_fleet(
    url: str | Sequence[str],
    count: int = 3,
    *,
    workers: int = 1,
    prefix: str = "test",
    connected: bool = True,
    apps: Sequence[AppSettings] = (DEFAULT_APP,),
) -> Iterator[Fleet]:
    """So many servers on one Redis, and all connected to it unless that cannot be. ``url``: the same for all, or of
    each."""
    urls = [url] * count if isinstance(url, str) else url
    with ExitStack() as stack:
        scaling = [ScalingSettings(redis=each, prefix=prefix) for each in urls]
        servers = [stack.enter_context(running_server(scaling=each, workers=workers, apps=apps)) for each in scaling]
        for server in servers if connected else ():
            server.wait_for_log("connected, as node")
        for server in servers if connected else ():
            until(lambda server=server: server.publish("ready", "e").body == b"{}", "events flow")  # type: ignore[misc]
        fleet = Fleet(servers)
        yield fleet
        for client in fleet.clients:
            client.socket.socket.close()
