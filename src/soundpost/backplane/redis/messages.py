"""What nodes tell one another over a topic, as bytes; scripts make some of it (see :mod:`.scripts`).

A message begins with ``S1`` (ours, version 1) and its kind. Anything else is not ours: :func:`parse` gives None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from soundpost.core.presence import Member
from soundpost.wire.json_text import reader

MAGIC = b"S1"
_read_id: Final[Callable[[bytes], str | int]] = reader(str | int)
NOBODY = b"-"
"""In place of a socket id: the event is for all."""


class Event(NamedTuple):
    """An event for the subscribers of a channel; ``version`` is 0 for one that is not kept."""

    version: int
    origin: bytes
    number: int
    """Grows with each message of its origin."""
    except_socket_id: str | None
    frame: bytes


class Entered(NamedTuple):
    """A user is on a presence channel now."""

    version: int
    member: Member


class Left(NamedTuple):
    """A user is no longer on a presence channel."""

    version: int
    user_id: str


class Forgotten(NamedTuple):
    """The last event of a channel is kept no longer: there are too many newer ones."""


class Counted(NamedTuple):
    """So many subscriptions has a channel now."""

    subscriptions: int


class Terminate(NamedTuple):
    """Close a user's connections."""

    origin: bytes
    number: int
    app_id: str
    user_id: str


class Restart(NamedTuple):
    """All hosts are to restart."""

    origin: bytes
    number: int


class Hello(NamedTuple):
    """A node has come; so many there are with it."""

    nodes: int


Message = Event | Entered | Left | Forgotten | Counted | Terminate | Restart | Hello


def event_header(origin: bytes, number: int, except_socket_id: str | None) -> bytes:
    """What stands before an event's frame."""
    return b"%b %d %b " % (origin, number, NOBODY if except_socket_id is None else except_socket_id.encode())


def event(header: bytes, frame: bytes) -> bytes:
    """An event that is not kept."""
    return MAGIC + b"E" + header + frame


def terminate(origin: bytes, number: int, app_id: str, user_id: str) -> bytes:
    """For all nodes."""
    return MAGIC + b"X%b %d %b %b" % (origin, number, app_id.encode(), user_id.encode())


def hello(nodes: int) -> bytes:
    """For all nodes."""
    return MAGIC + b"N%d" % nodes


def restart(origin: bytes, number: int) -> bytes:
    """See :class:`Restart`."""
    return MAGIC + b"R%b %d" % (origin, number)


def parse(data: bytes) -> Message | None:
    """A message; None for what is none of ours."""
    if data[:2] != MAGIC:
        return None
    kind, rest = data[2:3], data[3:]
    try:
        if kind == b"E":
            return _event(0, rest)
        if kind == b"!":
            number, rest = rest.split(b" ", 1)
            return _event(int(number), rest)
        if kind == b"+":
            version, _, blob = _user(rest)
            return Entered(version, member_of(blob))
        if kind == b"-":
            version, user, _ = _user(rest)
            return Left(version, user)
        if kind == b"~":
            return Forgotten()
        if kind == b"#":
            return Counted(int(rest))
        if kind == b"N":
            return Hello(int(rest))
        if kind == b"R":
            origin, number = rest.split(b" ", 1)
            return Restart(origin, int(number))
        if kind == b"X":
            origin, number, app_id, user_bytes = rest.split(b" ", 3)
            return Terminate(origin, int(number), app_id.decode(), user_bytes.decode())
    except ValueError:  # also JsonError, UnicodeDecodeError
        pass
    return None


def _event(version: int, rest: bytes) -> Event:
    origin, number, socket_id, frame = rest.split(b" ", 3)
    return Event(version, origin, int(number), None if socket_id == NOBODY else socket_id.decode(), frame)


def _user(rest: bytes) -> tuple[int, str, bytes]:
    version, size, rest = rest.split(b" ", 2)
    end = int(size)
    if end > len(rest):
        raise ValueError("cut off")
    return int(version), rest[:end].decode(), rest[end:]


def member_blob(member: Member) -> bytes:
    """A member as it stands in Redis: its id as the application wrote it, and its info; both JSON."""
    return b"%d %b%b" % (len(member.id_json), member.id_json, member.info_json)


def member_of(blob: bytes) -> Member:
    """The member of :func:`member_blob`. Raises ValueError."""
    size, rest = blob.split(b" ", 1)
    end = int(size)
    return Member(_read_id(rest[:end]), rest[end:])
