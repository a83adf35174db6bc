"""Clients that resume miss nothing in silence, whatever breaks: the short form of ``benchmarks/resumption.py``."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from support.harness import until
from support.resumption import client_faults, server_faults, stages
from support.resumption.account import Account
from support.resumption.faults import FAULTS, Fault, several
from support.resumption.sequences import sequence
from support.resumption.trial import Size, Trial

SIZE = Size(steady=12, afflicted=12, stock=4, slow=2, publishers=3, rate=60)
ONE_PROCESS = Fault(
    "one after the other, one process",
    stages.one_process,
    several(
        client_faults.clients_slow,
        client_faults.pages_reloaded,
        client_faults.channels_left,
        client_faults.history_deleted,
        client_faults.master_key_rotated,
        server_faults.process_restarted,
    ),
)
WORKERS = Fault(
    "one after the other, two workers",
    stages.workers,
    several(
        client_faults.answers_lost,
        server_faults.workers_restarted,
        server_faults.worker_killed,
        client_faults.history_deleted,
    ),
)


def tried(fault: Fault) -> Account:
    """What came of a fault, after what must be with any."""
    with ExitStack() as stack:
        trial = stack.enter_context(Trial(fault.stage(stack), SIZE))
        trial.load_for(0.5)
        fault.happen(trial)
        trial.load_for(0.5)
        account = trial.account(may_be_lost=fault.may_be_lost)
    assert account.wrong(may_be_lost=fault.may_be_lost) == [], (account.total.notes, account.behind, account.complaints)
    assert account.total.deliveries > 100
    return account


@pytest.mark.parametrize("fault", [ONE_PROCESS, WORKERS], ids=["one process", "workers"])
def test_nothing_is_missed_in_silence(fault: Fault) -> None:
    tried(fault)


def test_clients_that_were_cut_off_are_told_of_no_gap_where_all_is_kept() -> None:
    assert tried(FAULTS["clients-cut"]).ends["cut off"] >= SIZE.afflicted


@pytest.mark.parametrize("name", ["process-killed", "hub-killed"])
def test_clients_are_told_of_a_gap_if_the_process_that_keeps_histories_is_killed(name: str) -> None:
    assert tried(FAULTS[name]).total.gaps > 0


@pytest.mark.parametrize("seed", [2, 3])
def test_nothing_is_missed_in_silence_after_a_random_sequence(seed: int) -> None:
    tried(sequence(seed, ("one process", "two workers")))


def test_nothing_is_missed_in_silence_over_redis() -> None:
    with ExitStack() as stack:
        stage = stages.hosts(stack)
        trial = stack.enter_context(Trial(stage, SIZE))

        until(lambda: trial.answers.do("drop_answers", 2) > 1, "answers are lost")
        trial.answers.do("drop_answers", 0)
        stage.kill(stage.hosts[-1])
        trial.load_for(0.5)
        stage.hosts[-1].start()
        stage.wait_until_flowing()
        trial.settle()
        assert (trial.steady.do("gaps"), trial.afflicted.do("gaps")) == (0, 0)

        stage.redis.stop()
        trial.load_for(0.5)
        stage.redis.start()
        stage.wait_until_flowing()
        account = trial.account(may_be_lost=True)
    assert account.wrong(may_be_lost=True) == [], (account.total.notes, account.behind, account.complaints)
    assert account.total.gaps > 0
    assert account.sent_again > 0
    assert account.streams > 0


def test_events_that_a_host_holds_back_for_redis_come_to_all_clients() -> None:
    with ExitStack() as stack:
        stage = stages.hosts(stack, count=2, cut_off=True)
        trial = stack.enter_context(Trial(stage, SIZE))
        apart = stage.hosts[-1]

        stage.relay.hold()
        until(lambda: apart.publish("nobody", "e").json() == {"delivered": "local"}, "the host is alone")
        trial.load_for(0.5)
        stage.relay.mend()
        account = trial.account(may_be_lost=False)
    assert account.wrong() == [], (account.total.notes, account.behind, account.complaints)
    assert account.total.gaps > 0
