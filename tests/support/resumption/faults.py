"""The faults that are tried: on which servers, and what may come of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from support.resumption import client_faults, server_faults, stages
from support.resumption.stages import Stage
from support.resumption.trial import Trial

Break = Callable[[Trial], None]


class Fault(NamedTuple):
    """``may_be_lost``: what was acknowledged may be lost with what broke, and a gap told though nothing is missing.
    ``may_be_undecided``: clients may ask while the authority of the histories is away."""

    title: str
    stage: Callable[[ExitStack], Stage]
    happen: Break
    may_be_lost: bool = False
    may_be_undecided: bool = False


def several(*breaks: Break) -> Break:
    """Let one thing break after the other."""

    def happen(trial: Trial) -> None:
        for each in breaks:
            trial.exclude_some()  # pages name four of their earlier socket ids
            each(trial)
            trial.load_for(1)

    return happen


_one = stages.one_process
_workers = stages.workers
_hosts = stages.hosts
_behind_relay = functools.partial(stages.hosts, cut_off=True)
_with_replica = functools.partial(stages.hosts, failover=True)

FAULTS: dict[str, Fault] = {
    "nothing": Fault("nothing", _one, client_faults.nothing),
    "clients-cut": Fault("clients cut off in the middle of a message", _one, client_faults.clients_cut),
    "clients-unreachable": Fault("clients unreachable for 4 s", _one, client_faults.clients_unreachable),
    "little-memory": Fault(
        "clients unreachable, and little memory", stages.with_little_memory, client_faults.clients_unreachable
    ),
    "clients-frozen": Fault("clients stopped for 8 s (SIGSTOP)", _one, client_faults.clients_frozen),
    "clients-frozen-for-a-minute": Fault(
        "clients stopped for a minute (SIGSTOP)", _one, client_faults.clients_frozen_for_a_minute
    ),
    "clients-slow": Fault("clients closed for slowness", _one, client_faults.clients_slow),
    "pages-reloaded": Fault("pages reloaded, with positions in them", _one, client_faults.pages_reloaded),
    "chromium-reloaded": Fault("pages reloaded in Chromium", _one, client_faults.chromium_reloaded),
    "channels-left": Fault("channels left and joined again", _one, client_faults.channels_left),
    "answers-lost": Fault("a publisher's answers lost, one process", _one, client_faults.answers_lost),
    "history-deleted": Fault("histories deleted, one process", _one, client_faults.history_deleted),
    "master-key-rotated": Fault("another master key, one process", _one, client_faults.master_key_rotated),
    "process-restarted": Fault("restart, one process", _one, server_faults.process_restarted),
    "process-killed": Fault("the only process killed (SIGKILL)", _one, server_faults.process_killed, may_be_lost=True),
    "workers-cut": Fault("clients cut off, two workers", _workers, client_faults.clients_cut),
    "workers-answers-lost": Fault("a publisher's answers lost, two workers", _workers, client_faults.answers_lost),
    "workers-reloaded": Fault("pages reloaded, two workers", _workers, client_faults.pages_reloaded),
    "workers-history-deleted": Fault("histories deleted, two workers", _workers, client_faults.history_deleted),
    "workers-restarted": Fault("restart, two workers", _workers, server_faults.workers_restarted),
    "worker-killed": Fault("a worker killed, twice", _workers, server_faults.worker_killed),
    "hub-killed": Fault("the parent of the workers killed", _workers, server_faults.hub_killed, may_be_lost=True),
    "hosts-cut": Fault("clients cut off, three hosts behind Nginx", _hosts, client_faults.clients_cut),
    "hosts-reloaded": Fault("pages reloaded, three hosts", _hosts, client_faults.pages_reloaded),
    "hosts-answers-lost": Fault(
        "a publisher's answers lost, sent again to another host", _hosts, client_faults.answers_lost
    ),
    "hosts-history-deleted": Fault("histories deleted, three hosts", _hosts, client_faults.history_deleted),
    "hosts-master-key-rotated": Fault("another master key, three hosts", _hosts, client_faults.master_key_rotated),
    "hosts-restarted": Fault("restart --all, three hosts", _hosts, server_faults.hosts_restarted),
    "host-killed": Fault("a host killed", _hosts, server_faults.host_killed),
    "host-frozen": Fault("a host stopped beyond its lease", _hosts, server_faults.host_frozen),
    "host-cut-off": Fault("a host cut off from Redis beyond its lease", _behind_relay, server_faults.host_cut_off),
    "nginx-reloaded": Fault("Nginx reloaded", _hosts, server_faults.nginx_reloaded),
    "redis-connections-killed": Fault(
        "all connections to Redis killed", _hosts, server_faults.redis_connections_killed
    ),
    "redis-frozen": Fault("Redis stopped for 7 s", _hosts, server_faults.redis_frozen),
    "redis-killed": Fault("Redis killed, back empty", _hosts, server_faults.redis_killed, may_be_lost=True),
    "redis-emptied": Fault("Redis emptied", _hosts, server_faults.redis_emptied, may_be_lost=True),
    "redis-failed-over": Fault(
        "Redis killed, its replica promoted without the last events",
        _with_replica,
        server_faults.redis_failed_over,
        may_be_lost=True,
    ),
}
