"""Messages that waited for a client's subscriptions are handled in order, a few at a time."""

from __future__ import annotations

from collections.abc import Callable

from conformance.protocol.stage import Stage
from soundpost.core.pending_subscriptions import AT_ONCE, PendingSubscriptions, handle_waiting


class Turns:
    """A loop that turns when :meth:`turn` is called."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turn(self) -> bool:
        """Run the callbacks that are due; return whether there were any."""
        due, self._soon = self._soon, []
        for callback in due:
            callback()
        return bool(due)


def test_others_have_their_turn_between_what_waited() -> None:
    client = Stage().connect()
    turns, done = Turns(), list[int]()
    client.app.node.call_soon = turns.call_soon
    client.pending_subscriptions = PendingSubscriptions()
    for number in range(3 * AT_ONCE + 1):
        client.pending_subscriptions.wait(client, lambda number=number: done.append(number))  # type: ignore[misc]

    handle_waiting(client)
    assert done == list(range(AT_ONCE))
    assert client.pending_subscriptions is not None
    client.pending_subscriptions.wait(client, lambda: done.append(-1))  # what comes meanwhile
    steps = [len(done)]
    while turns.turn():
        steps.append(len(done))

    assert done == [*range(3 * AT_ONCE + 1), -1]
    assert steps == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE, 3 * AT_ONCE + 2]
    assert client.pending_subscriptions is None
