"""What workers and the hub say to each other, as MessagePack; between processes of one host and one version only."""

from __future__ import annotations

import logging
import zlib
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct

from soundpost.config.settings import Settings
from soundpost.core.app_settings import AppSettings
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.core.peers import Admission, Change, Query, ReadyEvent, RequestKey

log = logging.getLogger("soundpost.workers")


class _Message(Struct, array_like=True, tag=True):
    pass


class _Numbered(_Message):
    """A question, or the answer that has its number. Answers may come in another order than the questions."""

    number: int


# From the hub


class Configuration(_Message):
    """The first message to a worker: what to serve."""

    number: int
    settings: Settings
    playground: bool
    debug: bool


class Reconfigure(_Message):
    """These are the apps from now on."""

    apps: list[AppSettings]


class Retire(_Message):
    """After ``delay`` seconds send all clients away, over ``drain_time`` seconds, and end."""

    drain_time: float
    delay: float


class Admitted(_Numbered):
    """Answer to :class:`Admit`."""

    admission: Admission


class Room(_Numbered):
    """Answer to :class:`Join` and :class:`Look`; see :class:`soundpost.core.peers.ChannelSnapshot`."""

    presence: bytes | None
    cached: bytes | None


class NoRoom(_Numbered):
    """Answer to :class:`Join`: the channel has as many members as it may have."""


class Answer(_Numbered):
    """Answer to :class:`Ask`."""

    value: Any


class Published(_Numbered):
    """Answer to :class:`Publish` and :class:`PublishOnce`: in this place among all events it goes to the worker's own
    clients. ``settled``: it is on its way to all others too; else :class:`Settled` follows."""

    settled: bool


class Known(_Numbered):
    """Answer to :class:`PublishOnce`: the request's key was taken before; see
    :data:`soundpost.core.peers.Reception`."""

    reception: Literal["repeated", "different"]


class Settled(_Numbered):
    """What was published is on its way to all nodes, or waits for those that cannot be reached."""


class Reach(_Message):
    """Whether what is published reaches all nodes there are."""

    all: bool


class Event(_Message):
    """An event of another worker, or the hub's own."""

    app_id: str
    channel: str
    frame: bytes
    except_socket_id: str | None


class Told(_Message):
    """Something for this worker's observers."""

    change: Change


class Ping(_Message):
    """Is the worker's loop still turning?"""


# From a worker


class Ready(_Message):
    """It listens. ``capacity``: open sockets at a time; ``watches``: it has observers."""

    capacity: int
    watches: bool


class Failed(_Message):
    """It could not start."""

    reason: str


class Admit(_Numbered):
    """A client wants to connect; ``address`` as :meth:`soundpost.core.peers.Peers.admit` takes it."""

    app_id: str
    address: str | None = None


class Release(_Message):
    """An admitted client is gone."""

    app_id: str
    address: str | None = None


class Join(_Numbered):
    """A client wants to subscribe; with ``user_id`` and ``info`` (JSON) on presence channels."""

    app_id: str
    channel: str
    user_id: str | int | None
    info: bytes


class Look(_Numbered):
    """How do things stand on a channel?"""

    app_id: str
    channel: str


class Leave(_Message):
    """A subscription is no more."""

    app_id: str
    channel: str
    user_id: str | None


class Publish(_Numbered):
    """An event for all workers."""

    app_id: str
    channel: str
    frame: bytes
    except_socket_id: str | None
    keep: bool


class PublishOnce(_Numbered):
    """All events of a request, unless it is known already."""

    app_id: str
    request: RequestKey
    events: list[ReadyEvent]


class Ask(_Numbered):
    """A question about all workers."""

    query: Query


class Pong(_Message):
    """It is."""


# Both ways


class Terminate(_Message):
    """Close a user's connections."""

    app_id: str
    user_id: str


FromHub = (
    Configuration
    | Reconfigure
    | Retire
    | Admitted
    | Room
    | NoRoom
    | Answer
    | Published
    | Known
    | Settled
    | Reach
    | Event
    | Told
    | Ping
    | Terminate
)
FromWorker = Ready | Failed | Admit | Release | Join | Look | Leave | Publish | PublishOnce | Ask | Pong | Terminate
Message = FromHub | FromWorker

HUB_PROTOCOL: Final = zlib.crc32(repr([(kind.__name__, kind.__struct_fields__) for kind in get_args(Message)]).encode())
"""Told to each worker: one of another version, started when the code on disk is newer than the parent, would not
understand its hub."""

_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode
"""A message from the bytes of :func:`encode` after the length."""

LENGTH_SIZE = 4


def encode(message: Message) -> bytes:
    """A message behind its length."""
    data = _encode(message)
    return len(data).to_bytes(LENGTH_SIZE, "big") + data


class MessageReader:
    """Messages out of a stream of bytes. What cannot be read is left out: the next message begins after its length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._throttle = LogThrottle(log)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes."""
        buffer = self._buffer
        buffer += data
        found: list[Message] = []
        start = 0
        while len(buffer) - start >= LENGTH_SIZE:
            begin = start + LENGTH_SIZE
            end = begin + int.from_bytes(buffer[start:begin], "big")
            if end > len(buffer):
                break
            try:
                found.append(decode(buffer[begin:end]))
            except (msgspec.DecodeError, RecursionError) as error:
                self._leave_out(error)
            start = end
        del buffer[:start]
        return found

    def _leave_out(self, error: Exception) -> None:
        self._throttle.warn(
            "unread", "a message of hub and workers cannot be read and is dropped: %s", error, silence=MINUTE
        )
