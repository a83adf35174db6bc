"""The logs of one app as their owner has them: read in order, handed on to the dispatcher, and settled in Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import BUCKETS, all_buckets, bucket_of_event
from soundpost.backplane.redis.logged_events import State, event_of, state_field, state_of
from soundpost.backplane.redis.webhook_scripts import READ_LOG, SETTLE, TAKE_LOG
from soundpost.core.webhooks import BEGINS, ENDS, HELD, WebhookEvent
from soundpost.log_throttle import MINUTE, LogThrottle

if TYPE_CHECKING:
    from soundpost.backplane.redis.redis import Redis
    from soundpost.backplane.redis.webhook_dispatcher import Dispatcher

log = logging.getLogger("soundpost.redis")

MAX_OPEN: Final = 8 * 1024 * 1024
"""Bytes of an app's events that may wait in the owner; further ones wait in Redis, unless an endpoint is idle.

An idle endpoint does not wait for one that is behind: the dispatcher bounds what waits by dropping the oldest. Ends
that are held back do not count: what takes them back may be behind them in the log."""
TIME_TO_RETURN: Final = 30.0
"""Seconds after Redis was emptied in which hosts state their data again."""
MAX_AGE: Final = 300_000
"""Milliseconds after which an event about no state is not sent any more."""
_HELD: Final = int(HELD * 1000)  # milliseconds
_PAGE: Final = 500  # events of one log; of all logs if much waits: idle endpoints are not to get the longest queue
_PAGE_SIZE: Final = MAX_OPEN // BUCKETS  # bytes: a new owner reads all logs of an app at once
_STATES_AT_ONCE: Final = 1_000
_START: Final = b"0-0"
_OVERHEAD: Final = 300  # bytes of memory that an event takes beside its body


class _Log:
    """The log of one bucket."""

    def __init__(self, bucket: bytes, number: int) -> None:
        self.bucket = bucket
        self.number = number
        self.is_owned = False
        self.has_begun = False
        """True once the log was read from its beginning, for the states and events that the dispatcher has."""
        self.after = _START
        """Entry up to which the log was read."""
        self.known: set[bytes] = set()
        """Entries that the dispatcher has, or that Redis is about to delete."""
        self.reading = 0
        """Number of the read that is under way; 0: none is."""
        self.is_behind = False
        """True if there may be more to read."""
        self.notified: set[bytes] = set()
        """States as Redis has them, or should."""
        self.settled: list[bytes] = []
        """Entries to delete."""
        self.changes: list[bytes] = []
        """Changes of notified states, to be made together with that."""
        self.taken_at = 0
        """Time of Redis in milliseconds at which the log was read from its beginning."""


class AppLogs:
    """All logs of an app, owned by ``host``, which is this one."""

    def __init__(
        self,
        app_id: str,
        host: bytes,
        redis: Redis,
        dispatcher: Dispatcher,
        on_lost: Callable[[], None],
        call_soon: Callable[..., object],
    ) -> None:
        self.app_id = app_id
        self._host = host
        self._redis = redis
        self._dispatcher = dispatcher
        self._on_lost = on_lost
        self._call_soon = call_soon
        self._logs = {bucket: _Log(bucket, number) for number, bucket in enumerate(all_buckets(app_id))}
        self.by_topic = {redis.topic(bucket, ""): each for bucket, each in self._logs.items()}
        """Logs by the topics that tell of additions."""
        self._open = 0  # bytes
        self._reads = 0
        self._unsettled: set[_Log] = set()
        self._is_ended = False
        self._throttle = LogThrottle(log)
        self.dropped = 0
        """Number of events that were dropped, as a log was full or they were too old."""

    # Owning

    def begin(self) -> None:
        """Own all logs, for the first time or again, and read them."""
        for topic, each in self.by_topic.items():
            each.is_owned, each.reading = False, 0
            self._redis.subscribe(each.bucket, topic)
            self._ask(each, TAKE_LOG, then=self._taken)

    def _taken(self, each: _Log, answer: Any) -> None:
        if not isinstance(answer, list):
            return
        former, fields, now = answer
        if each.has_begun and former not in (b"", self._host):
            self._on_lost()
            return
        each.is_owned, each.after = True, _START
        if each.has_begun:
            self._reconcile(each, set(fields))
            if not former:  # Redis was emptied
                self._call_soon(self._end_notified, each)
        else:
            each.has_begun, each.notified, each.taken_at = True, set(fields), now
            self._dispatcher.take_notified(self.app_id, [(state, True) for state in _states(fields)], None)
        self.read(each, keep=True)

    def _end_notified(self, each: _Log) -> None:
        """End the notified states, unless they begin again; in a loop turn of its own, as there can be very many."""
        if not self._is_ended:
            self._dispatcher.end_notified(self.app_id, _states(each.notified), TIME_TO_RETURN)

    def _reconcile(self, each: _Log, found: set[bytes]) -> None:
        """Have Redis know again what was told: it was emptied, or a replica that lacks the last moments leads."""
        each.changes = []
        for command, fields in ((b"SADD", each.notified - found), (b"SREM", found - each.notified)):
            for field in fields:
                each.changes += (command, field)
        self._settle(each)

    def end(self) -> None:
        """Leave the logs to another host."""
        self._is_ended = True
        for topic, each in self.by_topic.items():
            self._redis.unsubscribe(each.bucket, topic)
        self._dispatcher.forget(self.app_id)

    # Reading

    def poll(self) -> None:
        """Read all logs, and keep them for another day."""
        for each in self._logs.values():
            if each.is_owned:
                self.read(each, keep=True)
            else:
                self._ask(each, TAKE_LOG, then=self._taken)

    def read(self, each: _Log, *, keep: bool = False) -> None:
        """Read what follows in a log, unless too much waits here for all endpoints."""
        if each.reading or not each.is_owned or (self._is_full and not self._dispatcher.has_idle(self.app_id)):
            each.is_behind = True
            return
        self._reads += 1
        each.reading, each.is_behind = self._reads, False
        page = _PAGE // len(self._logs) if self._is_full else _PAGE
        self._ask(each, READ_LOG, each.after, page, int(keep), _PAGE_SIZE, then=partial(self._have_read, self._reads))

    def read_on(self) -> None:
        """Read all logs that may have more: an endpoint is idle, or less waits here."""
        for each in self._logs.values():
            if each.is_behind:
                self.read(each)

    @property
    def _is_full(self) -> bool:
        return self._open - self._dispatcher.held_size(self.app_id) >= MAX_OPEN

    def _have_read(self, number: int, each: _Log, answer: Any) -> None:
        if each.reading != number:
            return  # the log is read from its beginning since
        each.reading = 0
        if not isinstance(answer, list):
            return  # the next poll tries again
        if not answer[0]:
            self._on_lost()
            return
        _, entries, dropped, now, more = answer
        for entry_id, fields in entries:
            each.after = entry_id
            if entry_id not in each.known:
                each.known.add(entry_id)
                self._take(each, entry_id, fields, now)
        if dropped:
            self._warn_of_dropped(each, int(dropped))
        if more or each.is_behind:
            self.read(each)

    def _take(self, each: _Log, entry_id: bytes, fields: list[bytes], now: int) -> None:
        try:
            event_id, event = event_of(each.number, entry_id, fields)
        except ValueError as error:
            self._throttle.warn(
                "foreign", "the log of webhooks of app %s has an entry that is none: %s", self.app_id, error
            )
            self._note(each, entry_id)
            return
        logged_at = int(entry_id.partition(b"-")[0])
        if event.state is None and now - logged_at > MAX_AGE:
            self.dropped += 1
            self._throttle.warn(
                "old",
                "webhooks of app %s: events of over 5 minutes ago are dropped, as an endpoint is behind",
                self.app_id,
                interval=MINUTE,
            )
            self._note(each, entry_id)
            return
        state = event.state if event.name in ENDS and logged_at <= each.taken_at - _HELD else None
        if state is not None and state_field(state) in each.notified:
            # The owner before may have sent the end: then a beginning that takes it back is to be sent, too.
            self._dispatcher.take_notified(self.app_id, [(state, False)], None)
        size = len(event.body) + _OVERHEAD
        self._open += size
        self._dispatcher.add(self.app_id, event, (each, entry_id, size), event_id)

    def _warn_of_dropped(self, each: _Log, number: int) -> None:
        self.dropped += number
        self._redis.send(each.bucket, ("DEL", self._redis.tag(each.bucket) + b":hooks:lost"), ignore_answer)
        self._throttle.warn(
            "dropped",
            "webhooks of app %s: %d event(s) are dropped, as too many wait for an endpoint",
            self.app_id,
            number,
            interval=MINUTE,
        )

    # Settling

    def note_notified(self, event: WebhookEvent) -> None:
        """Note that the endpoints were told of an event about a state; :meth:`done` may follow."""
        state = event.state
        assert state is not None
        each, field = self._logs[bucket_of_event(self.app_id, event)], state_field(state)
        if event.name in BEGINS:
            each.notified.add(field)
            each.changes += (b"SADD", field)
        else:
            each.notified.discard(field)
            each.changes += (b"SREM", field)
        self._settle_soon(each)

    def done(self, tokens: Iterable[tuple[_Log, bytes, int]]) -> None:
        """Note that the dispatcher is done with events."""
        was_full = self._is_full
        for each, entry_id, size in tokens:
            self._open -= size
            self._note(each, entry_id)
        if was_full and not self._is_full:
            self.read_on()

    def _note(self, each: _Log, entry_id: bytes) -> None:
        each.settled.append(entry_id)
        self._settle_soon(each)

    def _settle_soon(self, each: _Log) -> None:
        if not self._unsettled:
            self._call_soon(self._settle_all)
        self._unsettled.add(each)

    def _settle_all(self) -> None:
        unsettled, self._unsettled = self._unsettled, set()
        for each in unsettled:
            self._settle(each)

    def _settle(self, each: _Log) -> None:
        """Tell Redis what is settled. Without Redis this waits until the log is owned again."""
        while each.is_owned and not self._is_ended and (each.settled or each.changes):
            settled, each.settled = each.settled[:_PAGE], each.settled[_PAGE:]
            changes, each.changes = each.changes[: 2 * _STATES_AT_ONCE], each.changes[2 * _STATES_AT_ONCE :]
            answered = partial(self._settled, settled, changes)
            self._ask(each, SETTLE, len(settled), *settled, *changes, then=answered)

    def _settled(self, settled: list[bytes], changes: list[bytes], each: _Log, answer: Any) -> None:
        if answer == 0:
            self._on_lost()
        elif answer == 1:
            each.known.difference_update(settled)
        else:  # a repeated command has no further effect
            each.settled[:0] = settled
            each.changes[:0] = changes
            each.is_owned = False

    def _ask(self, each: _Log, script: Any, *arguments: bytes | int, then: Callable[[_Log, Any], None]) -> None:
        def answered(answer: Any) -> None:
            if not self._is_ended:
                then(each, answer)

        if self._redis.up:
            self._redis.send(each.bucket, self._redis.script(script, each.bucket, self._host, *arguments), answered)
        else:
            then(each, ConnectionError("Redis is away"))


def _states(fields: Iterable[bytes]) -> list[State]:
    """Return the states in some fields: those of users before those of their channels, as they end in this order."""
    return sorted((state for field in fields if (state := state_of(field)) is not None), reverse=True)
