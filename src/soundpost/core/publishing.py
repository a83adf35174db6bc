"""Publishing an application's event."""

from __future__ import annotations

from soundpost.core.app_state import AppState
from soundpost.wire import channel_names, messages


def publish(state: AppState, channel: str, event: str, data: str, except_socket_id: str | None = None) -> None:
    """Deliver an event to all subscribers of a channel, on all nodes, but one; keep it, on a cache channel."""
    frame = messages.event(event, channel, data)
    keep = channel_names.kind_of(channel).is_cache
    state.node.peers.publish(state.app.id, channel, frame, except_socket_id, keep)
