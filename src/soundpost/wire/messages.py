"""Pusher messages: decoding of clients' messages, and the server's messages as ready-made WebSocket frames.

``data`` of a server's frame is a JSON *string* (double encoded), but for ``pusher:error`` and
``pusher:signin_success``, which hosted Pusher sends as plain objects (pusher-js reads both), and for
``pusher_internal:watchlist_events``, which pusher-js reads as an object only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec

from soundpost.errors import JsonError, ProtocolError
from soundpost.wire import codes
from soundpost.wire.frames import text_frame
from soundpost.wire.json_text import Reader, encode, reader

# Types of fields have a name, in quotes: mypyc keeps no others for msgspec, which reads them at run time.
_Text = str | None
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Id = str | _Integer


MAX_FORMER_IDS: Final = 4
"""Largest number of earlier socket ids in a subscription."""
Rewind = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
FormerIds = Annotated[list[str], msgspec.Meta(max_length=MAX_FORMER_IDS)]


class ClientMessage(msgspec.Struct):
    """The envelope of a client's message; ``data`` is kept as raw JSON, checked but not changed."""

    event: str
    channel: "_Text" = None
    data: msgspec.Raw = msgspec.Raw(b"")


class Subscribe(msgspec.Struct):
    """Data of a client's ``pusher:subscribe``."""

    channel: str
    auth: "_Text" = None
    channel_data: "_Text" = None
    resume: "_Text" = None
    """Position after which the client goes on; empty to begin with what is new, ``?`` if it has lost its place. None:
    the client cannot resume."""
    rewind: "Rewind" = 0
    """Number of kept events that the client wants first."""
    was: "FormerIds" = []
    """Earlier socket ids of the client, whose own events it does not want back."""


class Unsubscribe(msgspec.Struct):
    """Data of a client's ``pusher:unsubscribe``."""

    channel: str


class SignIn(msgspec.Struct):
    """Data of a client's ``pusher:signin``."""

    auth: str
    user_data: str


class _Event(msgspec.Struct):
    """An application's event, as clients get it."""

    event: str
    data: str
    channel: str


class ChannelData(msgspec.Struct):
    """``channel_data`` of a presence subscription; an integer id is the same user as its decimal string."""

    user_id: "_Id"
    user_info: msgspec.Raw = msgspec.Raw(b"null")


class UserData(msgspec.Struct):
    """``user_data`` of a sign-in; an integer id is the same user as its decimal string."""

    id: "_Id"
    user_info: msgspec.Raw = msgspec.Raw(b"null")
    watchlist: msgspec.Raw = msgspec.Raw(b"null")
    """Ids of users whom the client watches; see :mod:`soundpost.core.watchlists`."""


T = TypeVar("T", Subscribe, Unsubscribe, SignIn)

_message_reader: Final = Reader(ClientMessage)
_data_readers: Final[dict[type, Reader]] = {shape: Reader(shape | str) for shape in (Subscribe, Unsubscribe, SignIn)}
read_channel_data: Final[Callable[[str], ChannelData]] = reader(ChannelData)
read_fields: Final[Callable[[str], dict[str, msgspec.Raw]]] = reader(dict[str, msgspec.Raw])
read_user_data: Final[Callable[[str], UserData]] = reader(UserData)


def decode_message(payload: bytes) -> ClientMessage:
    """Return the envelope in a text frame's payload. Raise ProtocolError for any other payload."""
    try:
        message: ClientMessage = _message_reader.read(payload)
        return message
    except JsonError as error:
        raise ProtocolError(
            codes.INVALID_MESSAGE, f'Invalid message format: expected {{"event": "…", "data": …}}: {error}'
        ) from None


def decode_data(message: ClientMessage, shape: type[T]) -> T:
    """Return the ``data`` of a message, sent as an object or as a JSON string of one. Raise ProtocolError."""
    raw = message.data
    if not len(raw):
        raise ProtocolError(codes.INVALID_MESSAGE, f"Invalid message format: data of {message.event} is missing")
    found = _data_readers[shape]
    try:
        data = found.read_raw(raw)
        if isinstance(data, str):
            data = found.read(data)
        if isinstance(data, shape):
            return data
        error = JsonError("expected an object, got a string in a string")
    except JsonError as malformed:
        error = malformed
    raise ProtocolError(codes.INVALID_MESSAGE, f"Invalid message format: data of {message.event}: {error}")


def connection_established(socket_id: str, activity_timeout: int) -> bytes:
    """Return the frame for ``pusher:connection_established``; ``activity_timeout`` is in seconds."""
    # Measured: to encode the data as a string of its own takes half as much again.
    return text_frame(
        f'{{"event":"pusher:connection_established","data":"{{\\"socket_id\\":\\"{socket_id}\\",'
        f'\\"activity_timeout\\":{activity_timeout}}}"}}'.encode()
    )


def error(code: int | None, message: str) -> bytes:
    """Return the frame for ``pusher:error``. The connection stays open unless a close frame follows."""
    return text_frame(b'{"event":"pusher:error","data":' + encode({"code": code, "message": message}) + b"}")


def subscription_succeeded(channel: str, data: bytes = b'"{}"', more: bytes = b"") -> bytes:
    """Return the frame for ``subscription_succeeded``; ``data`` is a JSON string of the members, or of ``{}``.

    ``more`` are further fields for a client that can resume, see :func:`resumption`.
    """
    return _internal(b"pusher_internal:subscription_succeeded", channel, data, more)


def resumption(position: str, resumed: int | None = None, gap: str | None = None) -> bytes:
    """Return fields of ``subscription_succeeded`` for a client that can resume.

    ``resumed`` is the number of events that follow after the client's own position, ``gap`` the reason why some are
    missing; a first subscription has neither.
    """
    outcome = "" if resumed is None else f',"resumed":{resumed}'
    if gap is not None:
        outcome = f',"gap":"{gap}"'
    return f'{outcome},"position":"{position}"'.encode()


def gap(channel: str, reason: str, position: str) -> bytes:
    """Return the frame for ``soundpost:gap``: events of a channel are missing, and ``position`` is behind them."""
    data = encode(f'{{"reason":"{reason}"}}')
    return _internal(b"soundpost:gap", channel, data, f',"position":"{position}"'.encode())


def subscription_error(channel: str, type: str, message: str, status: int) -> bytes:
    """Return the frame for ``pusher:subscription_error``, which laravel-echo's ``.error()`` listens to."""
    data = encode(encode({"type": type, "error": message, "status": status}).decode())
    return _internal(b"pusher:subscription_error", channel, data)


def subscription_count(channel: str, count: int) -> bytes:
    """Return the frame for ``subscription_count``: the number of connections subscribed to a channel."""
    return _internal(b"pusher_internal:subscription_count", channel, encode(f'{{"subscription_count":{count}}}'))


def member_added(channel: str, user_id: bytes, user_info: bytes) -> bytes:
    """Return the frame for ``member_added``; ``user_id`` and ``user_info`` are JSON."""
    data = b'{"user_id":' + user_id + b',"user_info":' + user_info + b"}"
    return _internal(b"pusher_internal:member_added", channel, encode(data.decode()))


def member_removed(channel: str, user_id: bytes) -> bytes:
    """Return the frame for ``member_removed``; ``user_id`` is JSON."""
    return _internal(b"pusher_internal:member_removed", channel, encode((b'{"user_id":' + user_id + b"}").decode()))


def cache_miss(channel: str) -> bytes:
    """Return the frame for ``pusher:cache_miss``: a cache channel has no event."""
    return text_frame(b'{"event":"pusher:cache_miss","channel":' + encode(channel) + b"}")


def signin_success(user_data: str) -> bytes:
    """Return the frame for ``pusher:signin_success``.

    ``user_data`` is the JSON that the client sent, with a string as id: pusher-js takes no other.
    """
    return text_frame(b'{"event":"pusher:signin_success","data":{"user_data":' + encode(user_data) + b"}}")


def watchlist_events(online: Sequence[str], offline: Sequence[str]) -> bytes:
    """Return the frame that tells a client which users of its watchlist are online, and which offline."""
    states = (("online", online), ("offline", offline))
    events = [{"name": name, "user_ids": user_ids} for name, user_ids in states if user_ids]
    return text_frame(b'{"event":"pusher_internal:watchlist_events","data":' + encode({"events": events}) + b"}")


def event(name: str, channel: str, data: str) -> bytes:
    """Return the frame for an application's event; ``data`` is the published string."""
    return text_frame(encode(_Event(name, data, channel)))


def client_event(name: str, channel: str, data: bytes, user_id: str | None) -> bytes:
    """Return the frame for a client event; ``data`` is JSON, ``user_id`` is the sender's on presence channels."""
    end = b"}" if user_id is None else b',"user_id":' + encode(user_id) + b"}"
    return text_frame(b'{"event":%b,"channel":%b,"data":%b%b' % (encode(name), encode(channel), data or b"null", end))


def _internal(name: bytes, channel: str, data: bytes, more: bytes = b"") -> bytes:
    return text_frame(b'{"event":"%b","data":%b,"channel":%b%b}' % (name, data, encode(channel), more))


PING: Final = text_frame(b'{"event":"pusher:ping","data":"{}"}')
PONG: Final = text_frame(b'{"event":"pusher:pong","data":"{}"}')
