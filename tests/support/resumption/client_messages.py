"""What raw clients send, and how they read what they are sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from soundpost.wire.signatures import channel_text, sign

EVENT: Final = "tick"


class Plan(msgspec.Struct, kw_only=True):
    """Who a client is. ``ports``: where it connects to, the next one after each failure."""

    name: str
    ports: list[int]
    channels: list[str]
    resumes: bool = True
    receive_buffer: int = 0
    """Bytes that the kernel takes for it; 0: as many as usual."""
    key: str = "app-key"
    secret: str = "app-secret"
    master_key: str = ""
    """Base64 of the key of encrypted channels, for clients that can decrypt."""


class Envelope(msgspec.Struct):
    """A message of the server. ``id`` is the event's."""

    event: str
    channel: str = ""
    data: Any = None
    position: str | None = None
    id: str | None = None
    resumed: int | None = None
    gap: str | None = None


decode: Final = msgspec.json.Decoder(Envelope).decode


def parsed(position: str) -> tuple[str, int]:
    """The generation and the offset of a position."""
    generation, _, offset = position.rpartition(".")
    return generation, int(offset)


def event_in(data: str) -> str:
    """The name, among all, of the event with this data, which applications encode as JSON and others do not."""
    return data.lstrip('"').partition(" ")[0]


def subscription(
    plan: Plan, socket_id: str, channel: str, at: tuple[str, int] | None, earlier: Iterable[str]
) -> dict[str, Any]:
    """The data of ``pusher:subscribe``, with the position ``at`` and earlier socket ids of a client that resumes."""
    data: dict[str, Any] = {"channel": channel}
    if channel.startswith(("private-", "presence-")):
        channel_data = json.dumps({"user_id": plan.name}) if channel.startswith("presence-") else None
        signature = sign(plan.secret, channel_text(socket_id, channel, channel_data))
        data["auth"] = f"{plan.key}:{signature}"
        if channel_data is not None:
            data["channel_data"] = channel_data
    if plan.resumes:
        data["resume"] = "" if at is None else f"{at[0]}.{at[1]}"
        if was := list(earlier):
            data["was"] = was
    return data


def difference_to_stock(payload: bytes, message: Envelope) -> str:
    """How an event's message differs from what a server without history sends, but for the two fields behind it; empty
    if it does not."""
    rest = payload
    for name, value in (("position", message.position), ("id", message.id)):
        if value is not None:
            field = f',"{name}":"{value}"}}'.encode()
            if not rest.endswith(field):
                return f"{name} is not the last field of {payload[:200]!r}"
            rest = rest.removesuffix(field) + b"}"
    fields = {"event": message.event, "data": message.data, "channel": message.channel}
    expected = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    return "" if rest == expected else f"expected {expected[:200]!r} but for position and id, got {payload[:200]!r}"
