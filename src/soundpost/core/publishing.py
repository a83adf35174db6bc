"""Publishing an application's events."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from soundpost.core.app import App
from soundpost.core.peers import ReadyEvent, Reception, RequestKey
from soundpost.wire import channel_names, messages


def publish(app: App, channel: str, event: str, data: str, except_socket_id: str | None = None) -> None:
    """Deliver an event to all subscribers of a channel, on all nodes, but one; keep it, on a cache channel."""
    frame = messages.event(event, channel, data)
    keep = channel_names.kind_of(channel).is_cache
    app.node.peers.publish(app.settings.id, channel, frame, except_socket_id, keep)


def publish_once(
    app: App,
    request: RequestKey,
    events: Iterable[tuple[str, str, str, str | None]],
    then: Callable[[Reception], None],
) -> None:
    """Deliver the events of a request as :func:`publish` does, each given as its arguments; but not a second time."""
    kind_of = channel_names.kind_of
    ready = [
        ReadyEvent(channel, messages.event(event, channel, data), except_socket_id, kind_of(channel).is_cache)
        for channel, event, data, except_socket_id in events
    ]
    app.node.peers.publish_once(app.settings.id, request, ready, then)
