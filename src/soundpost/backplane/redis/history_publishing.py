"""Events of histories on their way from this host to Redis.

While Redis is away for a moment, events wait. After that they go to this host's clients at once, with an id in place of
a position. Redis gets them later, as other events that wait, under the same id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

import hiredis

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import app_of, bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.failures import EMPTIED, passing_code, refused
from soundpost.backplane.redis.generations import Generations
from soundpost.backplane.redis.history_scripts import ADD, ADD_LAST, DELETE, SKIP
from soundpost.backplane.redis.message_fields import excluded
from soundpost.backplane.redis.publish_queue import Publication, PublishQueue
from soundpost.backplane.redis.redis import Redis
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import KeptEvent
from soundpost.core.peers import OutgoingEvent
from soundpost.core.slices import TurnBudget
from soundpost.wire.positions import with_id

WAIT: Final = 3.0
"""Seconds that events wait for Redis before they are delivered without a position, and out of order."""
_AS_SOON: Final = 0.01  # seconds that timers may be early
_ADD: Final = ADD.digest.encode()
_ADD_LAST: Final = ADD_LAST.digest.encode()
_DELETE: Final = DELETE.digest.encode()
_SKIP: Final = SKIP.digest.encode()


class _Waiting(NamedTuple):
    """An event that this host's clients do not have yet."""

    number: int
    """Place in the order in which this host published its events."""
    entry: AppEntry
    channel: SharedChannel
    """The channel as it was: it may have been closed, and opened again."""
    frame: bytes
    except_socket_id: str | None
    is_last: bool
    due: float = 0.0
    """Time at which they get it without a position."""


class HistoryPublishing:
    """Sends events of histories by way of the queue. ``clock`` is in seconds, ``call_later`` is the loop's."""

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        redis: Redis,
        generations: Generations,
        *,
        clock: Callable[[], float],
        call_later: Callable[..., object],
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._generations = generations
        self._clock = clock
        self._call_later = call_later
        self.queue = PublishQueue(self._send, clock)
        """The queue of all publications to Redis."""
        self.queue.take_back, self.queue.on_lost = self._take_back, self._note_lost
        self._in_flight: dict[str, int] = {}
        """Numbers, by id, of events that are on their way to Redis and come back to subscribers of this host."""
        self._waiting: dict[str, _Waiting] = {}
        """Events, by id, that subscribers here get when they come back, or when Redis has been away for long."""
        self._waiting_on: dict[bytes, dict[str, None]] = {}
        """Ids of these events by topic, in the order in which they began to wait."""
        self._order: list[tuple[int, str]] = []  # heap of numbers and ids; those that do not wait any more are void
        self._give_until = 0.0  # events are given that are due up to this time
        self._timer = 0.0  # time for which the latest timer is set
        self._turns = TurnBudget(partial(call_later, 0), lambda: self.turn_clock())
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self._wait_until = self._answers_wait_until = 0.0
        self._number = 0
        self.lost: set[bytes] = set()
        """Buckets of events that could not be kept, or of histories that could not be deleted."""
        self._put_by: dict[tuple[str, str], dict[str, KeptEvent]] = {}
        """Events without a position, by id, of channels without subscribers here, which are by app and name."""
        self._unsure: set[str] = set()
        """Ids of events that Redis may have: other hosts may have given them to who subscribes here next."""

    def publish(
        self, entry: AppEntry, rule: HistorySettings, event: OutgoingEvent, then: Callable[[bool], None]
    ) -> None:
        """Have Redis keep and publish an event."""
        assert event.id is not None
        channel = entry.channels.of(event.channel)
        is_followed = channel is not None and channel.history is not None
        self._number += 1
        frame, flags = event.frame, (b"r" if event.repeatable else b"") + (b"s" if event.repeated else b"")
        if not self.queue.flows:
            frame, flags = with_id(frame, event.id), flags + b"g"
            if channel is not None and is_followed:
                self._wait(event.id, _Waiting(self._number, entry, channel, frame, event.except_socket_id, event.keep))
        elif is_followed:
            self._in_flight[event.id] = self._number
        arguments: tuple[bytes, ...] = (
            event.channel.encode(),
            event.id.encode(),
            excluded(event.except_socket_id),
            frame,
            flags,
            b"%d" % rule.events,
            b"%d" % (rule.age * 1000),
            b"" if event.key_id is None else event.key_id.encode(),
        )
        script = _ADD
        if event.keep:
            script = _ADD_LAST
            arguments += (b"%d" % (entry.app.cache_ttl * 1000), b"%d" % entry.max_cached_per_bucket)
        bucket = bucket_of(entry.app.id, event.channel) if channel is None else channel.bucket
        self.queue.send(Publication(bucket, script, arguments), then)

    def came(self, event_id: str) -> None:
        """Note that an event has come from Redis: it need not be given to this host's clients otherwise."""
        self._in_flight.pop(event_id, None)
        self._take(event_id)

    @property
    def may_wait(self) -> bool:
        """True if Redis may be back before long: it has just gone away, or a connection is under way.

        What a lost connection leaves unanswered comes back before the loss is known.
        """
        return self._redis.up or self._redis.is_connecting or self._clock() < self._answers_wait_until

    def begin_wait(self) -> None:
        """Let answers and events wait for Redis, which has just gone away.

        Events do not wait if Redis has been silent for long already. It may also be this host that was.
        """
        self._answers_wait_until = self._clock() + WAIT
        self._wait_until = 0.0 if self._redis.is_silent else self._answers_wait_until
        if self._redis.is_silent:
            self._end_wait(until=self._clock() + WAIT)

    def _wait(self, event_id: str, event: _Waiting) -> None:
        """Give an event to this host's clients unless it comes from Redis within the time that is left."""
        now = self._clock()
        due = now + WAIT if self.queue.flows else self._wait_until
        self._waiting[event_id] = event._replace(due=due)
        self._waiting_on.setdefault(event.channel.topic, {})[event_id] = None
        heappush(self._order, (event.number, event_id))
        if due <= now:
            self._end_wait()
        elif due != self._timer:  # thousands wait for the same moment
            self._timer = due
            self._call_later(due - now, self._end_wait)

    def _take(self, event_id: str) -> _Waiting | None:
        """Remove a waiting event and return it; None if the event does not wait."""
        event = self._waiting.pop(event_id, None)
        if event is not None:
            topic = event.channel.topic
            del self._waiting_on[topic][event_id]
            if not self._waiting_on[topic]:
                del self._waiting_on[topic]
        return event

    def _end_wait(self, until: float = 0.0) -> None:
        """Give the events that have waited long enough, in their order; some in each loop turn."""
        self._give_until = max(self._give_until, until or self._clock() + _AS_SOON)
        self._turns.each(self._due(), self._give)

    def _due(self) -> Iterator[tuple[str, _Waiting]]:
        """Take the events that have waited long enough, until there are none."""
        while self._order:
            number, event_id = self._order[0]
            event = self._waiting.get(event_id)
            if event is not None and event.number == number:
                if event.due > self._give_until:
                    return
                self._take(event_id)
                heappop(self._order)
                yield event_id, event
            else:
                heappop(self._order)

    def release(self, channel: SharedChannel) -> None:
        """Give the waiting events of a channel now: the next one, which is not kept, must not overtake them."""
        waiting = [(event_id, self._waiting[event_id]) for event_id in self._waiting_on.get(channel.topic, ())]
        for item in sorted(waiting, key=lambda item: item[1].number):
            self._take(item[0])
            self._give(item)

    def put_by(self, channel: SharedChannel) -> None:
        """Put aside the events without a position of a channel whose last subscriber here is gone for now."""
        for event_id, event in () if channel.history is None else channel.history.unplaced.items():
            self._put_by_event(event_id, channel.app_id, channel.name, event)

    def _put_by_event(self, event_id: str, app_id: str, name: str, event: KeptEvent) -> None:
        if event_id not in self._unsure:
            self._put_by.setdefault((app_id, name), {})[event_id] = event

    def put_by_of(self, channel: SharedChannel) -> dict[str, KeptEvent]:
        """Return the events put aside for a channel with a subscriber again; none if Redis is about to place them."""
        return {} if self._redis.up else self._put_by.pop((channel.app_id, channel.name), {})

    def _give(self, item: tuple[str, _Waiting]) -> None:
        """Give an event, which is preceded by its id, to this host's clients without a position."""
        event_id, event = item
        name, frame = event.channel.name, event.frame
        channel = event.entry.channels.of(name)
        if channel is None:
            self._put_by_event(event_id, event.entry.app.id, name, KeptEvent(0, frame, event.except_socket_id))
            return
        kept = channel.history
        if event.is_last:
            channel.keep(frame, self._clock() + event.entry.app.cache_ttl)
        if kept is None:  # the history has ended meanwhile
            channel.given |= {event_id}
            channel.deliver(frame, event.except_socket_id)
        else:
            kept.unplaced[event_id] = KeptEvent(kept.last, frame, event.except_socket_id)
            channel.deliver_kept(frame, event.except_socket_id)

    # Callbacks of the queue

    def _send(self, publication: Publication, then: Callable[[Any], None]) -> None:
        """Send a publication to Redis; an event of a history with the generation that it is for."""
        bucket, script, arguments = publication
        if script not in (_ADD, _ADD_LAST):
            self._redis.publish(publication, then)
            return

        def answered(answer: Any) -> None:
            if isinstance(answer, list):
                self._in_flight.pop(arguments[1].decode(), None)
                self._generations.heard(bucket, generation, int(answer[0]))
                if b"g" in arguments[4]:
                    self._forget(bucket, arguments[0].decode(), arguments[1].decode(), int(answer[0]))
            elif isinstance(answer, hiredis.ReplyError) and (code := passing_code(answer)) is not None:
                self.queue.shut()  # later events keep their place behind this one
                self.begin_wait()
                self._end_connection(code, answer)
            then(answer)

        if self._generations.evicts.get(bucket):
            name, event_id, excluded, frame, flags, *rest = arguments
            arguments = (name, event_id, excluded, frame, flags + b"e", *rest)
        generation = self._generations.by_bucket.get(bucket, "")
        self._redis.publish(Publication(bucket, script, (generation.encode(), *arguments)), answered)

    def _forget(self, bucket: bytes, name: str, event_id: str, offset: int | None = None) -> None:
        """Forget an event that is given without a position, or was to be.

        ``offset``: the one that Redis has given it; None if the event is lost. What is behind the offset that this host
        has delivered is still to come.
        """
        self._take(event_id)
        self._unsure.discard(event_id)
        app_id = app_of(bucket)
        put_by = self._put_by.get((app_id, name))
        if put_by is not None and put_by.pop(event_id, None) is not None and not put_by:
            del self._put_by[app_id, name]
        entry = self._apps.get(app_id)
        channel = None if entry is None else entry.channels.of(name)
        kept = None if channel is None else channel.history
        if kept is not None and (offset is None or (offset <= kept.last and not kept.reading)):
            kept.unplaced.pop(event_id, None)

    def _end_connection(self, code: str, answer: hiredis.ReplyError) -> None:
        if code == "STALE":
            self._generations.adopt = True
        is_emptied = code in ("STALE", "NOSCRIPT")
        self._redis.reconnect(EMPTIED if is_emptied else refused(answer, "EVALSHA"))

    def _take_back(self, publication: Publication) -> Publication:
        """Return what to send later in place of an event that Redis has refused or not answered.

        This host's clients get it, unless it came back to them by the topic.
        """
        bucket, script, arguments = publication
        if script not in (_ADD, _ADD_LAST):
            return publication
        name, id_field, excluded, frame, flags, *rest = arguments
        event_id = id_field.decode()
        entry = self._apps.get(app_of(bucket))
        if b"g" not in flags and entry is not None:
            frame, flags = with_id(frame, event_id), flags + b"g"
            channel = entry.channels.of(name.decode())
            number = self._in_flight.get(event_id)
            if number is not None and channel is not None:
                waiting = _Waiting(number, entry, channel, frame, excluded.decode() or None, script == _ADD_LAST)
                self._wait(event_id, waiting)
        self._in_flight.pop(event_id, None)
        if b"g" in flags:
            self._unsure.add(event_id)
        if b"s" not in flags:
            flags += b"s"
        return Publication(bucket, script, (name, id_field, excluded, frame, flags, *rest))

    def _note_lost(self, publication: Publication) -> None:
        """Note that a change of a history is lost: a new generation tells everybody concerned of a gap."""
        bucket, script, arguments = publication
        if script in (_ADD, _ADD_LAST):
            self._forget(bucket, arguments[0].decode(), arguments[1].decode())
        elif script not in (_DELETE, _SKIP):
            return
        self.lost.add(bucket)
        if self._redis.up:
            self._redis.reconnect("events of histories were lost")
