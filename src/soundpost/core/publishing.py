"""Publishing of an application's events."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from itertools import count

from msgspec.structs import replace

from soundpost.core.app import App
from soundpost.core.peers import ChannelEvents, IdempotencyKey, OutgoingEvent, Reception
from soundpost.wire import channel_names, messages

EventArguments = tuple[str, str, str, str | None, bool, str | None]
"""Arguments of :func:`publish`: channel, event name, data, excluded socket id, ephemeral, id of the key."""


def publish(
    app: App,
    channel: str,
    event: str,
    data: str,
    except_socket_id: str | None = None,
    ephemeral: bool = False,
    key_id: str | None = None,
) -> None:
    """Deliver an event to all subscribers of a channel on all nodes, except one socket.

    A cache channel keeps the event. The channel's history keeps it too, unless the event is ``ephemeral``. ``key_id``
    is the id of the key that encrypted the data, if the publisher names one.
    """
    app.figures.events += 1
    node = app.node
    if not app.has_history and node.peers.is_alone and not node.observers and "cache-" not in channel:
        # No other node gets the event, and no history keeps it. Measured: a publish takes 2.6 % less CPU time this way.
        app.deliver(channel, messages.event(event, channel, data), except_socket_id)
        return
    event_id = next(node.event_ids) if _is_kept(app, channel, ephemeral) else None
    frame = messages.event(event, channel, data)
    outgoing = _outgoing(channel, frame, except_socket_id, ephemeral, event_id, key_id if event_id else None)
    node.peers.publish(app.id, outgoing)
    if node.observers:
        _notify_observers(app, (outgoing,))


def publish_once(
    app: App,
    key: IdempotencyKey,
    events: Iterable[EventArguments],
    then: Callable[[Reception], None],
) -> None:
    """Deliver the events of a request, unless its idempotency key was taken before.

    Each event has the arguments of :func:`publish`.
    """
    arguments = list(events)
    frames = [messages.event(event, channel, data) for channel, event, data, _, _, _ in arguments]
    outgoing: list[OutgoingEvent] = []
    groups: list[ChannelEvents] = []
    if app.history_rules and any(_is_kept(app, each[0], each[4]) for each in arguments):
        for index, (channel, _, _, except_socket_id, ephemeral, key_id) in enumerate(arguments):
            made = _outgoing(channel, frames[index], except_socket_id, ephemeral, None, None)
            if _is_kept(app, channel, ephemeral):
                made = replace(made, id=_id_of(key, index), repeatable=True, repeated=key.repeated, key_id=key_id)
            outgoing.append(made)
    else:
        groups = _by_channel(arguments, frames)
    note = partial(_note, app, arguments, frames, outgoing, then)
    app.node.peers.publish_once(app.settings.id, key, outgoing, groups, note)


def _by_channel(events: list[EventArguments], frames: list[bytes]) -> list[ChannelEvents]:
    """Group events that no history keeps by channel; the events of each channel stay in order.

    Measured for a batch of 1,000 events to one channel, with two workers: 7.7 µs of CPU for each event in the parent
    and both workers, 10.4 one by one.
    """
    groups: list[ChannelEvents] = []
    last: dict[str, tuple[list[bytes], str | None, bool]] = {}
    for (channel, _, _, except_socket_id, ephemeral, _), frame in zip(events, frames, strict=True):
        group = last.get(channel)
        if group is None or group[1] != except_socket_id or group[2] != ephemeral:
            group = last[channel] = [], except_socket_id, ephemeral
            groups.append(ChannelEvents(channel, group[0], except_socket_id, _is_cache(channel), ephemeral))
        group[0].append(frame)
    return groups


def _note(
    app: App,
    arguments: list[EventArguments],
    frames: list[bytes],
    outgoing: list[OutgoingEvent],
    then: Callable[[Reception], None],
    reception: Reception,
) -> None:
    if reception == "new":
        app.figures.events += len(arguments)
        if app.node.observers:
            outgoing = outgoing or [
                _outgoing(channel, frame, except_socket_id, ephemeral, None, None)
                for (channel, _, _, except_socket_id, ephemeral, _), frame in zip(arguments, frames, strict=True)
            ]
            _notify_observers(app, outgoing)
    then(reception)


def _notify_observers(app: App, events: Iterable[OutgoingEvent]) -> None:
    for observer in app.node.observers:
        for event in events:
            observer.event_published(app, event)


def _outgoing(
    channel: str,
    frame: bytes,
    except_socket_id: str | None,
    ephemeral: bool,
    event_id: str | None,
    key_id: str | None,
) -> OutgoingEvent:
    # By position: keywords take 0.2 µs more.
    return OutgoingEvent(
        channel, frame, except_socket_id, _is_cache(channel), event_id, False, ephemeral, False, key_id
    )


def _is_cache(channel: str) -> bool:
    return "cache-" in channel and channel_names.kind_of(channel).is_cache  # few channels need the second call


def _is_kept(app: App, channel: str, ephemeral: bool) -> bool:
    """Return True if the channel's history keeps an event."""
    return not ephemeral and app.history_rules.of(channel) is not None


def new_ids() -> Iterator[str]:
    """Yield ids for events without end. No other event of this or another process has the same id."""
    return map(f"{urlsafe_b64encode(os.urandom(9)).decode()}{{}}".format, count())


def _id_of(key: IdempotencyKey, index: int) -> str:
    """Return the id of one event of a request. A repeated request gives the same ids on every host."""
    text = f"{key.key}\0{key.digest}\0{index}".encode()
    return blake2b(text, digest_size=12).hexdigest()
