"""Connections of this host, admitted up to the limits of the host, of an app on all hosts, and of an address."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import app_bucket
from soundpost.backplane.redis.counts import Counts
from soundpost.backplane.redis.node_scripts import ADMIT
from soundpost.backplane.redis.redis import Redis
from soundpost.core.peers import Admission, PeersHandler


class Admissions:
    """The connections that the nodes of this host were admitted. ``max_connections`` is the limit of the host."""

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        nodes: Container[PeersHandler],
        redis: Redis,
        counts: Counts,
        max_connections: int | None,
    ) -> None:
        self._apps = apps
        self._nodes = nodes
        self._redis = redis
        self._counts = counts
        self._max_connections = max_connections
        self._connections = 0

    def admit(
        self, node: PeersHandler, app_id: str, then: Callable[[Admission], None], address: str | None = None
    ) -> None:
        """Count a connection, unless a limit is reached; an app's limit is that of all hosts together."""
        entry = self._apps[app_id]
        if self._max_connections is not None and self._connections >= self._max_connections:
            then("server_full")
            return
        if entry.addresses.are_full(address, entry.app.max_connections_per_ip):
            then("address_full")
            return
        self._count_connection(node, entry, 1, address)
        limit = entry.app.max_connections
        if limit is None:
            then("admitted")
        elif self._redis.up:
            answered = partial(self._admitted, node, entry, address, then)
            here = sum(entry.connections.values())
            self._redis.run(ADMIT, app_bucket(app_id), limit, here, then=answered)
        else:
            self._admitted(node, entry, address, then, None)

    def _admitted(
        self, node: PeersHandler, entry: AppEntry, address: str | None, then: Callable[[Admission], None], answer: Any
    ) -> None:
        limit, here = entry.app.max_connections, sum(entry.connections.values())
        if answer == 1 or (not isinstance(answer, int) and (limit is None or here <= limit)):
            then("admitted")
            return
        self._count_connection(node, entry, -1, address)
        then("app_full")

    def release(self, node: PeersHandler, app_id: str, address: str | None = None) -> None:
        """Stop counting a connection that was admitted with this address."""
        entry = self._apps[app_id]
        if entry.connections.get(node, 0) > 0:
            self._count_connection(node, entry, -1, address)

    def _count_connection(self, node: PeersHandler, entry: AppEntry, step: int, address: str | None) -> None:
        if node in self._nodes:
            entry.connections[node] = entry.connections.get(node, 0) + step
            self._connections += step
            count_address = entry.addresses.add if step > 0 else entry.addresses.remove
            count_address(node, address)
        self._counts.connections_changed(entry)

    def remove_node(self, node: PeersHandler) -> None:
        """Stop counting the connections of a node of this host that is gone."""
        for entry in self._apps.values():
            self._connections -= entry.connections.pop(node, 0)
            entry.addresses.forget(node)
            self._counts.connections_changed(entry)

    def connections_of(self, node: PeersHandler) -> int:
        """Return the number of a node's connections, of all apps."""
        return sum(entry.connections.get(node, 0) for entry in self._apps.values())
