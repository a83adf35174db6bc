"""Reads of histories in Redis: one question for all who ask the same, and answers that are remembered for a moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.backplane.redis.failures import EMPTIED
from soundpost.backplane.redis.history_scripts import SINCE
from soundpost.backplane.redis.kept_channel import MICROSECONDS
from soundpost.backplane.redis.message_fields import event_id_of, excluded_socket
from soundpost.backplane.redis.received import event_fault
from soundpost.backplane.redis.redis import Redis
from soundpost.core.history import GapReason, KeptEvent
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.wire.frames import frame_payload, text_frame
from soundpost.wire.positions import with_position

log = logging.getLogger("soundpost.redis")

MAX_EVENTS: Final = 200
"""Largest number of events that one script reads: some 0.5 ms of Redis."""
SIZE: Final = 65_536
"""Bytes of frames after which a script reads no further event."""
_RETRY: Final = 0.1
"""Seconds after which a question is asked again that Redis could not be asked."""
_TRIES: Final = 60
"""Number of times that a question is asked at most: each may end the connection."""
_REMEMBERED: Final = 1.0
"""Seconds that an answer serves others who ask the same: clients that come back together."""


class StoredEvent(NamedTuple):
    """An event as Redis has it."""

    offset: int
    id: str
    except_socket_id: str | None
    frame: bytes
    """Frame without position."""
    is_marked: bool
    """True if some clients were given the event without a position: its frame needs the id."""


class Piece(NamedTuple):
    """Some events after a position."""

    gap: GapReason | None
    generation: str
    top: int
    """The last offset of the bucket, when Redis answered."""
    more: int
    """1 if more events follow; if the last ones were asked for, their number."""
    events: list[StoredEvent]


class ReadRequest(NamedTuple):
    """A position in a channel's history, and how much is read from there."""

    generation: str = ""
    after: int | None = None
    """None for all that is kept."""
    rewind: int = 0
    max_events: int = MAX_EVENTS
    size: int = SIZE
    newest_first: bool = False
    past_gap: bool = False
    """True to read on behind a gap, from the oldest event that is kept; else a gap is the whole answer."""


Answered = Callable[[Piece | None], None]
"""Callback that gets a piece; None while Redis is away."""


class HistoryReads:
    """Questions to Redis about histories. ``call_later`` is the loop's.

    ``may_wait`` tells whether Redis, which is away, may be back before long: questions wait that long.
    """

    def __init__(
        self,
        redis: Redis,
        call_later: Callable[..., object],
        evicts: Mapping[bytes, bool],
        may_wait: Callable[[], bool],
    ) -> None:
        self._redis = redis
        self._call_later = call_later
        self._evicts = evicts
        self._may_wait = may_wait
        self._throttle = LogThrottle(log)
        self._waiting: dict[tuple[str, str, ReadRequest], list[Answered]] = {}
        self._remembered: dict[tuple[str, str, ReadRequest], Piece] = {}

    def ask(self, entry: AppEntry, channel: str, request: ReadRequest, then: Answered) -> None:
        """Read from a position in a channel's history; ``then`` gets what Redis has there."""
        rule = entry.history_rules.of(channel)
        bucket = bucket_of(entry.app.id, channel)

        def answered(answer: Any) -> None:
            then(self._piece(answer, entry, channel) if isinstance(answer, list) else None)

        self._redis.run(
            SINCE,
            bucket,
            request.generation,
            channel,
            "" if request.after is None else request.after,
            request.rewind,
            request.max_events,
            request.size,
            0 if rule is None else rule.age * MICROSECONDS,
            int(request.newest_first),
            int(self._evicts.get(bucket, False)),
            int(request.past_gap),
            then=answered,
        )

    def _piece(self, answer: list[Any], entry: AppEntry, channel: str) -> Piece | None:
        gap, generation, top, more, marked, found, *faults = answer
        if not generation:
            self._redis.reconnect(EMPTIED)
            return None
        for each in faults:
            self._warn(entry, channel, each.decode(errors="replace"))
        events = []
        for i in range(0, len(found), 4):
            event = _event(found[i : i + 4], marked)
            fault = "a form that is none of ours"
            if event is not None:
                fault = event_fault(event.frame, channel, entry.largest_frame) or ""
            if fault or event is None:
                self._warn(entry, channel, f"an entry has {fault}")
            else:
                events.append(event)
        return Piece(None if gap is None else gap.decode(), generation.decode(), int(top), int(more), events)

    def _warn(self, entry: AppEntry, channel: str, fault: str) -> None:
        self._throttle.warn(
            "unreadable",
            "the history of %s of app %s in Redis cannot be read in whole, somebody else has written there: %s. What "
            "cannot be read is left out. To begin anew: DELETE /apps/%s/channels/%s/history",
            channel,
            entry.app.id,
            fault,
            entry.app.id,
            channel,
            interval=MINUTE,
        )

    def ask_with_retries(
        self, entry: AppEntry, channel: str, request: ReadRequest, then: Answered, tries: int = _TRIES
    ) -> None:
        """Read as :meth:`ask` does; while Redis may be back before long, wait for it."""

        def answered(piece: Piece | None) -> None:
            if piece is None and tries > 1 and self._may_wait():
                self._call_later(_RETRY, self.ask_with_retries, entry, channel, request, then, tries - 1)
            else:
                then(piece)

        if self._redis.is_connecting:
            answered(None)
        else:
            self.ask(entry, channel, request, answered)

    def ask_together(self, entry: AppEntry, channel: str, request: ReadRequest, then: Answered) -> None:
        """Read as :meth:`ask_with_retries` does, with one question for all who ask the same within a moment."""
        key = entry.app.id, channel, request
        known = self._remembered.get(key)
        if known is not None:
            then(known)
            return
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(then)
            return
        self._waiting[key] = [then]
        self.ask_with_retries(entry, channel, request, partial(self._answer, key))

    def _answer(self, key: tuple[str, str, ReadRequest], piece: Piece | None) -> None:
        waiting = self._waiting.pop(key)
        if piece is not None and piece.events:
            self._remembered[key] = piece
            self._call_later(_REMEMBERED, self._remembered.pop, key, None)
        for then in waiting:
            then(piece)

    def forget(self, app_id: str, channel: str) -> None:
        """Forget the answers about a channel."""
        for key in [key for key in self._remembered if key[:2] == (app_id, channel)]:
            del self._remembered[key]


def _event(fields: list[bytes], marked: list[bytes]) -> StoredEvent | None:
    """Return the event in the fields of an entry; None if they are none of ours."""
    offset, event_id, excluded, frame = fields
    try:
        return StoredEvent(int(offset), event_id_of(event_id), excluded_socket(excluded), frame, event_id in marked)
    except ValueError:
        return None


def placed_event(event: StoredEvent, generation: str, was_given: bool) -> KeptEvent:
    """Return an event with its position, and with its id if some clients have it without a position."""
    needs_id = (was_given or event.is_marked) and not event.frame.endswith(f',"id":"{event.id}"}}'.encode())
    position = f"{generation}.{event.offset}"
    frame = with_position(event.frame, position, event.id if needs_id else None)
    return KeptEvent(event.offset, frame, event.except_socket_id)


def placed_events(piece: Piece) -> list[KeptEvent]:
    """Return the events of a piece with their positions."""
    return [placed_event(event, piece.generation, False) for event in piece.events]


def event_with_id(event: KeptEvent, generation: str, event_id: str) -> KeptEvent:
    """Return a placed event with its id in its frame."""
    tail = f',"position":"{generation}.{event.offset}"}}'.encode()
    identity = f',"id":"{event_id}"'.encode()
    payload = frame_payload(event.frame).removesuffix(tail)
    if payload.endswith(identity):
        return event
    return KeptEvent(event.offset, text_frame(payload + identity + tail), event.except_socket_id)
