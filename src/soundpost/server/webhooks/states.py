"""States of an app that its endpoints are told of, and ends of states that are held back for a while.

A channel is occupied, a member is in a channel, a user is online: each begins with one event and ends with another one.
No I/O. Times are those of the caller's clock, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from msgspec.json import encode

from soundpost.core.webhooks import BEGINS, HELD, WebhookEvent
from soundpost.server.webhooks.waiting_event import WaitingEvent

State = tuple[str, str, str]
"""Value of :attr:`soundpost.core.webhooks.WebhookEvent.state`: name of the first event, channel, user id."""


class TakeResult(NamedTuple):
    """Result of :meth:`States.take`: the events to send, and those that are settled."""

    ready: WaitingEvent | None = None
    """The event, if it is to be sent now."""
    settled: tuple[WaitingEvent, ...] = ()
    """Events that are not sent at all."""


class States:
    """The states of one app."""

    def __init__(self) -> None:
        self._notified: dict[State, bool] = {}  # False: perhaps not, or not all endpoints
        self._held: dict[State, tuple[float, WaitingEvent]] = {}
        self._ends: list[tuple[float, int, State]] = []  # heap; those that are not in _held are void
        self._number = 0
        self._watches: list[set[State]] = []
        self.held_size = 0
        """Bytes of the ends that are held back."""

    def __contains__(self, state: object) -> bool:
        return state in self._notified

    def __iter__(self) -> Iterator[State]:
        return iter(self._notified)

    @property
    def held(self) -> int:
        """The number of ends that are held back."""
        return len(self._held)

    @property
    def is_ending(self) -> bool:
        """True if ends of very many states are being held back over several loop turns."""
        return bool(self._watches)

    @property
    def next_end(self) -> float | None:
        """The time at which the next held end is due; None if none is held."""
        while self._ends:
            due, _, state = self._ends[0]
            if state in self._held and self._held[state][0] == due:
                return due
            heappop(self._ends)
        return None

    def take(self, waiting: WaitingEvent, now: float) -> TakeResult:
        """Take an event as it happens, and return what to send."""
        state = waiting.event.state
        if state is None:
            return TakeResult(waiting)
        if waiting.event.name in BEGINS:
            return self._begin(state, waiting)
        return self._end(state, waiting, now)

    def _begin(self, state: State, waiting: WaitingEvent) -> TakeResult:
        for begun in self._watches:
            begun.add(state)
        end = self._pop_held(state)
        taken_back = () if end is None else (end,)
        is_known = self._notified.get(state, False)
        self._notified[state] = True
        return TakeResult(None, (*taken_back, waiting)) if is_known else TakeResult(waiting, taken_back)

    def _end(self, state: State, waiting: WaitingEvent, now: float) -> TakeResult:
        if state not in self._notified:
            return TakeResult(None, (waiting,))
        if waiting.event.is_final:
            del self._notified[state]
            earlier = self._pop_held(state)
            return TakeResult(waiting, () if earlier is None else (earlier,))
        if state in self._held:
            return TakeResult(None, (waiting,))
        self.hold(state, waiting, now + HELD)
        return TakeResult()

    def hold(self, state: State, end: WaitingEvent, due: float) -> None:
        """Hold the end of a state that endpoints were told of back until it is ``due``."""
        self._pop_held(state)
        self.held_size += end.size
        self._held[state] = due, end
        self._number += 1
        heappush(self._ends, (due, self._number, state))

    def watch(self) -> set[State]:
        """Return a set that gets each state that begins from now on, until :meth:`unwatch`."""
        begun: set[State] = set()
        self._watches.append(begun)
        return begun

    def unwatch(self, begun: set[State]) -> None:
        """Leave a set of :meth:`watch` as it is from now on."""
        self._watches = [each for each in self._watches if each is not begun]

    def _pop_held(self, state: State) -> WaitingEvent | None:
        _, end = self._held.pop(state, (0.0, None))
        if end is not None:
            self.held_size -= end.size
        return end

    def holds_end_of(self, state: State) -> bool:
        """Return True if the end of a state is held back."""
        return state in self._held

    def pop_due(self, now: float) -> WaitingEvent | None:
        """Remove and return a held end that is due; None if there is none."""
        due = self.next_end
        if due is None or due > now:
            return None
        state = heappop(self._ends)[2]
        del self._notified[state]
        return self._pop_held(state)

    def release_all(self) -> None:
        """Have all held ends be due at once."""
        ends, self._ends = list(self._held.items()), []
        for state, (_, end) in ends:
            self.hold(state, end, 0.0)

    def take_notified(self, states: Iterable[tuple[State, bool]]) -> None:
        """Take states that endpoints were told of before, each with False if that is not sure.

        A beginning is sent again if it is not sure that the endpoints were told of the state.
        """
        self._notified.update(states)

    def doubt(self, event: WebhookEvent) -> None:
        """Note that an endpoint was not told of an event: a state that it begins is told again when it begins again."""
        state = event.state
        if event.name in BEGINS and state in self._notified:
            self._notified[state] = False

    def doubt_all(self) -> None:
        """Note that some endpoint has no event about any state: all states are sent again when they begin again."""
        self._notified = dict.fromkeys(self._notified, False)

    def without_end(self) -> list[State]:
        """Return the states whose end is not held back."""
        return [state for state in self._notified if state not in self._held]

    def all_notified(self) -> list[tuple[State, bool]]:
        """Return the states as :meth:`take_notified` takes them."""
        return list(self._notified.items())

    def all_held(self) -> list[WaitingEvent]:
        """Return the ends that are held back."""
        return [end for _, end in self._held.values()]

    def forget(self) -> list[WaitingEvent]:
        """Forget everything; return the ends that were held back."""
        for begun in self._watches:  # ends that are still to be held back are forgotten, too
            begun.update(self._notified)
        held = self.all_held()
        self._notified, self._held, self._ends, self.held_size = {}, {}, [], 0
        return held


def end_of(state: State, time_ms: int) -> WebhookEvent:
    """Return the event that ends a state, for a state whose end nobody has seen."""
    beginning, channel, user_id = state
    name = BEGINS[beginning]
    fields = {"name": name}
    if channel:
        fields["channel"] = channel
    if user_id:
        fields["user_id"] = user_id
    return WebhookEvent(name, channel, user_id, encode(fields), time_ms)
