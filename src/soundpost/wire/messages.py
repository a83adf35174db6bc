"""Pusher messages: what clients send, decoded, and what the server sends, as ready-made WebSocket frames.

``data`` of a server's frame is a JSON *string* (double encoded), but for ``pusher:error`` and
``pusher:signin_success``, which hosted Pusher sends as plain objects; pusher-js reads both.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from soundpost.errors import ProtocolError
from soundpost.wire import codes
from soundpost.wire.frames import text_frame

encode: Final = msgspec.json.Encoder().encode
"""JSON of a value as UTF-8 bytes."""

_MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeError)


class ClientMessage(msgspec.Struct):
    """The envelope of everything a client sends; ``data`` is kept as raw JSON, checked but not changed."""

    event: str
    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")


class Subscribe(msgspec.Struct):
    """Data of ``pusher:subscribe``."""

    channel: str
    auth: str | None = None
    channel_data: str | None = None


class Unsubscribe(msgspec.Struct):
    """Data of ``pusher:unsubscribe``."""

    channel: str


class SignIn(msgspec.Struct):
    """Data of ``pusher:signin``."""

    auth: str
    user_data: str


class ChannelData(msgspec.Struct):
    """``channel_data`` of a presence subscription; an integer id is the same user as its decimal string."""

    user_id: str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    user_info: msgspec.Raw = msgspec.Raw(b"null")


class UserData(msgspec.Struct):
    """``user_data`` of a sign-in."""

    id: str
    user_info: msgspec.Raw = msgspec.Raw(b"null")


T = TypeVar("T", Subscribe, Unsubscribe, SignIn)

_decode_message: Final = msgspec.json.Decoder(ClientMessage).decode
_decoders: Final[dict[type, msgspec.json.Decoder[Any]]] = {
    shape: msgspec.json.Decoder(shape | str) for shape in (Subscribe, Unsubscribe, SignIn)
}
decode_channel_data: Final = msgspec.json.Decoder(ChannelData).decode
decode_user_data: Final = msgspec.json.Decoder(UserData).decode


def decode_message(payload: bytes) -> ClientMessage:
    """The envelope in a text frame's payload. Raises ProtocolError for anything else."""
    try:
        return _decode_message(payload)
    except _MALFORMED as error:
        message = _with_half_characters(payload)
        if message is not None:
            return message
        raise ProtocolError(
            codes.INVALID_MESSAGE, f'Invalid message format: expected {{"event": "…", "data": …}}: {error}'
        ) from None


def _with_half_characters(payload: bytes) -> ClientMessage | None:
    """A message whose data has an escape such as ``\\ud83d`` alone: half an emoji, as JavaScript writes a text that was
    cut in its middle. That is JSON, but not for msgspec. None for everything else."""
    if b"\\ud" not in payload.lower():
        return None
    try:
        value = json.loads(payload, parse_constant=_refuse)
        data = json.dumps(value["data"], separators=(",", ":"), allow_nan=False).encode()
        message = _decode_message(encode({"event": value["event"], "channel": value.get("channel")}))
    except (*_MALFORMED, ValueError, LookupError, TypeError, AttributeError):
        return None
    message.data = msgspec.Raw(data)
    return message


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def decode_data(message: ClientMessage, shape: type[T]) -> T:
    """The ``data`` of a message, sent as an object or as a JSON string of one. Raises ProtocolError."""
    decode = _decoders[shape].decode
    try:
        data = decode(message.data)
        if isinstance(data, str):
            data = decode(data)
        if isinstance(data, shape):
            return data
        error: Exception = ValueError("expected an object, got a string in a string")
    except _MALFORMED as malformed:
        error = malformed
    raise ProtocolError(codes.INVALID_MESSAGE, f"Invalid message format: data of {message.event}: {error}")


def connection_established(socket_id: str, activity_timeout: int) -> bytes:
    """The first frame a client gets; ``activity_timeout`` in seconds."""
    data = f'{{"socket_id":"{socket_id}","activity_timeout":{activity_timeout}}}'
    return text_frame(b'{"event":"pusher:connection_established","data":' + encode(data) + b"}")


def error(code: int | None, message: str) -> bytes:
    """A ``pusher:error``; whether the connection ends is said by a close frame, not by this."""
    return text_frame(b'{"event":"pusher:error","data":' + encode({"code": code, "message": message}) + b"}")


def subscription_succeeded(channel: str, data: bytes = b'"{}"') -> bytes:
    """``data`` is a JSON string, encoded: the members of a presence channel, or of nothing."""
    return _internal(b"pusher_internal:subscription_succeeded", channel, data)


def subscription_error(channel: str, type: str, message: str, status: int) -> bytes:
    """What laravel-echo's ``.error()`` listens to."""
    data = encode(encode({"type": type, "error": message, "status": status}).decode())
    return _internal(b"pusher:subscription_error", channel, data)


def subscription_count(channel: str, count: int) -> bytes:
    """How many connections are subscribed to a channel."""
    return _internal(b"pusher_internal:subscription_count", channel, encode(f'{{"subscription_count":{count}}}'))


def member_added(channel: str, user_id: bytes, user_info: bytes) -> bytes:
    """``user_id`` and ``user_info`` are JSON."""
    data = b'{"user_id":' + user_id + b',"user_info":' + user_info + b"}"
    return _internal(b"pusher_internal:member_added", channel, encode(data.decode()))


def member_removed(channel: str, user_id: bytes) -> bytes:
    """``user_id`` is JSON."""
    return _internal(b"pusher_internal:member_removed", channel, encode((b'{"user_id":' + user_id + b"}").decode()))


def cache_miss(channel: str) -> bytes:
    """A cache channel has no event to give."""
    return text_frame(b'{"event":"pusher:cache_miss","channel":' + encode(channel) + b"}")


def signin_success(user_data: str) -> bytes:
    """``user_data`` is the string as the client sent it."""
    return text_frame(b'{"event":"pusher:signin_success","data":{"user_data":' + encode(user_data) + b"}}")


def event(name: str, channel: str, data: str) -> bytes:
    """An application's event; ``data`` is the published string."""
    return text_frame(b'{"event":%b,"data":%b,"channel":%b}' % (encode(name), encode(data), encode(channel)))


def client_event(name: str, channel: str, data: bytes, user_id: str | None) -> bytes:
    """A client's event; ``data`` is its JSON, unchanged; ``user_id`` the sender's, on presence channels."""
    end = b"}" if user_id is None else b',"user_id":' + encode(user_id) + b"}"
    return text_frame(
        b'{"event":' + encode(name) + b',"channel":' + encode(channel) + b',"data":' + (data or b"null") + end
    )


def _internal(name: bytes, channel: str, data: bytes) -> bytes:
    return text_frame(b'{"event":"%b","data":%b,"channel":%b}' % (name, data, encode(channel)))


PING: Final = text_frame(b'{"event":"pusher:ping","data":"{}"}')
PONG: Final = text_frame(b'{"event":"pusher:pong","data":"{}"}')
