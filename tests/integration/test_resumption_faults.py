"""Clients that resume miss nothing in silence, whatever breaks: the short form of ``benchmarks/resumption.py``."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from support.resumption.account import Account
from support.resumption.faults import FAULTS, Fault
from support.resumption.sequences import sequence
from support.resumption.trial import Size, Trial

SIZE = Size(steady=12, afflicted=12, stock=4, slow=2, publishers=3, rate=60)
WITHOUT_REDIS = (
    "clients-cut",
    "clients-slow",
    "pages-reloaded",
    "channels-left",
    "process-restarted",
    "process-killed",
    "workers-answers-lost",
    "workers-restarted",
    "worker-killed",
    "hub-killed",
)


def tried(fault: Fault) -> Account:
    """What came of a fault, after what must be with any."""
    with ExitStack() as stack:
        trial = stack.enter_context(Trial(fault.stage(stack), SIZE))
        trial.load_for(0.5)
        fault.happen(trial)
        trial.load_for(0.5)
        account = trial.account(may_be_lost=fault.may_be_lost)
    total = account.total
    assert total.right, total.notes
    assert account.behind == []
    assert account.complaints == []
    assert total.deliveries > 100
    if not fault.may_be_lost:
        assert (total.false_gaps, account.unanswered) == (0, 0), (total.notes, account.refusals)
    return account


@pytest.mark.parametrize("name", WITHOUT_REDIS)
def test_nothing_is_missed_in_silence(name: str) -> None:
    tried(FAULTS[name])


def test_clients_of_a_killed_process_are_told_of_a_gap() -> None:
    assert tried(FAULTS["process-killed"]).total.gaps > 0


def test_clients_that_were_cut_off_are_told_of_no_gap_where_all_is_kept() -> None:
    account = tried(FAULTS["clients-cut"])

    assert account.ends["cut off"] >= SIZE.afflicted
    assert account.total.lost == 0


@pytest.mark.parametrize("seed", [2, 3])
def test_nothing_is_missed_in_silence_after_a_random_sequence(seed: int) -> None:
    tried(sequence(seed, ("one process", "two workers")))
