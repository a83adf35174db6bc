"""Content of events and members: an event carries its stream, number and time.

The data of an event is plain text without quotes, so that no server's JSON changes a byte of it, and so that it can be
found in a frame without decoding JSON: at 100,000 deliveries a second, decoding would be most of the client's work.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

EVENT_NAME: Final = "bench"
MIN_SIZE: Final = 64
"""Smallest size of event data in bytes: room for stream, number and time."""

_EVENT: Final = re.compile(rb'"soundpost-bench (\d+) (\d+) (\d+) ')
_MEMBER: Final = re.compile(rb'bench-\d+-(\d+)\\"')


class BenchEvent(NamedTuple):
    """Event that arrived; ``sent_at`` in nanoseconds of the monotonic clock."""

    stream: int
    number: int
    sent_at: int


def event_data(stream: int, number: int, sent_at: int, size: int) -> bytes:
    """Return event data of ``size`` bytes (at least ``MIN_SIZE``); ``sent_at`` in nanoseconds of the monotonic clock.

    All processes of a run are on one host, where that clock (CLOCK_MONOTONIC on Linux, mach_absolute_time on macOS)
    is the same for all of them and nobody sets it: times of different processes may be compared.
    """
    return (b"soundpost-bench %d %d %d " % (stream, number, sent_at)).ljust(size, b"x")


def read_event(message: bytes) -> BenchEvent | None:
    """Return the event in a message of the server; None for any other message."""
    match = _EVENT.search(message)
    return BenchEvent(int(match[1]), int(match[2]), int(match[3])) if match else None


def user_id(connection: int, stay: int) -> str:
    """Return the user id of a connection on its presence channel; ``stay`` counts its returns."""
    return f"bench-{connection}-{stay}"


def is_notice(message: bytes) -> bool:
    """Return whether a message is about a member that left or came back, not one that came for the first time.

    First arrivals belong to the time before the run; some members see them and some came after.
    """
    if b"pusher_internal:member_removed" in message:
        return _MEMBER.search(message) is not None
    if b"pusher_internal:member_added" not in message:
        return False
    match = _MEMBER.search(message)
    return match is not None and match[1] != b"0"
