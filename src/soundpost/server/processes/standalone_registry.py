"""The registry of a host that serves alone, with the state that the process before the restart has handed over."""

from __future__ import annotations

import asyncio

from soundpost.backplane.history_store import HistoryStore
from soundpost.backplane.memory_registry import MemoryRegistry
from soundpost.config.settings import Settings
from soundpost.server.processes.handover import hand_over, taken_over
from soundpost.server.webhooks import WebhookDispatcher


def standalone_registry(
    settings: Settings, *, max_connections: int | None = None, webhooks: WebhookDispatcher | None = None
) -> MemoryRegistry:
    """Return the registry of a host in the running event loop; ``max_connections`` is the limit of all apps together.

    The state of the process before the restart is taken over, that of ``webhooks`` too.
    """
    loop = asyncio.get_running_loop()
    inherited = taken_over()
    history = HistoryStore(settings.server.max_history_size)
    if "history" in inherited:
        history.take_over(inherited.pop("history"))
    registry = MemoryRegistry(
        settings.apps,
        max_connections=max_connections,
        history=history,
        call_soon=loop.call_soon,
        call_later=loop.call_later,
        webhooks=webhooks,
    )
    if "graces" in inherited:
        registry.graces.take_over(inherited["graces"])
    if "users" in inherited:
        registry.users.take_over(inherited["users"])
    if webhooks is not None:
        webhooks.begin(inherited.get("webhooks"), present={*registry.graces.members(), *registry.users.states()})
    return registry


def hand_over_registry(
    registry: MemoryRegistry, *, stopped_at: float, webhooks: WebhookDispatcher | None = None
) -> None:
    """Have the next process take a registry over; clients have been disconnected since ``stopped_at`` (monotonic)."""
    parts = {
        "history": registry.history.as_bytes,
        "graces": lambda: registry.graces.as_bytes(since=stopped_at),
        "users": lambda: registry.users.as_bytes(since=stopped_at),
    }
    if webhooks is not None:
        parts["webhooks"] = webhooks.as_bytes
    hand_over(parts)
