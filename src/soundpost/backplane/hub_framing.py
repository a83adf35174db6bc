"""Framing of the messages between a worker and the hub: each is MessagePack, behind its length in four bytes."""

from __future__ import annotations

import logging
from struct import Struct
from typing import Final

import msgspec

from soundpost.backplane.hub_messages import FromHub
from soundpost.backplane.worker_messages import FromWorker
from soundpost.log_throttle import MINUTE, LogThrottle

log = logging.getLogger("soundpost.workers")

Message = FromHub | FromWorker
"""A message in either direction."""

_encode_into = msgspec.msgpack.Encoder().encode_into
_decode = msgspec.msgpack.Decoder(Message).decode

LENGTH_SIZE: Final = 4
"""Bytes of the length in front of each message."""
_LENGTH: Final = Struct(">I")
LARGE: Final = 16_384
"""Bytes from which on a message is not copied without need. A copy of 256 kB takes the kernel 60 new pages."""


def encode(message: Message) -> bytearray:
    """Return a message as bytes, behind its length."""
    data = bytearray()
    _encode_into(message, data, LENGTH_SIZE)
    _LENGTH.pack_into(data, 0, len(data) - LENGTH_SIZE)
    return data


_ROOM: Final = 262_144
"""Bytes of the buffer that a stream is read into; a larger message has a larger buffer, for its time."""
_LEAST_ROOM: Final = 16_384
"""Bytes for which there is room at each read, so that no read brings very little."""


class MessageReader:
    """A stream of bytes, divided into messages. A message that cannot be read is dropped."""

    # One message at a time: all messages of a read of 256 kB together took 10 ms and more.

    def __init__(self) -> None:
        self._buffer = bytearray(_ROOM)
        self._start = 0
        self._end = 0
        self._throttle = LogThrottle(log)

    def room(self) -> memoryview:
        """Return the place for the next bytes of the stream; :meth:`received` takes note of them."""
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > _ROOM:
                self._buffer = bytearray(_ROOM)
        elif len(self._buffer) - self._end < _LEAST_ROOM:
            self._make_room()
        return memoryview(self._buffer)[self._end :]

    def received(self, size: int) -> None:
        """Note the number of bytes that were written to the beginning of :meth:`room`."""
        self._end += size

    @property
    def has_more(self) -> bool:
        """True if another message has arrived whole."""
        return self._end_of_message() <= self._end

    def take(self) -> Message | None:
        """Return the next message that has arrived whole; None if there is none yet."""
        buffer = self._buffer
        while (end := self._end_of_message()) <= self._end:
            begin, self._start = self._start + LENGTH_SIZE, end
            try:
                if end - begin < LARGE:
                    return _decode(buffer[begin:end])
                with memoryview(buffer)[begin:end] as data:
                    return _decode(data)
            except (msgspec.DecodeError, RecursionError) as error:
                self._throttle.warn(
                    "unread", "a message of hub and workers cannot be read and is dropped: %s", error, interval=MINUTE
                )
        return None

    def _make_room(self) -> None:
        """Move the unread bytes to the beginning of the buffer, or of a larger one if the next message needs it."""
        left = self._end - self._start
        needed = max(self._end_of_message() - self._start, left + _LEAST_ROOM)
        target = self._buffer if needed <= len(self._buffer) else bytearray(max(needed, 2 * left))
        target[:left] = self._buffer[self._start : self._end]
        self._buffer, self._start, self._end = target, 0, left

    def _end_of_message(self) -> int:
        begin = self._start + LENGTH_SIZE
        if begin > self._end:
            return begin
        (length,) = _LENGTH.unpack_from(self._buffer, self._start)
        return begin + int(length)
