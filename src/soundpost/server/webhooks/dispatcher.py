"""The dispatcher of webhooks: takes the events of all apps of a host, and has them sent to the apps' endpoints."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, ClassVar, Final

from soundpost.core.app_settings import AppSettings
from soundpost.core.outbox import CallLater, CallSoon
from soundpost.core.slices import in_parts, in_slices
from soundpost.core.webhooks import ENDS, WebhookEvent
from soundpost.log_throttle import LogThrottle
from soundpost.server.webhooks import handover
from soundpost.server.webhooks.answers import EndpointClient
from soundpost.server.webhooks.app_endpoints import AppEndpoints
from soundpost.server.webhooks.endpoint import Endpoint
from soundpost.server.webhooks.figures import EndpointFigures
from soundpost.server.webhooks.held_ends import HeldEnds
from soundpost.server.webhooks.journal import Journal
from soundpost.server.webhooks.queue_limit import QueueLimit
from soundpost.server.webhooks.states import State, end_of
from soundpost.server.webhooks.turns import Turns
from soundpost.server.webhooks.waiting_event import WaitingEvent

log = logging.getLogger("soundpost.webhooks")

_POLL: Final = 0.02
_SETTLED_TOGETHER: Final = 50
"""Number of events that are settled between two looks at the clock."""


class WebhookDispatcher:
    """Everything from an event to the endpoints that want it; a :class:`soundpost.core.webhooks.WebhookLog`.

    It decides which events are sent (states that are told already, ends that are held back, the filters of endpoints),
    keeps a queue in order for each endpoint, sends one request at a time to each, sends again what failed, and drops
    what cannot be sent. Methods return at once, unless they are coroutines.

    ``open_client`` opens the connections to a URL. ``call_soon`` and ``call_later`` are the loop's, ``clock`` is in
    seconds, ``wall_clock`` the time of day in seconds since 1970. ``max_queue_size``: bytes of all events that wait.

    ``on_done`` is called with the tokens of events that are *done*: all endpoints that want the event have taken it, or
    will never get it, or no endpoint wants it. Events are done in any order, some before :meth:`add` returns. An end
    that is held back is done only when it was sent, or taken back.
    """

    time_to_return: ClassVar[float] = 30.0
    """Seconds that clients have to come back after a start, before the application is told that they are gone."""

    def __init__(
        self,
        apps: Iterable[AppSettings],
        *,
        open_client: Callable[[str], EndpointClient],
        call_soon: CallSoon,
        call_later: CallLater,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        random: Callable[[], float] = random.random,
        max_queue_size: int = 33_554_432,
        journal: Journal | None = None,
        on_done: Callable[[str, Sequence[Any]], None] | None = None,
    ) -> None:
        self.clock, self.wall_clock, self.random = clock, wall_clock, random
        self._call_soon, self.call_later = call_soon, call_later
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self.throttle = LogThrottle(log, clock)
        self.on_done = on_done
        self.on_notified: Callable[[str, WebhookEvent], None] | None = None
        """Called with each event about a state once all endpoints were told of it, or never will be; the token of the
        event follows by ``on_done``."""
        self.on_idle: Callable[[str], None] | None = None
        """Called with an app when nothing waits any more for one of its endpoints."""
        self.may_send: Callable[[str], bool] | None = None
        """Asked before each request whether this process may send the events of an app; None: always."""
        self.journal = journal
        self._open_client = open_client
        self._life = secrets.token_hex(8)
        self._number = 0
        self._apps: dict[str, AppEndpoints] = {}
        self._turns = Turns(call_soon)
        self._queue_limit = QueueLimit(max_queue_size, self._endpoints, self.throttle)
        self.resized = self._queue_limit.resized
        self._held_ends = HeldEnds(self._apps, self._queue, call_soon=call_soon, call_later=call_later, clock=clock)
        self.configure(apps)

    # Settings

    def configure(self, apps: Iterable[AppSettings]) -> None:
        """Take other apps or settings. What waits for an endpoint that stays waits on; endpoints are known by URL.

        Events for endpoints that are gone are done.
        """
        settings = {app.id: app for app in apps if app.webhooks}
        for app_id in [app_id for app_id in self._apps if app_id not in settings]:
            self._remove_app(app_id)
        for app_id, app in settings.items():
            if app_id not in self._apps:
                self._apps[app_id] = AppEndpoints(self, self._open_client)
            self._apps[app_id].configure(app)

    def _remove_app(self, app_id: str) -> None:
        app = self._apps.pop(app_id)
        app.remove_all()
        self._done(app.states.forget())
        if self.journal is not None:
            self.journal.forget(app_id)

    # Events

    def add(self, app_id: str, event: WebhookEvent, token: Any = None, event_id: str = "") -> None:
        """Take an event, behind all that were added before.

        ``token`` is what ``on_done`` is called with. ``event_id`` is the id that endpoints get, unique and the same
        when the event is sent again; without one the event gets an id of this process.
        """
        waiting = WaitingEvent(app_id, event, event_id or self._next_id(), token)
        app = self._apps.get(app_id)
        if app is None or not app.follow(event):
            self._done([waiting])
            return
        now = self.clock()
        ready, settled = app.states.take(waiting, now)
        if settled:
            self._done(settled)
        if ready is not None:
            self._queue(app, ready)
        elif event.name in ENDS:
            self._held_ends.schedule(app.states.next_end)

    def _next_id(self) -> str:
        self._number += 1
        return f"{self._life}-{self._number}"

    def _queue(self, app: AppEndpoints, waiting: WaitingEvent) -> None:
        """Queue an event for all endpoints that want it, and drop others if that is too much."""
        waiting.open = 1  # not done before it is in all queues
        app.put(waiting)
        self._queue_limit.make_room()
        self.settled([waiting])

    def forget(self, app_id: str) -> None:
        """Drop all events of an app that wait or are held back, and what was told; ``on_done`` is not called.

        Another host is to send them now. A request that is under way is given up.
        """
        app = self._apps.get(app_id)
        if app is not None:
            for endpoint in app:
                endpoint.clear()
            app.states.forget()

    def wake(self, app_id: str) -> None:
        """Send waiting events: :attr:`may_send` allows it again."""
        app = self._apps.get(app_id)
        if app is not None:
            for endpoint in app:
                endpoint.wake()

    # States

    def notified_states(self, app_id: str) -> list[State]:
        """Return the states that endpoints of an app were told of, or are about to be, and whose end was not sent."""
        app = self._apps.get(app_id)
        return [] if app is None else list(app.states)

    def held_size(self, app_id: str) -> int:
        """Return the bytes of an app's ends that are held back: they wait for time to pass, and for no endpoint."""
        app = self._apps.get(app_id)
        return 0 if app is None else app.states.held_size

    def take_notified(self, app_id: str, states: Iterable[tuple[State, bool]], end_after: float | None = None) -> None:
        """Take states of an app that its endpoints were told of, each with False if that is not sure.

        The end of each is sent after ``end_after`` seconds, unless the state begins again within them. With None only
        an end that is added ends a state.
        """
        app = self._apps.get(app_id)
        if app is not None:
            app.states.take_notified(states)
            if end_after is not None:
                self.end_notified(app_id, app.states.without_end(), end_after)

    def end_notified(self, app_id: str, states: Iterable[State], end_after: float) -> None:
        """Send the ends of states after some seconds, unless they begin again within them.

        ``states`` must stay as they are: the ends of very many are made over several loop turns.
        """
        app = self._apps.get(app_id)
        if app is not None:
            time_ms = int(self.wall_clock() * 1000)

            def end(state: State) -> WaitingEvent:
                return WaitingEvent(app_id, end_of(state, time_ms), self._next_id())

            self._held_ends.hold(app.states, states, end, self.clock() + end_after, self.turn_clock)

    # Start and restart

    def begin(self, handed_over: bytes | None = None, present: Container[tuple[str, State]] = ()) -> None:
        """Take what the process before the restart has handed over, and the states of the journal.

        The end of each state is sent after :attr:`time_to_return`, unless the state begins again before. States that
        are ``present``, each with its app's id, have not ended: the registry knows of them.
        """
        apps = handover.decode(handed_over)
        for app_id, handed in apps.items():
            if app_id in self._apps:
                self._take_over(app_id, handed, present)
        if self.journal is not None:
            for app_id, states in list(self.journal.states()):
                if app_id not in apps:
                    self.take_notified(app_id, states, self.time_to_return)
                if app_id not in self._apps:
                    self.journal.forget(app_id)

    def _take_over(self, app_id: str, handed: handover.HandedApp, present: Container[tuple[str, State]]) -> None:
        app = self._apps[app_id]
        app.take_over(app_id, handed, self.clock() + self.time_to_return)
        absent = [state for state in app.states.without_end() if (app_id, state) not in present]
        self.end_notified(app_id, absent, self.time_to_return)
        if self.journal is not None:
            waiting = {state for each in handed.events if (state := each.event.state) is not None}
            self.journal.reconcile(app_id, handed.notified, waiting)

    def as_bytes(self) -> bytes:
        """Return all that waits, is held back and was told, for :meth:`begin`."""
        return handover.encode({app_id: app.handed_over() for app_id, app in self._apps.items()})

    # For endpoints

    def allows(self, endpoint: Endpoint) -> bool:
        """Return whether an endpoint may send a request now."""
        return self.may_send is None or self.may_send(endpoint.app.id)

    def has_due(self, endpoint: Endpoint) -> None:
        """Have an endpoint send when it is its turn."""
        self._turns.ask(endpoint)

    def tried(self, events: Iterable[WaitingEvent]) -> None:
        """Note that endpoints may know of these events from now on."""
        if self.journal is not None:
            self.journal.tried(events)
        for waiting in events:
            waiting.was_tried = True

    def settled(self, events: Iterable[WaitingEvent]) -> None:
        """Note that one more endpoint is done with each of these events."""
        done = []
        for waiting in events:
            waiting.open -= 1
            if not waiting.open:
                done.append(waiting)
                if self.on_notified is not None and waiting.event.state is not None:
                    self.on_notified(waiting.app_id, waiting.event)
                app = self._apps.get(waiting.app_id)
                if waiting.was_dropped and app is not None:
                    app.states.doubt(waiting.event)
                if self.journal is not None and app is not None:
                    self.journal.settled(waiting, app.states)
        if self.journal is not None:
            self.journal.write()
        if done:
            self._done(done)

    def settle_queue(self, events: Sequence[WaitingEvent]) -> None:
        """Do the same for all events of a queue, which may be 100,000: some in each loop turn."""
        in_slices(in_parts(events, _SETTLED_TOGETHER), self.settled, self._call_soon, clock=self.turn_clock)

    def _done(self, events: Iterable[WaitingEvent]) -> None:
        """Tell who added events that they are done."""
        if self.on_done is None:
            return
        by_app: dict[str, list[Any]] = {}
        for waiting in events:
            if waiting.token is not None:
                by_app.setdefault(waiting.app_id, []).append(waiting.token)
        for app_id, tokens in by_app.items():
            self.on_done(app_id, tokens)

    def idle(self, endpoint: Endpoint) -> None:
        """Tell who adds events that an endpoint has taken all of them."""
        if self.on_idle is not None:
            self.on_idle(endpoint.app.id)

    def _endpoints(self) -> list[Endpoint]:
        return [endpoint for app in self._apps.values() for endpoint in app]

    def endpoints_of(self, app_id: str) -> list[Endpoint]:
        """Return the endpoints of an app, in the order of the configuration."""
        app = self._apps.get(app_id)
        return [] if app is None else list(app)

    def has_idle(self, app_id: str) -> bool:
        """Return whether an endpoint of an app takes events, and nothing waits for it."""
        return any(endpoint.is_idle for endpoint in self.endpoints_of(app_id))

    def figures(self) -> list[EndpointFigures]:
        """Return the figures of all endpoints."""
        return [endpoint.figures() for endpoint in self._endpoints()]

    # Stop

    def hold_ends(self) -> None:
        """Hold all ends back from now on: who comes back now comes to the next process, or cannot be known of."""
        self._held_ends.pause()

    def release_ends(self, after: float) -> None:
        """Send the ends that are due again some seconds from now, unless they are held once more by then."""
        self._held_ends.resume_later(after)

    async def stop(self, seconds: float) -> None:
        """Send what is due, for some seconds at most, and close all connections.

        If a journal keeps the states for the next process, no end is sent. Else the ends of all states are sent now,
        those of members within their grace too.
        """
        if self.journal is None:
            for app_id, app in self._apps.items():
                app.states.release_all()
                self.end_notified(app_id, reversed(app.states.without_end()), 0.0)
            self._held_ends.resume()
        await self._wait(lambda: any(each.has_due for each in self._endpoints()) or self._held_ends.will_send, seconds)
        waiting = sum(map(len, self._endpoints()))
        if waiting:
            log.warning("%d events for webhooks are lost: their endpoints have not taken them before the stop", waiting)
        self.close()

    async def pause(self, seconds: float) -> None:
        """Begin no further request, and wait some seconds at most for those that are under way."""
        self._turns.pause()
        await self._wait(lambda: any(endpoint.is_under_way for endpoint in self._endpoints()), seconds)

    async def _wait(self, is_busy: Callable[[], bool], seconds: float) -> None:
        deadline = self.clock() + seconds
        while is_busy() and self.clock() < deadline:  # noqa: ASYNC110 - at the end
            await asyncio.sleep(_POLL)

    def close(self) -> None:
        """Close all connections and the journal."""
        for endpoint in self._endpoints():
            endpoint.close()
        if self.journal is not None:
            self.journal.close()
