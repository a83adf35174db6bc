"""Faults at random, one after the other on the same servers."""

from __future__ import annotations

import random
from collections.abc import Callable

from support.resumption import faults, stages
from support.resumption.faults import Break, Fault
from support.resumption.trial import Trial

_OF_CLIENTS: tuple[Break, ...] = (
    faults.clients_cut,
    faults.clients_unreachable,
    faults.clients_frozen,
    faults.clients_slow,
    faults.pages_reloaded,
    faults.channels_left,
    faults.answers_lost,
    faults.history_deleted,
    faults.master_key_rotated,
)
_OF_STAGES: dict[str, tuple[Callable[..., stages.Stage], tuple[Break, ...]]] = {
    "one process": (stages.one_process, (faults.process_restarted, faults.process_killed)),
    "two workers": (stages.workers, (faults.workers_restarted, faults.worker_killed, faults.hub_killed)),
    "three hosts": (
        stages.hosts,
        (
            faults.hosts_restarted,
            faults.host_killed,
            faults.host_frozen,
            faults.redis_killed,
            faults.redis_frozen,
            faults.redis_emptied,
            faults.redis_connections_killed,
            faults.nginx_reloaded,
        ),
    ),
}
_LOSING = frozenset((faults.process_killed, faults.hub_killed, faults.redis_killed, faults.redis_emptied))
KINDS = tuple(_OF_STAGES)
"""Of servers."""
LENGTH = 4


def sequence(seed: int, kinds: tuple[str, ...] = KINDS) -> Fault:
    """The sequence of a seed: some faults of clients and servers on one stage, with pauses between them."""
    chance = random.Random(seed)
    kind = kinds[seed % len(kinds)]
    stage, of_servers = _OF_STAGES[kind]
    chosen = [chance.choice(chance.choice((_OF_CLIENTS, of_servers))) for _ in range(LENGTH)]
    pauses = [chance.choice((0.0, 0.2, 1.0)) for _ in chosen]

    def happen(trial: Trial) -> None:
        for each, pause in zip(chosen, pauses, strict=True):
            trial.exclude_some()
            each(trial)
            trial.load_for(pause)

    names = ", ".join(each.__name__.replace("_", " ") for each in chosen)
    return Fault(
        f"seed {seed}, {kind}: {names}",
        stage,
        happen,
        may_be_lost=not _LOSING.isdisjoint(chosen),
        may_be_undecided=faults.redis_frozen in chosen,
    )
