"""Checks of events from Redis before clients get them: who may publish there must not send raw bytes to clients."""

from __future__ import annotations

from typing import Final

import msgspec

from soundpost.core.app_settings import AppSettings
from soundpost.errors import ProtocolError
from soundpost.wire.frames import frame_payload, text_frame
from soundpost.wire.json_text import reader
from soundpost.wire.messages import decode_message

_MAX_ESCAPED: Final = 6
"""Largest number of bytes that JSON makes of one byte: a control character is escaped as six."""
_ENVELOPE: Final = 200
"""Bytes of an event beside its data and names, rounded up."""
_read_raw: Final = reader(msgspec.Raw)


def largest_frame(app: AppSettings) -> int:
    """Return the bytes of the largest frame that an event of an app can have, from the application or a client."""
    names = app.max_event_name_length + app.max_channel_name_length + app.max_user_id_length
    return _MAX_ESCAPED * (max(app.max_event_data_size, app.max_message_size) + 4 * names) + _ENVELOPE


def event_fault(frame: bytes, channel: str, largest: int) -> str | None:
    """Return the reason why a frame is not an event of a channel, of at most ``largest`` bytes; None if it is one.

    Measured: 0.9 µs for an event of 300 bytes, once per event and host.
    """
    if len(frame) > largest:
        return f"an event of {len(frame)} bytes, where at most {largest} follow from the limits of its app"
    if len(frame) < 2 or text_frame(payload := frame_payload(frame)) != frame:
        return "an event that is not a single text frame"
    try:
        if not payload.isascii():
            payload.decode()
        message = decode_message(payload)
    except (UnicodeDecodeError, ProtocolError):
        return "an event that is not JSON with an event and a channel"
    if payload[-1:] != b"}":  # a position takes the place of the last byte
        return "an event with bytes behind its JSON"
    return None if message.channel == channel else "an event of another channel"


def is_json(data: bytes) -> bool:
    """Return whether bytes are JSON in UTF-8; half emojis (``\\ud83d`` alone) are allowed."""
    try:
        data.decode()
        _read_raw(data)
    except ValueError:  # JsonError and UnicodeDecodeError
        return False
    return True
