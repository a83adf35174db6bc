"""One endpoint of an app: its filters, its queue, and the request that is under way."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Final, Protocol

from soundpost import __version__
from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.histogram import Histogram
from soundpost.core.history_rules import channel_matcher
from soundpost.core.outbox import CallLater
from soundpost.core.webhooks import OPPOSITES, WITHOUT_CHANNEL, WebhookEvent
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.redaction import redacted_url
from soundpost.server.webhooks.answers import GONE, Answer, EndpointClient, batch_length
from soundpost.server.webhooks.figures import EndpointFigures
from soundpost.server.webhooks.recent_deliveries import RecentDeliveries
from soundpost.server.webhooks.retries import MIN_PAUSE, pause
from soundpost.server.webhooks.waiting_event import WaitingEvent
from soundpost.wire.webhook_request import webhook_body, webhook_headers

log = logging.getLogger("soundpost.webhooks")

_ALL: Final = "*"
_FAILURE_INTERVAL: Final = 5 * MINUTE


class EndpointServices(Protocol):
    """The services that all endpoints of a dispatcher share."""

    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    random: Callable[[], float]
    call_later: CallLater
    throttle: LogThrottle

    def allows(self, endpoint: Endpoint) -> bool:
        """Return whether an endpoint may send a request now."""

    def has_due(self, endpoint: Endpoint) -> None:
        """Have :meth:`Endpoint.send` be called when it is the endpoint's turn."""

    def tried(self, events: Iterable[WaitingEvent]) -> None:
        """Note that an endpoint may get events from now on."""

    def settled(self, events: Iterable[WaitingEvent]) -> None:
        """Note that one more endpoint has taken, or will never get, each of these events."""

    def settle_queue(self, events: Sequence[WaitingEvent]) -> None:
        """Do the same for all events of a queue, some in each loop turn."""

    def idle(self, endpoint: Endpoint) -> None:
        """Note that an endpoint has taken all that waited for it."""

    def resized(self, difference: int) -> None:
        """Note the growth in bytes of an endpoint's waiting events."""


class Endpoint:
    """One endpoint. Requests are sent one after the other, in the order of the events."""

    def __init__(
        self, services: EndpointServices, app: AppSettings, settings: WebhookSettings, client: EndpointClient
    ) -> None:
        self._services = services
        self._client = client
        self._queue: deque[WaitingEvent] = deque()
        self._batch: list[WaitingEvent] = []
        self._in_request = 0  # number of the batch's first events: after a failure half of those that failed
        self._failures = 0
        self._first_attempt = 0.0
        self._retry_at: float | None = None
        self._request = 0  # answers and timers of other requests are void
        self._has_turn = False
        self.is_under_way = False
        """True while an answer is waited for."""
        self.is_stopped = False
        """True after the answer 410."""
        self.size = 0
        """Bytes of all that waits."""
        self._sent = self._failed = self._dropped = self._failed_attempts = 0
        self._last = Answer(0)
        self._latency = Histogram()
        self._asked_at = 0.0
        self.recent = RecentDeliveries()
        self.configure(app, settings)

    def configure(self, app: AppSettings, settings: WebhookSettings) -> None:
        """Take new settings, and keep waiting events. An endpoint that its answer 410 has stopped starts again."""
        self.app, self.settings = app, settings
        self.is_stopped = False
        self.name = f"app {app.id}: the webhook endpoint {redacted_url(settings.url)}"
        self._names = frozenset(settings.events)
        self._followed = self._names | {OPPOSITES[name] for name in self._names & OPPOSITES.keys()}
        every = _ALL in settings.channels
        self._matches: Callable[[str], object] = (lambda _: True) if every else channel_matcher(settings.channels)

    def wants(self, event: WebhookEvent) -> bool:
        """Return whether the endpoint is sent an event."""
        return event.name in self._names and self._has_channel(event) and not self.is_stopped

    def follows(self, event: WebhookEvent) -> bool:
        """Return whether the endpoint is sent an event, or the one that begins or ends the same state."""
        return event.name in self._followed and self._has_channel(event)

    def _has_channel(self, event: WebhookEvent) -> bool:
        return event.name in WITHOUT_CHANNEL or bool(self._matches(event.channel))

    def __len__(self) -> int:
        return len(self._queue) + len(self._batch)

    @property
    def has_due(self) -> bool:
        """True if events are under way, or would be without a pause between attempts."""
        return self.is_under_way or (bool(self) and self._retry_at is None)

    @property
    def is_idle(self) -> bool:
        """True if the endpoint takes events, and nothing waits for it."""
        return not self and not self.is_stopped

    def put(self, waiting: WaitingEvent) -> None:
        """Queue an event that the endpoint wants."""
        waiting.open += 1
        self._queue.append(waiting)
        self._resize(waiting.size)
        self._ask_for_turn()

    def _ask_for_turn(self) -> None:
        if not self._has_turn and not self.is_under_way and self._retry_at is None and not self.is_stopped:
            self._has_turn = True
            self._services.has_due(self)

    def wake(self) -> None:
        """Send waiting events, if any: requests are allowed again."""
        if len(self):
            self._ask_for_turn()

    # One request

    def send(self) -> None:
        """Send the next events, if no request is under way."""
        self._has_turn = False
        if self.is_under_way or self._retry_at is not None or self.is_stopped or not self._services.allows(self):
            return
        now = self._services.clock()
        if not self._batch:
            if not self._queue:
                return
            number = batch_length(islice(self._queue, self.settings.batch_size), self.settings.batch_size)
            self._batch = [self._queue.popleft() for _ in range(number)]
            self._failures, self._first_attempt, self._in_request = 0, now, number
        self.is_under_way = True
        self._asked_at = now
        self._request += 1
        events = self._batch[: self._in_request]
        self._services.tried(events)
        self._post(events, partial(self._answered, self._request))

    def _post(self, events: Sequence[WaitingEvent], then: Callable[[Answer], None], *, again: bool = False) -> None:
        at = self._services.wall_clock()
        body = webhook_body([waiting.json for waiting in events], int(at * 1000))
        headers = webhook_headers(self.app.key, self.app.secret, body, __version__, self.settings.headers)
        began = self._services.clock()

        def answered(answer: Answer) -> None:
            seconds = self._services.clock() - began
            self.recent.add(at, events, answer.status, answer.in_words(self.settings.url), seconds, again=again)
            then(answer)

        self._client.post(body, headers, self.settings.timeout, answered)

    def send_again(self, delivery_id: str) -> bool:
        """Send the events of an earlier request once more, at once; return whether they are still kept.

        They have the same ids as before. Whatever the answer, they are not tried again.
        """
        events = self.recent.events_of(delivery_id)
        if events:
            self._post(events, lambda _: None, again=True)
        return bool(events)

    def _answered(self, request: int, answer: Answer) -> None:
        if request != self._request or not self.is_under_way:
            return
        self.is_under_way = False
        self._latency.observe(self._services.clock() - self._asked_at)
        self._last = answer
        if answer.is_success:
            if self._failures:
                self._services.throttle.inform(
                    f"again {self.name}", "%s takes events again", self.name, interval=_FAILURE_INTERVAL
                )
            self._sent += self._in_request
            self._end_request()
        elif answer.status == GONE:
            self._failed_attempts += 1
            self._stop()
        else:
            self._failed_attempts += 1
            self._fail(answer)

    def _fail(self, answer: Answer) -> None:
        self._failures += 1
        elapsed = self._services.clock() - self._first_attempt
        wanted = answer.seconds_to_wait(self._services.wall_clock())
        seconds = pause(self._failures, elapsed, wanted, self._services.random)
        if seconds is None and self._in_request == 1:
            self._give_up(answer)
            return
        # An event is only given up alone: the others of a part may be good ones.
        self._in_request = 1 if seconds is None else (self._in_request + 1) // 2
        seconds = seconds or MIN_PAUSE
        self._services.throttle.warn(
            f"failed {self.name}",
            "%s %s; its events are sent again for 5 minutes",
            self.name,
            answer.in_words(self.settings.url),
            interval=_FAILURE_INTERVAL,
        )
        self._retry_at = self._services.clock() + seconds
        self._services.call_later(seconds, partial(self._retry, self._request))

    def _give_up(self, answer: Answer) -> None:
        log.warning(
            "%s %s; it has not taken this event (%s) for 5 minutes: the event is dropped, the next ones follow",
            self.name,
            answer.in_words(self.settings.url),
            self._batch[0].event.name,
        )
        self._failed += 1
        self._batch[0].was_dropped = True
        self._end_request()

    def _retry(self, request: int) -> None:
        if request == self._request and self._retry_at is not None:
            self._retry_at = None
            self._ask_for_turn()

    def _end_request(self) -> None:
        events, self._batch = self._batch[: self._in_request], self._batch[self._in_request :]
        # The rest has 5 minutes of its own: until now it was not tried apart from these events.
        self._failures, self._first_attempt, self._in_request = 0, self._services.clock(), len(self._batch)
        self._resize(-sum([waiting.size for waiting in events]))
        self._services.settled(events)
        if len(self):
            self._ask_for_turn()
        else:
            self._services.idle(self)

    def _stop(self) -> None:
        self.is_stopped = True
        everything = self.clear()
        self._drop(everything)
        log.warning(
            "%s answered 410: it wants no more events, and %d that waited are dropped. Nothing is sent to it until a "
            "reload or restart",
            self.name,
            len(everything),
        )
        self._services.settle_queue(everything)

    # What will not be sent

    def _drop(self, events: Iterable[WaitingEvent]) -> None:
        for waiting in events:
            waiting.was_dropped = True
            self._dropped += 1

    def drop_oldest(self) -> bool:
        """Drop the event that waits longest, apart from those in a request; return whether there was one."""
        if not self._queue:
            return False
        oldest = self._queue.popleft()
        self._drop([oldest])
        self._resize(-oldest.size)
        self._services.settled([oldest])
        return True

    def clear(self) -> list[WaitingEvent]:
        """Give up the request that is under way, and empty the queue; return all its events in order."""
        everything = self.waiting()
        self._queue.clear()
        self._batch = []
        self._resize(-self.size)
        self.is_under_way, self._retry_at = False, None
        self._request += 1
        return everything

    def waiting(self) -> list[WaitingEvent]:
        """Return all events that wait or are under way, in their order."""
        return [*self._batch, *self._queue]

    def close(self) -> None:
        """Close the connections to the endpoint."""
        self._client.close()

    def _resize(self, difference: int) -> None:
        self.size += difference
        self._services.resized(difference)

    def figures(self) -> EndpointFigures:
        """Return the figures of the endpoint."""
        retry_at = None
        if self._retry_at is not None:
            retry_at = self._services.wall_clock() + self._retry_at - self._services.clock()
        return EndpointFigures(
            app_id=self.app.id,
            url=redacted_url(self.settings.url),
            waiting=len(self),
            sent=self._sent,
            failed=self._failed,
            dropped=self._dropped,
            last_status=self._last.status or None,
            last_error=self._last.fault_in_words(self.settings.url),
            stopped=self.is_stopped,
            failed_attempts=self._failed_attempts,
            retry_at=retry_at,
            latency=self._latency,
        )
