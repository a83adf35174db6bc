"""Faults at random, one after the other on the same servers."""

from __future__ import annotations

import random
from collections.abc import Callable

from support.resumption import client_faults, server_faults, stages
from support.resumption.faults import Break, Fault
from support.resumption.trial import Trial

_OF_CLIENTS: tuple[Break, ...] = (
    client_faults.clients_cut,
    client_faults.clients_unreachable,
    client_faults.clients_frozen,
    client_faults.clients_slow,
    client_faults.pages_reloaded,
    client_faults.channels_left,
    client_faults.answers_lost,
    client_faults.history_deleted,
    client_faults.master_key_rotated,
)
_OF_STAGES: dict[str, tuple[Callable[..., stages.Stage], tuple[Break, ...]]] = {
    "one process": (stages.one_process, (server_faults.process_restarted, server_faults.process_killed)),
    "two workers": (
        stages.workers,
        (server_faults.workers_restarted, server_faults.worker_killed, server_faults.hub_killed),
    ),
    "three hosts": (
        stages.hosts,
        (
            server_faults.hosts_restarted,
            server_faults.host_killed,
            server_faults.host_frozen,
            server_faults.redis_killed,
            server_faults.redis_frozen,
            server_faults.redis_emptied,
            server_faults.redis_connections_killed,
            server_faults.nginx_reloaded,
        ),
    ),
}
_LOSING = frozenset(
    (server_faults.process_killed, server_faults.hub_killed, server_faults.redis_killed, server_faults.redis_emptied)
)
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
        may_be_undecided=server_faults.redis_frozen in chosen,
    )
