"""Events for webhooks as the logs in Redis have them: a host writes them, the owner of the log reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec.structs import replace

from soundpost.backplane.redis.message_fields import member_of
from soundpost.backplane.redis.received import is_json
from soundpost.core import webhook_records
from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS, WebhookEvent

State = tuple[str, str, str]
"""State as :attr:`soundpost.core.webhooks.WebhookEvent.state` names it."""

_AGAIN: Final = 8  # place of AGAIN in the arguments
_NAMES: Final = frozenset((*PUSHER_EVENTS, *MORE_EVENTS))


class Entry(NamedTuple):
    """Fields of an entry, as text and bytes."""

    name: str
    channel: str
    user_id: str
    value: bytes
    socket_id: str | None
    is_final: bool
    id: str
    """Id that the host gave to the event, and the time at which it happened; empty for an event of a script."""


class LoggedEvent(NamedTuple):
    """An event, and the id that its repetitions have too."""

    id: str
    event: WebhookEvent


def arguments_of(
    event: WebhookEvent, event_id: bytes, end_name: bytes = b"", end_value: bytes = b""
) -> tuple[bytes, ...]:
    """Return the arguments of :data:`.webhook_scripts.ADD_EVENT` for an event that happened on this host."""
    names = event.name.encode(), event.channel.encode(), event.user_id.encode()
    final = b"1" if event.is_final else b""
    place = b"%b %d" % (event_id, event.time_ms)
    return (*names, event.body, b"", final, place, end_name, b"0", end_value)


def repeated(arguments: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return the arguments for an event that may have been added already."""
    return (*arguments[:_AGAIN], b"1", *arguments[_AGAIN + 1 :])


def event_of(number: int, entry_id: bytes, fields: list[bytes]) -> LoggedEvent:
    """Return the event in an entry of the log of an app's bucket, which has a ``number``.

    Raise ValueError for an entry that nobody of ours can have written.
    """
    entry = _entry(fields)
    milliseconds = int(entry_id.partition(b"-")[0])
    if entry.id:
        event_id, _, time_text = entry.id.partition(" ")
        if not entry.value.startswith(b'{"name":') or not is_json(entry.value):
            raise ValueError("no event")
        happened = min(int(time_text), milliseconds)
        return LoggedEvent(
            event_id,
            WebhookEvent(entry.name, entry.channel, entry.user_id, entry.value, happened, entry.is_final),
        )
    return LoggedEvent(f"{number}-{entry_id.decode()}", replace(_MAKERS[entry.name](entry), time_ms=milliseconds))


def _entry(fields: list[bytes]) -> Entry:
    by_name = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        name, channel, user_id, socket_id, event_id = (by_name[key].decode() for key in (b"n", b"c", b"u", b"s", b"i"))
        entry = Entry(name, channel, user_id, by_name[b"v"], socket_id or None, by_name[b"f"] == b"1", event_id)
    except KeyError:
        raise ValueError("a field is missing") from None
    if name not in _NAMES:
        raise ValueError("no name of an event")
    return entry


def _member(entry: Entry) -> WebhookEvent:
    info = member_of(entry.value).info_json
    return webhook_records.member_event(
        entry.name, entry.channel, entry.user_id, info, entry.socket_id, is_final=entry.is_final
    )


def _user(entry: Entry) -> WebhookEvent:
    return webhook_records.user_event(entry.name, entry.user_id, entry.value or b"null", is_final=entry.is_final)


def _channel(entry: Entry) -> WebhookEvent:
    return webhook_records.channel_event(entry.name, entry.channel)


def _none(entry: Entry) -> WebhookEvent:
    raise ValueError(f"{entry.name} without an id")


_MAKERS: Final[dict[str, Callable[[Entry], WebhookEvent]]] = {
    **dict.fromkeys(_NAMES, _none),
    "channel_occupied": _channel,
    "channel_vacated": _channel,
    "member_added": _member,
    "member_removed": _member,
    "user_online": _user,
    "user_offline": _user,
    "subscription_count": lambda entry: webhook_records.subscription_count(entry.channel, int(entry.value)),
}


def state_field(state: State) -> bytes:
    """Return a state as Redis keeps it."""
    return "\0".join(state).encode()


def state_of(field: bytes) -> State | None:
    """Return the state in some bytes of Redis; None for bytes that are none."""
    try:
        name, channel, user_id = field.decode().split("\0", 2)
    except ValueError:  # UnicodeDecodeError too
        return None
    return name, channel, user_id
