"""The messages of an event: serialised, and divided by the limits of servers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from soundpost.broadcasting.channels import ChannelLike, names_of
from soundpost.broadcasting.declared_events import attributes_of, channels_for, declaration_of
from soundpost.broadcasting.event import UserNotification, default_payload
from soundpost.broadcasting.limits import event_name, groups_of, is_event_name
from soundpost.broadcasting.message import Message, shown
from soundpost.broadcasting.options import check_flag
from soundpost.broadcasting.serialization import fields_json, flat_json, to_json
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import PayloadError
from soundpost.values.proxies import unproxied


def messages_for(
    event: Any,
    excluded: str | None,
    connections: Sequence[str],
    settings: Callable[[], BroadcastSettings] = BroadcastSettings,
    ephemeral: bool | None = None,
) -> list[Message]:
    """Return the messages of an event object, for each of ``connections``; none for an event without a channel.

    ``settings`` is called for the channel of a notification whose class names none. Where ``ephemeral`` is None the
    event's class decides. Raises PayloadError for an event that no server would take.
    """
    cls: Any = type(event)
    declared = declaration_of(cls)
    if (
        declared is not None
        and [*(fields := event.__dict__)] == declared.fields
        and attributes_of(cls) == declared.attributes
    ):
        names, groups, name = declared.channels, declared.groups, declared.name
        if not names:
            names = channels_for(event, declared)
            groups = groups_of(names, name)
        text = fields_json(fields) or _json(fields, name, names)
        is_ephemeral = declared.ephemeral if ephemeral is None else ephemeral
        if len(groups) == len(connections) == 1 and not is_ephemeral:  # as nearly always. Measured: 0.2 µs less
            return [Message(groups[0], name, text, excluded, connections[0])]
        return _messages(groups, name, text, excluded, connections, is_ephemeral)
    event = unproxied(event)
    if isinstance(event, type):
        raise PayloadError(f"{event.__name__} is a class: broadcast an event of it, {event.__name__}(…)")
    kind = type(event).__name__
    if getattr(event, "broadcast_when", None) is not None and not _decided(kind, _ask(event, "broadcast_when")):
        return []
    if not hasattr(event, "broadcast_on"):
        raise PayloadError(
            f"{kind} is not an event: it has no broadcast_on. Derive it from soundpost.Event, or use publish(…)"
        )
    channels = _channels_of(event, settings)
    if channels is None:
        return []
    name = _ask(event, "broadcast_as") if hasattr(event, "broadcast_as") else kind
    data = _ask(event, "broadcast_with") if hasattr(event, "broadcast_with") else default_payload(event)
    if ephemeral is None:
        ephemeral = getattr(type(event), "ephemeral", False) is True
    return compose(channels, name, data, excluded, connections, ephemeral=ephemeral)


def _decided(kind: str, when: Any) -> Any:
    """Return the result of ``broadcast_when``. Raises PayloadError for one that is true whatever was meant."""
    if inspect.iscoroutine(when):
        when.close()
    elif not (inspect.isgenerator(when) or inspect.isasyncgen(when) or inspect.isroutine(when)):
        return when
    raise PayloadError(f"{kind}: broadcast_when returned a {type(when).__name__}: True or False is expected")


def _channels_of(event: Any, settings: Callable[[], BroadcastSettings]) -> Any:
    if getattr(type(event), "broadcast_on", None) is UserNotification.broadcast_on:
        return event.user_channel(settings)
    return _ask(event, "broadcast_on")


def _ask(event: Any, name: str) -> Any:
    """Return the result of a method of an event. Raises PayloadError for an attribute or property of that name."""
    method = getattr(event, name)
    if not callable(method):
        raise PayloadError(
            f"{type(event).__name__}: {name} is a {type(method).__name__}: make it a method, def {name}(self)"
        )
    return method()


def compose(
    channels: ChannelLike | Iterable[ChannelLike],
    name: str,
    data: Any,
    excluded: str | None,
    connections: Sequence[str],
    *,
    ephemeral: bool = False,
) -> list[Message]:
    """Return the messages of an event of this name and data, for each of ``connections``.

    An encrypted channel has a message to itself, as the data is encrypted for the channel; of other channels a message
    takes a hundred. ``data`` of None is an empty object. Raises PayloadError.
    """
    try:
        names = tuple(names_of(channels))
    except PayloadError as error:
        raise PayloadError(f"event {name!r}: {error}") from None
    if not names:
        return []
    if type(name) is not str or not is_event_name(name):
        name = event_name(name, names)
    groups = groups_of(names, name)
    if data is None:
        data = {}
    text = flat_json(data) or _json(data, name, names)
    return _messages(groups, name, text, excluded, connections, ephemeral)


def _json(data: Any, name: str, channels: tuple[str, ...]) -> str:
    return to_json(data, f"event {name!r} on {shown(channels)}")


def _messages(
    groups: list[tuple[str, ...]],
    name: str,
    text: str,
    excluded: str | None,
    connections: Sequence[str],
    ephemeral: bool,
) -> list[Message]:
    if ephemeral:
        check_flag(ephemeral, "ephemeral")
    return [
        Message(group, name, text, excluded, connection, ephemeral=ephemeral)
        for connection in connections
        for group in groups
    ]
