"""Publishing of an application's events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from soundpost.core.app import App
from soundpost.core.peers import IdempotencyKey, OutgoingEvent, Reception
from soundpost.wire import channel_names, messages


def publish(app: App, channel: str, event: str, data: str, except_socket_id: str | None = None) -> None:
    """Deliver an event to all subscribers of a channel on all nodes, except one socket; a cache channel keeps it."""
    outgoing = _outgoing(channel, event, data, except_socket_id)
    app.node.peers.publish(app.settings.id, outgoing)
    if app.node.observers:
        _tell_observers(app, (outgoing,))


def publish_once(
    app: App,
    key: IdempotencyKey,
    events: Iterable[tuple[str, str, str, str | None]],
    then: Callable[[Reception], None],
) -> None:
    """Deliver the events of a request, unless its idempotency key was taken before.

    Each event has the arguments of :func:`publish`: channel, event name, data, excluded socket id.
    """
    outgoing = [_outgoing(*event) for event in events]
    if app.node.observers:
        then = partial(_tell_of_new, app, outgoing, then)
    app.node.peers.publish_once(app.settings.id, key, outgoing, then)


def _tell_of_new(
    app: App, events: list[OutgoingEvent], then: Callable[[Reception], None], reception: Reception
) -> None:
    if reception == "new":
        _tell_observers(app, events)
    then(reception)


def _tell_observers(app: App, events: Iterable[OutgoingEvent]) -> None:
    for observer in app.node.observers:
        for event in events:
            observer.event_published(app, event)


def _outgoing(channel: str, event: str, data: str, except_socket_id: str | None) -> OutgoingEvent:
    frame = messages.event(event, channel, data)
    return OutgoingEvent(channel, frame, except_socket_id, channel_names.kind_of(channel).is_cache)
