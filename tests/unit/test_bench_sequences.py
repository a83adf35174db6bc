"""Lost, double and out of order events, by their numbers."""

from __future__ import annotations

from soundpost.tools.bench.sequences import Sequences


def after(*numbers: int, from_start: bool = True, stream: int = 0) -> Sequences:
    sequences = Sequences(from_start=from_start)
    for number in numbers:
        sequences.add(stream, number, second=number)
    return sequences


def test_all_in_order() -> None:
    sequences = after(0, 1, 2)
    assert (sequences.received, sequences.duplicates, sequences.out_of_order) == (3, 0, 0)
    assert sequences.gaps({}).total() == 0
    assert sequences.missing_at_end(0, 3, ()) == 0


def test_a_gap_is_a_loss_in_the_second_in_which_it_showed() -> None:
    assert after(0, 3).gaps({}) == {3: 2}


def test_the_first_events_can_be_missing_too() -> None:
    assert after(2).gaps({}).total() == 2


def test_what_is_missing_at_the_end() -> None:
    assert after(0, 1).missing_at_end(0, 5, ()) == 3
    assert Sequences(from_start=True).missing_at_end(7, 4, ()) == 4


def test_an_event_that_comes_twice() -> None:
    sequences = after(0, 1, 1, 0)
    assert (sequences.received, sequences.duplicates) == (2, 2)


def test_an_event_that_comes_late_is_out_of_order_but_not_lost() -> None:
    sequences = after(0, 2, 1)
    assert (sequences.received, sequences.duplicates, sequences.out_of_order) == (3, 0, 1)
    assert sequences.gaps({}).total() == 0


def test_a_late_event_that_comes_twice() -> None:
    sequences = after(0, 2, 1, 1)
    assert (sequences.duplicates, sequences.out_of_order) == (1, 1)


def test_nobody_is_to_expect_what_the_server_has_not_confirmed() -> None:
    sequences = after(0, 3)
    assert sequences.gaps({0: {1}}).total() == 1
    assert sequences.missing_at_end(0, 6, {1, 4}) == 1


def test_which_events_have_come() -> None:
    sequences = after(0, 3, 1)
    assert [number for number in range(6) if sequences.has(0, number)] == [0, 1, 3]
    assert not sequences.has(7, 0)


def test_streams_are_counted_apart() -> None:
    sequences = after(0, 1)
    sequences.add(5, 1, second=0)
    assert sequences.gaps({}).total() == 1
    assert sequences.gaps({5: {0}}).total() == 0


def test_one_that_comes_later_starts_with_its_first_event() -> None:
    sequences = after(7, 8, 10, from_start=False)
    assert sequences.gaps({}) == {10: 1}
    assert sequences.received == 3


def test_gaps_take_bounded_memory_and_are_counted_all_the_same() -> None:
    sequences = after(0, 1_000_000)
    assert sequences.gaps({}).total() == 999_999
    for number in range(1_000_002, 1_010_000, 2):
        sequences.add(0, number, second=0)
    assert sequences.gaps({}).total() == 999_999 + 4_999
