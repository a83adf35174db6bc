"""A list of kept events that takes little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Final, overload

from soundpost.core.history import KeptEvent

EVENT_SIZE: Final = 80
"""Bytes of a kept event beside its frame, as counted against the limits of memory (measured: 52 to 77)."""
EXCLUSION_SIZE: Final = 80
"""Bytes of the socket id that does not get an event, as counted."""


class KeptEvents:
    """Events in the order of their offsets. An offset takes 8 bytes, and an event has no object of its own."""

    __slots__ = ("_excluded", "_frames", "_offsets")

    def __init__(self) -> None:
        self._offsets = array("q")
        self._frames: list[bytes] = []
        self._excluded: list[str | None] | None = None  # socket ids that do not get the events; None for none at all

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, place: int) -> KeptEvent: ...

    @overload
    def __getitem__(self, place: slice) -> list[KeptEvent]: ...

    def __getitem__(self, place: int | slice) -> KeptEvent | list[KeptEvent]:
        if isinstance(place, int):
            excluded = None if self._excluded is None else self._excluded[place]
            return KeptEvent(self._offsets[place], self._frames[place], excluded)
        if self._excluded is None:
            return list(map(KeptEvent, self._offsets[place], self._frames[place]))
        return list(map(KeptEvent, self._offsets[place], self._frames[place], self._excluded[place]))

    @property
    def first_offset(self) -> int:
        """Return the offset of the oldest event; there must be one."""
        return self._offsets[0]

    def append(self, event: KeptEvent) -> int:
        """Add an event behind all others; return its size in bytes."""
        excluded = event.except_socket_id
        if excluded is not None and self._excluded is None:
            self._excluded = [None] * len(self._frames)
        self._offsets.append(event.offset)
        self._frames.append(event.frame)
        if self._excluded is not None:
            self._excluded.append(excluded)
        return len(event.frame) + (EVENT_SIZE if excluded is None else EVENT_SIZE + EXCLUSION_SIZE)

    def drop_first(self, number: int) -> tuple[int, int]:
        """Remove the oldest events, at least one; return the offset of the last of them, and their size in bytes."""
        if number == 1:  # by far the most often
            offset, size = self._offsets.pop(0), len(self._frames.pop(0)) + EVENT_SIZE
        else:
            offset = self._offsets[:number][-1]
            size = sum(map(len, self._frames[:number])) + EVENT_SIZE * len(self._frames[:number])
            del self._offsets[:number], self._frames[:number]
        if self._excluded is not None:
            size += EXCLUSION_SIZE * (len(self._excluded[:number]) - self._excluded[:number].count(None))
            del self._excluded[:number]
            if not self._frames:
                self._excluded = None
        return offset, size

    def replace_frame(self, index: int, frame: bytes) -> int:
        """Give an event another frame; return by how many bytes it grows."""
        growth = len(frame) - len(self._frames[index])
        self._frames[index] = frame
        return growth

    def index_after(self, offset: int) -> int:
        """Return the index of the first event after an offset."""
        offsets = self._offsets
        if not offsets or offsets[-1] <= offset:
            return len(offsets)
        return bisect_right(offsets, offset)
