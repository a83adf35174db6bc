"""Failing at once while a server is known to be dead."""

from __future__ import annotations

import pytest

from soundpost.broadcasting.circuit import FAILURES, OPEN_FOR, WINDOW, Circuit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(clock)


def fail(circuit: Circuit, times: int = FAILURES) -> None:
    for _ in range(times):
        circuit.failed("nothing listens at http://127.0.0.1:1")


def test_a_few_failures_leave_it_closed(circuit: Circuit) -> None:
    fail(circuit, FAILURES - 1)
    assert circuit.refusal() is None


def test_many_failures_open_it_for_a_while(circuit: Circuit, clock: Clock) -> None:
    fail(circuit)
    clock.now += 1
    assert circuit.refusal() == (
        "nothing listens at http://127.0.0.1:1; it failed 5 times in a row and is tried again in 4.0 s"
    )


def test_failures_that_are_long_ago_do_not_count(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, FAILURES - 1)
    clock.now += WINDOW
    fail(circuit, FAILURES - 1)
    assert circuit.refusal() is None


def test_a_success_in_between_begins_anew(circuit: Circuit) -> None:
    fail(circuit, FAILURES - 1)
    circuit.succeeded()
    fail(circuit, FAILURES - 1)
    assert circuit.refusal() is None


def test_after_a_while_one_may_try_and_closes_it(circuit: Circuit, clock: Clock) -> None:
    fail(circuit)
    clock.now += OPEN_FOR
    assert circuit.refusal() is None
    assert circuit.refusal() is not None, "a second one waits for what the first finds"
    circuit.succeeded()
    assert circuit.refusal() is None


def test_who_tries_and_fails_opens_it_again(circuit: Circuit, clock: Clock) -> None:
    fail(circuit)
    clock.now += OPEN_FOR
    assert circuit.refusal() is None
    clock.now += 1
    fail(circuit, 1)
    clock.now += OPEN_FOR - 1
    assert circuit.refusal() is not None
    clock.now += 1
    assert circuit.refusal() is None


def test_who_tries_and_never_says_how_it_went_is_followed_by_another(circuit: Circuit, clock: Clock) -> None:
    fail(circuit)
    clock.now += OPEN_FOR
    assert circuit.refusal() is None
    clock.now += OPEN_FOR
    assert circuit.refusal() is None
