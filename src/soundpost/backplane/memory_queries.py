"""Answers of a host that is alone to queries about all of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from soundpost.backplane.attributes import channel_attributes, json_members
from soundpost.backplane.history_store import HistoryStore
from soundpost.backplane.memory_channels import AppEntry
from soundpost.backplane.slices import json_in_slices, parts_in_slices
from soundpost.core.outbox import CallSoon
from soundpost.core.peers import (
    ChannelQuery,
    ChannelsQuery,
    ConnectionsQuery,
    HistoryChannelsQuery,
    HistoryDeletion,
    HistoryQuery,
    Query,
    UsersQuery,
)
from soundpost.wire.json_text import encode


class MemoryQueries:
    """Answers queries. Long answers are made a slice at a time; ``call_soon`` is the loop's."""

    def __init__(self, apps: dict[str, AppEntry], history: HistoryStore, call_soon: CallSoon) -> None:
        self._apps = apps
        self._history = history
        self._call_soon = call_soon

    def answer(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a query; see :meth:`soundpost.backplane.registry.Registry.answer`."""
        if isinstance(query, ChannelsQuery):
            self._answer_channels(query, then)
        elif isinstance(query, HistoryChannelsQuery):
            parts_in_slices(self._history.channels_of(query.app_id), self._kept_of(query.app_id), then, self._call_soon)
        else:
            then(self._answer(query))

    def _answer_channels(self, query: ChannelsQuery, then: Callable[[bytes], None]) -> None:
        entry = self._apps[query.app_id]

        def make(names: Sequence[str], then: Callable[[bytes], None]) -> None:
            occupied = [name for name in names if name.startswith(query.prefix) and name in entry.channels]
            then(json_members({name: self._attributes(entry, name, query.attributes) for name in occupied}))

        json_in_slices(list(entry.channels), make, then, self._call_soon)

    def _kept_of(self, app_id: str) -> Callable[[Sequence[str], Callable[[bytes], None]], None]:
        def make(names: Sequence[str], then: Callable[[bytes], None]) -> None:
            then(encode([name for name in names if self._history.has_events(app_id, name)]))

        return make

    def _answer(self, query: ChannelQuery | UsersQuery | ConnectionsQuery | HistoryQuery | HistoryDeletion) -> Any:
        entry = self._apps[query.app_id]
        if isinstance(query, HistoryQuery):
            return self._history.page(query)
        if isinstance(query, HistoryDeletion):
            entry.cache.drop(query.channel)
            return self._history.delete(query.app_id, query.channel)
        if isinstance(query, ConnectionsQuery):
            return sum(entry.connections.values())
        if isinstance(query, UsersQuery):
            channel = entry.known_channel(query.channel)
            return [] if channel is None or channel.members is None else channel.members.ids_json
        return [self._attributes(entry, name, query.attributes) for name in query.names]

    def _attributes(self, entry: AppEntry, name: str, asked: list[str]) -> dict[str, Any]:
        channel = entry.known_channel(name)
        last = entry.cache.get(name) if "cache" in asked else None
        has_history = "position" in asked and entry.history_rules.of(name) is not None
        return channel_attributes(
            name,
            asked,
            subscriptions=0 if channel is None else channel.count,
            users=0 if channel is None or channel.members is None else len(channel.members),
            last=last,
            ttl=0 if last is None else entry.cache.seconds_left(name),
            position=self._history.head if has_history else None,
        )
