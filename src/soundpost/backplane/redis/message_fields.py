"""Fields of messages between hosts and of values in Redis: their lengths first, and each of them checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from struct import Struct, error
from typing import Final

from soundpost.backplane.redis.received import is_json
from soundpost.core.member import Member
from soundpost.wire.json_text import is_unicode, reader
from soundpost.wire.positions import MAX_OFFSET
from soundpost.wire.socket_id import is_socket_id

_MAX_FIELDS: Final = 14
_LENGTHS: Final = tuple(Struct(f">{count}I") for count in range(_MAX_FIELDS + 1))
_MAX_DIGITS: Final = 18
"""Largest number of digits of a number: versions are milliseconds since 1970, and more."""
_MAX_ORIGIN_LENGTH: Final = 64
_MAX_GENERATION_LENGTH: Final = 16
_EVENT_ID: Final = re.compile(rb"[A-Za-z0-9_=-]{1,24}")
_read_id: Final[Callable[[bytes], str | int]] = reader(str | int)


def join_fields(fields: Sequence[bytes]) -> bytes:
    """Return up to fourteen fields as bytes, behind their lengths."""
    return _LENGTHS[len(fields)].pack(*map(len, fields)) + b"".join(fields)


def split_fields(data: bytes, count: int, start: int = 0) -> list[bytes]:
    """Return the fields that :func:`join_fields` joined, from ``start`` to the end. Raise ValueError for other data."""
    try:
        lengths = _LENGTHS[count].unpack_from(data, start)
    except error:
        raise ValueError("cut off") from None
    at = start + 4 * count
    fields = []
    for length in lengths:
        fields.append(data[at : at + length])
        at += length
    if at != len(data):
        raise ValueError("the lengths are not those of the fields")
    return fields


def number_of(text: bytes) -> int:
    """Return the number in a field, without a sign. Raise ValueError for a field that has none."""
    if not text.isdigit() or len(text) > _MAX_DIGITS or (text[0] == 0x30 and len(text) > 1):
        raise ValueError("no number")
    return int(text)


def origin_of(field: bytes) -> bytes:
    """Return the id of a sender of messages. Raise ValueError for a field that has none."""
    if len(field) > _MAX_ORIGIN_LENGTH:  # the origin is remembered
        raise ValueError("no origin")
    return field


def generation_of(field: bytes) -> str:
    """Return the generation of a history. Raise ValueError for a field that has none."""
    if not 0 < len(field) <= _MAX_GENERATION_LENGTH or not field.isalnum():
        raise ValueError("no generation")
    return field.decode("ascii")


def offset_of(field: bytes) -> int:
    """Return the offset of an event in a history. Raise ValueError for a field that has none."""
    offset = number_of(field)
    if offset > MAX_OFFSET:
        raise ValueError("no offset")
    return offset


def event_id_of(field: bytes) -> str:
    """Return the id of an event of a history. Raise ValueError for a field that is none."""
    if not _EVENT_ID.fullmatch(field):
        raise ValueError("no event id")
    return field.decode()


def excluded(except_socket_id: str | None) -> bytes:
    """Return the field for the socket that does not get an event; empty if all do."""
    return b"" if except_socket_id is None else except_socket_id.encode()


def excluded_socket(field: bytes) -> str | None:
    """Return the socket id in the field of :func:`excluded`. Raise ValueError for a field that has none."""
    if not field:
        return None
    socket_id = field.decode()
    if not is_socket_id(socket_id):
        raise ValueError("no socket id")
    return socket_id


def member_blob(member: Member) -> bytes:
    """Return a member as Redis keeps it: the id as the application wrote it, and the info; both JSON."""
    return b"%d %b%b" % (len(member.id_json), member.id_json, member.info_json)


def member_of(blob: bytes) -> Member:
    """Return the member in the bytes of :func:`member_blob`. Raise ValueError for other bytes."""
    size, rest = blob.split(b" ", 1)
    end = number_of(size)
    user_id, info = _read_id(rest[:end]), rest[end:]
    if not is_json(info) or (isinstance(user_id, str) and not is_unicode(user_id)):
        raise ValueError("no member")
    return Member(user_id, info)
