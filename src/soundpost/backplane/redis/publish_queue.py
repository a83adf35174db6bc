"""Events on their way to Redis; while it is away they wait, up to a number of bytes and an age.

What was sent and not answered when Redis went away is sent again, under its number, by which the other nodes know what
they had already. Nothing is sent before the other nodes are back on their topics: it would be lost to them.
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
from soundpost.backplane.redis.messages import join_fields, split_fields
from soundpost.log_throttle import MINUTE, LogThrottle

log = logging.getLogger("soundpost.redis")

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of memory that waiting events take, with all that Python needs to hold them."""
MAX_AGE: Final = 300.0
"""Seconds after which an event is not worth delivering any more."""
PORTION: Final = 256
"""Waiting events that are sent at a time: their answers are awaited before the next ones, so that neither the loop is
stopped nor all of them are in memory twice."""

_HEAD: Final = Struct(">QdB")  # number, clock when it was published, fields; so entries are in order as bytes, too
_SLOT: Final = 24  # bytes: a reference in the deque, and what the allocator rounds up


class Publication(NamedTuple):
    """What is to be published, whenever Redis is there. All is bytes: many of them may wait."""

    bucket: bytes
    script: bytes
    """The digest of the script that publishes it; empty for PUBLISH."""
    arguments: tuple[bytes, ...]
    """Of the script; a channel and a message for PUBLISH."""


Send = Callable[[Publication, Callable[[Any], None]], None]
"""Publish to where a bucket is; the answer, or a ConnectionError, comes later."""


class Outbox:
    """Call :meth:`open` when events can flow, :meth:`shut` when they cannot. ``clock`` in seconds."""

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._returned: deque[bytes] = deque()
        """What was sent and is not in Redis: it was not answered, or refused. It is older than all that waits."""
        self._number = 0
        self._size = 0
        self._unanswered = 0  # of the portion that was sent last
        self._draining = False
        self._throttle = LogThrottle(log, clock)
        self.flows = False
        """Whether events are sent at once."""
        self.on_flow: Callable[[], None] = lambda: None
        self.lost = self._lost_before = 0
        """Events that grew too old or were too many."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._returned)

    def send(self, publication: Publication, then: Callable[[bool], None]) -> None:
        """Send an event. ``then`` is told whether Redis has it; if not it waits."""
        self._number += 1
        if self.flows:
            self._pass_on(self._number, self._clock(), publication, then)
        else:
            self._keep(self._waiting, self._number, self._clock(), publication)
            then(False)

    def _pass_on(self, number: int, since: float, publication: Publication, then: Callable[[bool], None]) -> None:
        def answered(answer: Any) -> None:
            if isinstance(answer, hiredis.ReplyError):
                self._say_refused(answer, publication)
            elif isinstance(answer, Exception):
                self._draining = False
            if isinstance(answer, Exception):
                self._keep(self._returned, number, since, publication)
            then(not isinstance(answer, Exception))

        self._send(publication, answered)

    def _say_refused(self, answer: hiredis.ReplyError, publication: Publication) -> None:
        reason = refused(answer, "EVALSHA" if publication.script else "PUBLISH", publication.arguments[0])
        self._throttle.warn("refused", "Redis refuses events, which wait: %s", reason, silence=MINUTE)

    def shut(self) -> None:
        """Events wait from now on."""
        self.flows = self._draining = False

    def open(self) -> None:
        """Send what waits, oldest first, and then everything at once."""
        # It came back in any order: connections to several servers end one after the other.
        self._waiting.extendleft(sorted(self._returned, reverse=True))
        self._returned.clear()
        self._drop_old()
        lost, self._lost_before = self.lost - self._lost_before, self.lost
        if lost:
            log.error(
                "%d event(s) for other hosts were lost: Redis was away for over %.0f s, or more than %d MB waited",
                lost,
                MAX_AGE,
                MAX_BYTES // 1024**2,
            )
        self._draining = True
        self._drain()

    def _drain(self) -> None:
        """Send a portion of what waits; the next one follows its answers."""
        if not self._waiting:
            self._draining = False
            self.flows = True
            self.on_flow()
            return
        portion = [self._take() for _ in range(min(PORTION, len(self._waiting)))]
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
        self._size += _held(entry)
        self._drop_old()
        while self._size > MAX_BYTES:
            self._lose((self._returned or self._waiting).popleft())

    def _take(self) -> tuple[int, float, Publication]:
        entry = self._waiting.popleft()
        self._size -= _held(entry)
        number, since, count = _HEAD.unpack_from(entry)
        bucket, script, *arguments = split_fields(entry, count, _HEAD.size)
        return number, since, Publication(bucket, script, tuple(arguments))

    def _drop_old(self) -> None:
        oldest = self._clock() - MAX_AGE
        while self._waiting and _HEAD.unpack_from(self._waiting[0])[1] < oldest:
            self._lose(self._waiting.popleft())

    def _lose(self, entry: bytes) -> None:
        self._size -= _held(entry)
        self.lost += 1


def _held(entry: bytes) -> int:
    """Bytes of memory that a waiting event takes."""
    return sys.getsizeof(entry) + _SLOT
