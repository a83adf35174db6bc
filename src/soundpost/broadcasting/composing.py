"""The messages of an event: checked, serialised, and split by the limits of servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from soundpost.broadcasting.channels import ChannelLike, names_of
from soundpost.broadcasting.declared_events import attributes_of, declaration_of
from soundpost.broadcasting.event import UserNotification, default_payload
from soundpost.broadcasting.message import Message, shown
from soundpost.broadcasting.options import check_flag
from soundpost.broadcasting.serialization import flat_json, to_json
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import PayloadError
from soundpost.values.proxies import unproxied
from soundpost.values.text import is_text, text_of
from soundpost.wire.channel_names import fault, kind_of
from soundpost.wire.event_names import reserved_fault
from soundpost.wire.json_text import is_unicode

MAX_CHANNELS: Final = 100
"""Channels of one request; Pusher, Reverb and Soundpost agree on it."""
MAX_CHANNEL_NAME: Final = 200
"""Characters; source: https://pusher.com/docs/channels/using_channels/channels/#channel-naming-conventions"""
MAX_EVENT_NAME: Final = 200
"""Characters."""


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
    declared = declaration_of(cls, id(cls))
    if declared is not None and list(event.__dict__) == declared.fields and attributes_of(cls) == declared.attributes:
        names = declared.channels or tuple(names_of(event.broadcast_on()))
        is_ephemeral = declared.ephemeral if ephemeral is None else ephemeral
        return _messages(names, declared.name, event.__dict__, excluded, connections, is_ephemeral)
    event = unproxied(event)
    if isinstance(event, type):
        raise PayloadError(f"{event.__name__} is a class: broadcast an event of it, {event.__name__}(…)")
    kind = type(event).__name__
    when = getattr(event, "broadcast_when", None)
    if when is not None and not when():
        return []
    if not hasattr(event, "broadcast_on"):
        raise PayloadError(
            f"{kind} is no event: it has no broadcast_on. Derive it from soundpost.Event, or use publish(…)"
        )
    channels = _channels_of(event, settings)
    if channels is None:
        return []
    name = event.broadcast_as() if hasattr(event, "broadcast_as") else kind
    data = event.broadcast_with() if hasattr(event, "broadcast_with") else default_payload(event)
    if ephemeral is None:
        ephemeral = getattr(type(event), "ephemeral", False) is True
    return compose(channels, name, data, excluded, connections, ephemeral=ephemeral)


def _channels_of(event: Any, settings: Callable[[], BroadcastSettings]) -> Any:
    if getattr(type(event), "broadcast_on", None) is UserNotification.broadcast_on:
        return event.user_channel(settings)
    return event.broadcast_on()


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
    return _messages(names, name, {} if data is None else data, excluded, connections, ephemeral)


def _messages(
    names: tuple[str, ...], name: str, data: Any, excluded: str | None, connections: Sequence[str], ephemeral: bool
) -> list[Message]:
    if type(name) is not str or not _is_event_name(name):
        name = _event_name(name, names)
    if ephemeral:
        check_flag(ephemeral, "ephemeral")
    try:
        groups = _groups(names)
    except PayloadError as error:
        raise PayloadError(f"event {name!r}: {error}") from None
    text = flat_json(data)
    if text is None:
        text = to_json(data, f"event {name!r} on {shown(names)}")
    if len(groups) == len(connections) == 1:  # as nearly always. Measured: 0.2 µs less
        return [Message(groups[0], name, text, excluded, connections[0], ephemeral=ephemeral)]
    return [
        Message(group, name, text, excluded, connection, ephemeral=ephemeral)
        for connection in connections
        for group in groups
    ]


# An application that publishes often does so to the same channels. Measured for one channel: 0.2 µs, 2.5 uncached.
@lru_cache(maxsize=1_000)
def _groups(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the channels of each message for channels of these names. Raises PayloadError for an invalid name."""
    for each in names:
        wrong = fault(each, MAX_CHANNEL_NAME)
        if wrong is not None:
            raise PayloadError(wrong)
    plain = tuple(each for each in names if not kind_of(each).is_encrypted)
    groups = [plain[start : start + MAX_CHANNELS] for start in range(0, len(plain), MAX_CHANNELS)]
    return groups + [(each,) for each in names if kind_of(each).is_encrypted]


@lru_cache(maxsize=1_000)
def _is_event_name(name: str) -> bool:
    """Tell whether a name is a valid one, and needs no further look."""
    return 0 < len(name) <= MAX_EVENT_NAME and is_unicode(name) and reserved_fault(name) is None


def _event_name(name: Any, channels: tuple[str, ...]) -> str:
    text = _text_of_name(name)
    if text is None:
        raise PayloadError(
            f"event {name!r} on {shown(channels)}: an event's name is a text of 1 to {MAX_EVENT_NAME} characters"
        )
    wrong = reserved_fault(text)
    if wrong is not None:
        raise PayloadError(f"event on {shown(channels)}: {wrong}")
    return text


def _text_of_name(name: Any) -> str | None:
    if is_text(name):
        with suppress(PayloadError):
            text = text_of(name, "event")
            return text if len(text) <= MAX_EVENT_NAME else None
    return None
