"""Attributes of channels as the HTTP API answers them (``info``), the same for all registries.

Source: https://pusher.com/docs/channels/library_auth_reference/rest-api/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct

from soundpost.wire.channel_names import kind_of
from soundpost.wire.frames import frame_payload
from soundpost.wire.json_text import encode, reader


class _Event(Struct):
    event: Raw
    data: Raw


_read_event: Final[Callable[[bytes], _Event]] = reader(_Event)


def channel_attributes(
    name: str,
    asked: Iterable[str],
    *,
    subscriptions: int,
    users: int,
    last: bytes | None = None,
    ttl: int = 0,
    position: str | None = None,
) -> dict[str, Any]:
    """Return those of the asked attributes that apply to a channel, occupied or not.

    ``last`` is the frame of a cache channel's last event, kept for ``ttl`` more seconds. It becomes ``cache``, the JSON
    of an object; None without an event. ``position`` is the end of the channel's history; None if it keeps none.
    """
    found: dict[str, Any] = {}
    for attribute in asked:
        if attribute == "occupied":
            found["occupied"] = subscriptions > 0
        elif attribute == "subscription_count":
            found["subscription_count"] = subscriptions
        elif attribute == "user_count" and kind_of(name).is_presence:
            found["user_count"] = users
        elif attribute == "cache" and kind_of(name).is_cache:
            found["cache"] = None if last is None else _cached(last, ttl)
        elif attribute == "position" and position is not None:
            found["position"] = position
    return found


def answered(found: dict[str, Any]) -> dict[str, Any]:
    """Return a channel's attributes ready to be encoded: a cached event is JSON already."""
    return found if found.get("cache") is None else found | {"cache": Raw(found["cache"])}


def json_members(channels: Mapping[str, dict[str, Any]]) -> bytes:
    """Return channels with their attributes, as members of a JSON object without its braces."""
    return encode({name: answered(found) for name, found in channels.items()})[1:-1]


def _cached(frame: bytes, ttl: int) -> bytes:
    event = _read_event(frame_payload(frame))
    return b'{"event":%b,"data":%b,"ttl":%d}' % (bytes(event.event), bytes(event.data), ttl)
