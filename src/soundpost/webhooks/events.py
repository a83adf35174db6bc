"""Events of webhooks as typed objects: plain data, which JSON, pickle and every task queue can carry.

Source: https://pusher.com/docs/channels/server_api/webhooks/#events
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from soundpost.errors import JsonError, WebhookError
from soundpost.wire.json_text import encode, read_json, read_object


class WebhookEvent(Struct, frozen=True, kw_only=True):
    """Something that happened on the server."""

    name: str = ""
    """Name of the event: ``member_added``."""
    id: str = ""
    """Id of the event, which is the same when the event is sent again."""
    time_ms: int = 0
    """Time of the event in milliseconds since 1970."""

    @property
    def time(self) -> datetime:
        """The time of the event, in UTC."""
        return datetime.fromtimestamp(self.time_ms / 1000, UTC)

    def as_dict(self) -> dict[str, Any]:
        """Return the event as a dict of JSON values, for a task queue. :func:`event_from` makes it an event again."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made

    @classmethod
    def _read(cls, fields: Mapping[str, Any]) -> Self:
        return msgspec.convert(fields, cls, strict=False)


class ChannelOccupied(WebhookEvent, frozen=True, kw_only=True):
    """A channel got its first subscriber."""

    name: str = "channel_occupied"
    channel: str


class ChannelVacated(WebhookEvent, frozen=True, kw_only=True):
    """A channel lost its last subscriber."""

    name: str = "channel_vacated"
    channel: str


class MemberEvent(WebhookEvent, frozen=True, kw_only=True):
    """A user joined or left a presence channel."""

    channel: str
    user_id: str
    user_info: Any = None
    """Data about the member that the channel route returned. Pusher does not send it."""
    socket_id: str | None = None
    """Id of the connection. Pusher does not send it."""


class MemberAdded(MemberEvent, frozen=True, kw_only=True):
    """A user joined a presence channel with a first connection."""

    name: str = "member_added"


class MemberRemoved(MemberEvent, frozen=True, kw_only=True):
    """A user left a presence channel with the last connection."""

    name: str = "member_removed"


class ClientEvent(WebhookEvent, frozen=True, kw_only=True):
    """A browser sent a client event."""

    name: str = "client_event"
    channel: str
    event: str
    """Name of the client event: ``client-typing``."""
    data: str = ""
    """Data of the event as text. A handler's parameter ``data`` gets the decoded value."""
    socket_id: str | None = None
    user_id: str | None = None
    """Id of the user, if the sender is a member of the channel or has signed in."""

    @property
    def value(self) -> Any:
        """The value that the browser sent: ``data`` read as JSON, or ``data`` itself if it is not JSON."""
        try:
            return read_json(self.data)
        except JsonError:
            return self.data


class CacheMiss(WebhookEvent, frozen=True, kw_only=True):
    """A cache channel had no event for a new subscriber."""

    name: str = "cache_miss"
    channel: str


class SubscriptionCount(WebhookEvent, frozen=True, kw_only=True):
    """The number of a channel's subscribers changed."""

    name: str = "subscription_count"
    channel: str
    subscription_count: int


class UserOnline(WebhookEvent, frozen=True, kw_only=True):
    """A user signed in with a first connection. Pusher has no such event."""

    name: str = "user_online"
    user_id: str
    user_info: Any = None
    """``user_info`` of the sign-in."""


class UserOffline(WebhookEvent, frozen=True, kw_only=True):
    """A user's last connection with a sign-in is gone. Pusher has no such event."""

    name: str = "user_offline"
    user_id: str


class ConnectionEvent(WebhookEvent, frozen=True, kw_only=True):
    """A client's connection was opened or is gone."""

    socket_id: str
    address: str | None = None
    """IP address of the client."""
    origin: str | None = None
    """Header ``Origin`` of the page that connected."""
    user_id: str | None = None
    """Id of the user who had signed in."""


class ConnectionOpened(ConnectionEvent, frozen=True, kw_only=True):
    """A client connected. Pusher has no such event."""

    name: str = "connection_opened"


class ConnectionClosed(ConnectionEvent, frozen=True, kw_only=True):
    """A client's connection is gone. Pusher has no such event."""

    name: str = "connection_closed"
    code: int | None = None
    """Close code, if there is one."""


class OtherEvent(WebhookEvent, frozen=True, kw_only=True):
    """An event with a name that this version does not know."""

    fields: dict[str, Any] = {}
    """Fields of the event, without name, id and time."""

    def as_dict(self) -> dict[str, Any]:
        """Return the event as a dict of JSON values, for a task queue. :func:`event_from` makes it an event again."""
        return {**self.fields, "name": self.name, "id": self.id, "time_ms": self.time_ms}

    @classmethod
    def _read(cls, fields: Mapping[str, Any]) -> Self:
        rest = {name: value for name, value in fields.items() if name not in ("name", "id", "time_ms")}
        common = {name: value for name, value in fields.items() if name not in rest}
        return msgspec.convert({**common, "fields": rest}, cls, strict=False)


EVENTS: Final[dict[str, type[WebhookEvent]]] = {
    next(str(field.default) for field in msgspec.structs.fields(kind) if field.name == "name"): kind
    for kind in (
        ChannelOccupied,
        ChannelVacated,
        MemberAdded,
        MemberRemoved,
        ClientEvent,
        CacheMiss,
        SubscriptionCount,
        UserOnline,
        UserOffline,
        ConnectionOpened,
        ConnectionClosed,
    )
}
"""The classes of events by the names of events."""


def parse(body: bytes | str) -> list[WebhookEvent]:
    """Return the events in the body of a webhook, in their order. Raises WebhookError (400) for any other body.

    An event without an id, as Pusher sends it, gets an id made of the body: the same if the body is sent again. Raises
    TypeError for a body that is neither bytes nor text.
    """
    if not isinstance(body, bytes | bytearray | str):
        raise TypeError(f"body is of type {type(body).__name__}: the bytes of the request's body are expected")
    try:
        content = read_object(bytes(body) if isinstance(body, bytearray) else body)
    except JsonError as error:
        raise WebhookError(400, f"the body is not a JSON object: {error}") from None
    sent = content.get("events")
    if not isinstance(sent, list):
        raise WebhookError(400, "the body has no list 'events': it is not a webhook")
    digest = hashlib.sha256(body.encode(errors="surrogatepass") if isinstance(body, str) else body).hexdigest()[:24]
    made = []
    for number, each in enumerate(sent):
        if not isinstance(each, dict):
            raise WebhookError(400, f"events[{number}] is not a JSON object")
        time_ms = each.get("time_ms", content.get("time_ms", 0))
        made.append(event_from({"id": f"{digest}-{number}", **each, "time_ms": time_ms}, f"events[{number}]"))
    return made


def event_from(fields: Mapping[str, Any], where: str = "the event") -> WebhookEvent:
    """Return an event made of its fields, such as those of :meth:`WebhookEvent.as_dict`.

    An unknown name makes an :class:`OtherEvent`. Raises WebhookError (400) for wrong or missing fields; ``where`` names
    the event in its message.
    """
    if not isinstance(fields, Mapping):
        raise WebhookError(400, f"{where} is a {type(fields).__name__}: a mapping of its fields is expected")
    name = fields.get("name")
    if not isinstance(name, str):
        raise WebhookError(400, f"{where} has no name")
    try:
        return EVENTS.get(name, OtherEvent)._read(fields if name not in EVENTS else _named_as_in_pusher(fields))
    except msgspec.ValidationError as error:
        raise WebhookError(400, f"{where} is not a valid {name}: {error}") from None


def _named_as_in_pusher(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an event with user id and data as texts, which soketi sends as it got them from browsers."""
    user_id, data = fields.get("user_id"), fields.get("data", "")
    if isinstance(user_id, int):
        fields = {**fields, "user_id": str(user_id)}
    if not isinstance(data, str):
        fields = {**fields, "data": encode(data).decode()}
    return fields
