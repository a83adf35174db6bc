"""The ends of states that are held back: sent when they are due, some in each loop turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from soundpost.core.outbox import CallLater, CallSoon
from soundpost.core.slices import in_slices
from soundpost.server.webhooks.app_endpoints import AppEndpoints
from soundpost.server.webhooks.states import State, States
from soundpost.server.webhooks.waiting_event import WaitingEvent

_AT_ONCE: Final = 200
"""Number of held ends that are sent in one loop turn."""
_TURN: Final = 0.002
"""Seconds of a loop turn in which held ends are sent. Where their memory was not touched for long, 200 took 40 ms."""


class HeldEnds:
    """The held ends of all apps, each in the states of its app; ``queue`` is called with those that are due.

    ``call_soon`` and ``call_later`` are the loop's, ``clock`` is in seconds.
    """

    def __init__(
        self,
        apps: Mapping[str, AppEndpoints],
        queue: Callable[[AppEndpoints, WaitingEvent], None],
        *,
        call_soon: CallSoon,
        call_later: CallLater,
        clock: Callable[[], float],
    ) -> None:
        self._apps = apps
        self._queue = queue
        self._call_soon, self._call_later, self._clock = call_soon, call_later, clock
        self._timer: float | None = None
        """Time at which ends are sent next."""
        self._is_paused = False
        self._pauses = 0

    @property
    def will_send(self) -> bool:
        """True if there are ends that are sent once they are due."""
        return not self._is_paused and any(app.states.held or app.states.is_ending for app in self._apps.values())

    def hold(
        self,
        app_states: States,
        states: Iterable[State],
        end: Callable[[State], WaitingEvent],
        due: float,
        turn_clock: Callable[[], float],
    ) -> None:
        """Hold the ends of states back until they are due, except of those that begin meanwhile; some in each turn.

        ``end`` makes the event that ends a state. ``turn_clock`` is in seconds, and goes on within a loop turn.
        """
        begun = app_states.watch()

        def hold(state: State) -> None:
            if state in app_states and state not in begun and not app_states.holds_end_of(state):
                app_states.hold(state, end(state), due)

        def schedule() -> None:
            app_states.unwatch(begun)
            self.schedule(app_states.next_end)

        in_slices(states, hold, self._call_soon, then=schedule, clock=turn_clock)

    def schedule(self, due: float | None) -> None:
        """Send ends when this one is due, if no other one is due before."""
        if due is not None and not self._is_paused and (self._timer is None or due < self._timer):
            self._timer = due
            self._call_later(max(0.0, due - self._clock()), partial(self._on_time, due))

    def _on_time(self, due: float) -> None:
        if self._timer == due:
            self._timer = None
            self.send()

    def send(self) -> None:
        """Send the ends that are due, some in each loop turn, unless sending is paused."""
        if self._is_paused:
            return
        now, left = self._clock(), _AT_ONCE
        for app in list(self._apps.values()):
            while left and (end := app.states.pop_due(now)) is not None:
                self._queue(app, end)
                left = left - 1 if self._clock() < now + _TURN else 0
        if not left:
            self._call_soon(self.send)
            return
        ends = [due for app in self._apps.values() if (due := app.states.next_end) is not None]
        self.schedule(min(ends, default=None))

    def pause(self) -> None:
        """Send no end from now on."""
        self._is_paused = True
        self._pauses += 1
        self._timer = None

    def resume(self) -> None:
        """Send the ends that are due."""
        self._is_paused = False
        self.send()

    def resume_later(self, seconds: float) -> None:
        """Resume after some seconds, unless sending is paused once more by then."""
        self._call_later(seconds, partial(self._resume_after, self._pauses))

    def _resume_after(self, pauses: int) -> None:
        if pauses == self._pauses and self._is_paused:
            self.resume()
