"""A list of kept events that takes little memory, and as little time at its front as at its end."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Final, overload

from soundpost.core.history import KeptEvent

EVENT_SIZE: Final = 80
"""Bytes of a kept event beside its frame and the excluded socket id, as counted against the limits of memory.

Measured: 63 to 65, if a channel has 100 of them.
"""
_BRACE: Final = ord("}")


class KeptEvents:
    """Events in the order of their offsets. An offset takes 8 bytes, and an event has no object of its own.

    A frame is a JSON object, so it ends with a brace. The digits behind the brace, if any, are the socket id that does
    not get the event: text in the same bytes takes a quarter of the memory of a string.
    """

    __slots__ = ("_first", "_frames", "_offsets")

    def __init__(self) -> None:
        self._offsets = array("q")
        self._frames: list[bytes] = []
        self._first = 0  # number of places at the front whose events are dropped already

    def __len__(self) -> int:
        return len(self._frames) - self._first

    @overload
    def __getitem__(self, index: int) -> KeptEvent: ...

    @overload
    def __getitem__(self, index: slice) -> list[KeptEvent]: ...

    def __getitem__(self, index: int | slice) -> KeptEvent | list[KeptEvent]:
        offsets, frames = self._offsets, self._frames
        places = range(self._first, len(frames))[index]
        if isinstance(places, int):
            return _event(offsets[places], frames[places])
        return [
            KeptEvent(offsets[i], frame) if (frame := frames[i])[-1] == _BRACE else _event(offsets[i], frame)
            for i in places
        ]

    @property
    def first_offset(self) -> int:
        """The offset of the oldest event; there must be one."""
        return self._offsets[self._first]

    def append(self, event: KeptEvent) -> int:
        """Add an event behind all others; return its size in bytes."""
        frame = event.frame
        if event.except_socket_id is not None:
            frame += event.except_socket_id.encode()
        self._offsets.append(event.offset)
        self._frames.append(frame)
        return len(frame) + EVENT_SIZE

    def drop_first(self, number: int) -> tuple[int, int]:
        """Remove the oldest events, at least one; return the offset of the last of them, and their size in bytes."""
        frames, first = self._frames, self._first
        if number == 1:  # by far the most often
            behind, size = first + 1, len(frames[first]) + EVENT_SIZE
            frames[first] = b""
        else:
            behind = min(first + number, len(frames))
            size = sum(map(len, frames[first:behind])) + EVENT_SIZE * (behind - first)
            frames[first:behind] = [b""] * (behind - first)
        offset = self._offsets[behind - 1]
        if behind * 8 >= len(frames):  # to move all others for each event would take long
            del frames[:behind], self._offsets[:behind]
            behind = 0
        self._first = behind
        return offset, size

    def replace_frame(self, index: int, frame: bytes) -> int:
        """Give an event another frame; return by how many bytes it grows."""
        at = self._first + index
        before = self._frames[at]
        self._frames[at] = frame + _excluded(before)
        return len(self._frames[at]) - len(before)

    def index_after(self, offset: int) -> int:
        """Return the index of the first event after an offset."""
        offsets, first = self._offsets, self._first
        if not offsets or offsets[-1] <= offset:
            return len(offsets) - first
        return bisect_right(offsets, offset, first) - first


def _event(offset: int, kept: bytes) -> KeptEvent:
    """Return an event from its offset, and its frame with the excluded socket id behind."""
    excluded = _excluded(kept)
    return KeptEvent(offset, kept.removesuffix(excluded), excluded.decode() or None)


def _excluded(kept: bytes) -> bytes:
    """Return what stands behind the last brace: the socket id that does not get the event, or nothing."""
    return kept[kept.rindex(b"}") + 1 :]
