"""The queue of events on their way to Redis: while Redis is away they wait, up to a size and an age.

Events that were sent and not answered when Redis went away are sent again under the same number, so that the other
nodes drop those they had already. Nothing is sent before the other nodes are back on their topics: they would miss it.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, NamedTuple

import hiredis

from soundpost.backplane.redis.failures import refused
from soundpost.backplane.redis.message_fields import join_fields, split_fields
from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle

log = logging.getLogger("soundpost.redis")

MAX_BYTES: Final = 32 * 1024 * 1024
"""Bytes of memory that waiting events may take, with all that Python needs to hold them."""
MAX_AGE: Final = 300.0
"""Seconds after which a waiting event is dropped."""
PORTION: Final = 64
"""Number of waiting events sent at a time.

The next portion follows the answers, so that the loop is not blocked and the events are not in memory twice."""

_HEAD: Final = Struct(">QdB")  # number, clock when it was published, fields; so entries are in order as bytes, too
_SLOT: Final = 24  # bytes: a reference in the deque, and what the allocator rounds up


class Publication(NamedTuple):
    """A message to publish once Redis is up. All fields are bytes, as many publications may wait."""

    bucket: bytes
    script: bytes
    """Digest of the script that publishes the message; empty for PUBLISH."""
    arguments: tuple[bytes, ...]
    """Arguments of the script; a channel and a message for PUBLISH."""


Send = Callable[[Publication, Callable[[Any], None]], None]
"""Function that publishes on the server of a bucket; its callback gets the answer, or a ConnectionError."""


class PublishQueue:
    """Sends events at once while open, and keeps them while shut. ``clock`` is in seconds.

    ``what`` names the events where some were lost; ``max_bytes`` is the memory that they may take
    (:data:`MAX_BYTES`).
    """

    def __init__(
        self,
        send: Send,
        clock: Callable[[], float],
        *,
        max_bytes: int | None = None,
        what: str = "event(s) for other hosts",
    ) -> None:
        self._own_max_bytes = max_bytes
        self._what = what
        self._send = send
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._returned: deque[bytes] = deque()
        """Events that were sent and not answered, or refused; older than all events that wait."""
        self._number = 0
        self.size = 0
        """Bytes of memory that the waiting events take."""
        self._unanswered = 0  # of the portion that was sent last
        self._draining = False
        self._throttle = LogThrottle(log, clock)
        self.flows = False
        """True while events are sent at once."""
        self.take_back: Callable[[Publication], Publication] = lambda publication: publication
        """Called with an event that was refused or not answered; returns what to send later in its place."""
        self.on_lost: Callable[[Publication], None] = lambda publication: None
        """Called with an event that is dropped."""
        self.on_flow: Callable[[], None] = lambda: None
        """Called when all waiting events are sent, and new ones are sent at once."""
        self.lost = self._lost_before = 0
        """Number of events dropped because they were too old or too many."""

    @property
    def _max_bytes(self) -> int:
        return MAX_BYTES if self._own_max_bytes is None else self._own_max_bytes

    def __len__(self) -> int:
        return len(self._waiting) + len(self._returned)

    def send(self, publication: Publication, then: Callable[[bool], None]) -> None:
        """Send an event. ``then`` gets True once Redis has it, False if the event waits."""
        self._number += 1
        if self.flows:
            self._pass_on(self._number, self._clock(), publication, then)
        else:
            self._keep(self._waiting, self._number, self._clock(), publication)
            then(False)

    def _pass_on(self, number: int, since: float, publication: Publication, then: Callable[[bool], None]) -> None:
        def answered(answer: Any) -> None:
            if isinstance(answer, hiredis.ReplyError):
                self._warn_refused(answer, publication)
            elif isinstance(answer, Exception):
                self._draining = False
            if isinstance(answer, Exception):
                self._keep(self._returned, number, since, self.take_back(publication))
            then(not isinstance(answer, Exception))

        self._send(publication, answered)

    def _warn_refused(self, answer: hiredis.ReplyError, publication: Publication) -> None:
        reason = refused(answer, "EVALSHA" if publication.script else "PUBLISH", publication.arguments[0])
        self._throttle.warn("refused", "Redis refuses events, which wait: %s", reason, interval=MINUTE)

    def shut(self) -> None:
        """Keep events from now on."""
        self.flows = self._draining = False

    def open(self) -> None:
        """Drop events that are too old, send the waiting ones, oldest first, and then each new one at once."""
        # Events came back in any order: connections to several servers end one after the other.
        self._waiting.extendleft(sorted(self._returned, reverse=True))
        self._returned.clear()
        self._drop_old()
        lost, self._lost_before = self.lost - self._lost_before, self.lost
        if lost:
            log.error(
                "%d %s were lost: Redis was away for over %.0f s, or more than %d MB waited",
                lost,
                self._what,
                MAX_AGE,
                self._max_bytes // 1024**2,
            )
        if self._waiting:
            waiting = len(self._waiting)
            log.info("%d %s that waited go out now", waiting, self._what, extra=fields(events=waiting))
        self._draining = True
        self._drain()

    def _drain(self) -> None:
        """Send a portion of the waiting events; the next portion follows the answers."""
        if not self._waiting:
            self._draining = False
            self.flows = True
            self.on_flow()
            return
        portion = [self._pop() for _ in range(min(PORTION, len(self._waiting)))]
        self._unanswered = len(portion)
        for number, since, publication in portion:
            self._pass_on(number, since, publication, self._drained)

    def _drained(self, taken: bool) -> None:
        self._unanswered -= 1
        if not self._unanswered and self._draining:
            self._drain()

    def _keep(self, entries: deque[bytes], number: int, since: float, publication: Publication) -> None:
        bucket, script, arguments = publication
        fields = (bucket, script, *arguments)
        entry = _HEAD.pack(number, since, len(fields)) + join_fields(fields)
        entries.append(entry)
        self.size += _memory_of(entry)
        self._drop_old()
        while self.size > self._max_bytes:
            self._lose((self._returned or self._waiting).popleft())

    def _pop(self) -> tuple[int, float, Publication]:
        entry = self._waiting.popleft()
        self.size -= _memory_of(entry)
        return _read(entry)

    def _drop_old(self) -> None:
        oldest = self._clock() - MAX_AGE
        while self._waiting and _HEAD.unpack_from(self._waiting[0])[1] < oldest:
            self._lose(self._waiting.popleft())

    def _lose(self, entry: bytes) -> None:
        self.size -= _memory_of(entry)
        self.lost += 1
        self.on_lost(_read(entry)[2])


def _read(entry: bytes) -> tuple[int, float, Publication]:
    number, since, count = _HEAD.unpack_from(entry)
    bucket, script, *arguments = split_fields(entry, count, _HEAD.size)
    return number, since, Publication(bucket, script, tuple(arguments))


def _memory_of(entry: bytes) -> int:
    """Return the bytes of memory that a waiting event takes."""
    return sys.getsizeof(entry) + _SLOT
