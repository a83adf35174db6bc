"""What can break while clients resume, and how it is mended. Each takes a trial under load, and waits for its end."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from support.harness import until
from support.operated import Operated
from support.resumption import stages
from support.resumption.stages import LARGE, ORDERS, ROOM, Stage
from support.resumption.trial import Trial

LEASE = 10.0
"""Seconds after which others take a host that says nothing for dead."""
BEYOND_LEASE = LEASE + 4

Break = Callable[[Trial], None]


class Fault(NamedTuple):
    """``may_be_lost``: what was acknowledged may be lost with what broke, and a gap told though nothing is missing.
    ``may_be_undecided``: clients may ask while the authority of the histories is away."""

    title: str
    stage: Callable[[ExitStack], Stage]
    happen: Break
    may_be_lost: bool = False
    may_be_undecided: bool = False


# Clients


def nothing(trial: Trial) -> None:
    """Let nothing break."""
    trial.load_for(3)


def clients_cut(trial: Trial) -> None:
    """Cut connections in the middle of a message, again before all are back, and again."""
    for pause in (1.0, 0.1, 1.0):
        trial.proxy.do("cut")
        trial.load_for(pause)


def clients_unreachable(trial: Trial) -> None:
    """Lose all that is on its way to clients for a while; neither side is told."""
    trial.proxy.do("hold", True)
    trial.load_for(4)
    trial.proxy.do("hold", False)


def clients_frozen(trial: Trial, seconds: float = 8) -> None:
    """Stop clients in the middle of what they do. Those that are sent much are closed meanwhile."""
    stopped = [crowd for crowd in trial.crowds if crowd is not trial.steady]
    for crowd in stopped:
        crowd.freeze()
    for _ in range(3):
        trial.burst(LARGE, 300, 9_000)
    trial.load_for(seconds)
    for crowd in stopped:
        crowd.thaw()


def clients_frozen_for_a_minute(trial: Trial) -> None:
    """Stop clients for so long that all are closed, while less is published than usual."""
    trial.publishing.slow_down(4)
    clients_frozen(trial, 60)
    trial.publishing.slow_down(1)


def clients_slow(trial: Trial) -> None:
    """Let clients not read while much is published, until the server closes them, and read slowly after that."""
    trial.slow.do("stall", True)
    for _ in range(3):
        trial.burst(LARGE, 300, 9_000)
    trial.load_for(1)
    trial.slow.do("trickle", 3)


def pages_reloaded(trial: Trial) -> None:
    """Replace all pages by new ones, rendered from positions that were read a moment before."""
    for _ in range(3):
        trial.reload()
        trial.load_for(1)


def chromium_reloaded(trial: Trial) -> None:
    """Reload pages in Chromium in the middle of what they are given."""
    trial.open_pages(2)
    for _ in range(4):
        trial.load_for(1)
        trial.reload()


def channels_left(trial: Trial) -> None:
    """Let clients unsubscribe from a channel and subscribe again, at once and after a while."""
    for pause in (0.0, 0.5):
        trial.afflicted.do("churn", pause)
        trial.load_for(1)


def answers_lost(trial: Trial) -> None:
    """Take a publisher the answers to its requests; it sends them again, to another host if there is one."""
    for _ in range(10):
        trial.answers.do("drop_answers", 2)
        trial.load_for(0.5)
    assert trial.answers.do("drop_answers", 0) > 0, "no answer was dropped"


def history_deleted(trial: Trial) -> None:
    """Delete histories, while some clients are away and others have everything."""
    trial.proxy.do("hold", True)
    trial.load_for(1)
    for channel in (ORDERS[0], ROOM):
        trial.delete_history(channel)
    trial.load_for(1)
    trial.proxy.do("hold", False)
    trial.settle()
    trial.delete_history(ORDERS[1])


def master_key_rotated(trial: Trial) -> None:
    """Take another master key, and delete what the old one sealed: while clients are away, and while all are here."""
    trial.proxy.do("hold", True)
    trial.load_for(1)
    trial.rotate_master_key()
    trial.load_for(1)
    trial.proxy.do("hold", False)
    trial.settle()
    trial.load_for(1)
    trial.rotate_master_key()


# Servers without Redis


def process_restarted(trial: Trial) -> None:
    """Restart the process in place."""
    stages.restarted_in_place(trial.stage.hosts[0])


def process_killed(trial: Trial) -> None:
    """Kill the only process, and start it again."""
    host = trial.stage.hosts[0]
    trial.stage.kill(host)
    trial.load_for(0.5)
    host.start()


def workers_restarted(trial: Trial) -> None:
    """Replace the workers, one after the other."""
    stages.with_new_workers(trial.stage.hosts[0])


def worker_killed(trial: Trial) -> None:
    """Kill a worker, and another one when that is replaced."""
    host = trial.stage.hosts[0]
    for _ in range(2):
        before = host.workers()
        os.kill(before[-1], signal.SIGKILL)
        until(lambda before=before: _has_replaced(host, before), "the worker is replaced", 30)  # type: ignore[misc]
        trial.load_for(1)


def _has_replaced(host: Operated, before: list[int]) -> bool:
    now = host.workers()
    return len(now) == len(before) and before[-1] not in now


def hub_killed(trial: Trial) -> None:
    """Kill the parent of the workers, and start all again."""
    host = trial.stage.hosts[0]
    workers = host.workers()
    trial.stage.kill(host)
    for pid in workers:
        until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "its workers end", 30)  # type: ignore[misc] # noqa: PTH110
    host.start()


# Hosts over Redis


def hosts_restarted(trial: Trial) -> None:
    """Restart all hosts, one after the other."""
    stages.restarted_one_by_one(trial.stage)


def host_killed(trial: Trial) -> None:
    """Kill a host, and start it again when others have buried it."""
    host = trial.stage.hosts[-1]
    trial.stage.kill(host)
    trial.load_for(BEYOND_LEASE)
    host.start()
    trial.stage.wait_until_flowing()


def host_frozen(trial: Trial) -> None:
    """Stop a host longer than its lease."""
    pid = trial.stage.hosts[-1].pid
    os.kill(pid, signal.SIGSTOP)
    trial.load_for(BEYOND_LEASE)
    os.kill(pid, signal.SIGCONT)
    trial.stage.wait_until_flowing()


def host_cut_off(trial: Trial) -> None:
    """Let nothing pass between a host and Redis, longer than its lease."""
    trial.stage.relay.hold()
    trial.load_for(BEYOND_LEASE)
    trial.stage.relay.mend()
    trial.stage.wait_until_flowing()


def redis_killed(trial: Trial) -> None:
    """Kill Redis, which comes back empty."""
    trial.stage.redis.stop()
    trial.load_for(3)
    trial.stage.redis.start()
    trial.stage.wait_until_flowing()


def redis_frozen(trial: Trial) -> None:
    """Stop Redis; its connections stay open and say nothing."""
    trial.stage.redis.freeze()
    trial.load_for(7)
    trial.stage.redis.thaw()
    trial.stage.wait_until_flowing()


def redis_emptied(trial: Trial) -> None:
    """Take all data from Redis, scripts too."""
    trial.stage.redis.client().flushall()
    trial.stage.redis.client().script_flush()
    trial.load_for(3)
    trial.stage.wait_until_flowing()


def redis_connections_killed(trial: Trial) -> None:
    """Let Redis close its connections to all hosts."""
    for _ in range(3):
        for kind in ("pubsub", "normal"):
            trial.stage.redis.client().client_kill_filter(_type=kind, skipme=True)
        trial.load_for(1)
    trial.stage.wait_until_flowing()


def redis_failed_over(trial: Trial) -> None:
    """Kill Redis after its replica has missed the last events: Sentinel promotes the replica."""
    stage = trial.stage
    stage.relay.hold()
    trial.load_for(1.5)
    stage.redis.stop()
    until(lambda: bool(stage.replica.client().role()[0] == "master"), "the replica is promoted", seconds=30)
    stage.data = stage.replica.client
    stage.wait_until_flowing()


def nginx_reloaded(trial: Trial) -> None:
    """Let Nginx read its configuration again: old connections stay with old processes."""
    for _ in range(2):
        trial.stage.nginx.send_signal(signal.SIGHUP)
        trial.load_for(1)
        trial.proxy.do("abort")
        trial.load_for(1)


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
    "nothing": Fault("nothing", _one, nothing),
    "clients-cut": Fault("clients cut off in the middle of a message", _one, clients_cut),
    "clients-unreachable": Fault("clients unreachable for 4 s", _one, clients_unreachable),
    "little-memory": Fault("clients unreachable, and little memory", stages.with_little_memory, clients_unreachable),
    "clients-frozen": Fault("clients stopped for 8 s (SIGSTOP)", _one, clients_frozen),
    "clients-frozen-for-a-minute": Fault("clients stopped for a minute (SIGSTOP)", _one, clients_frozen_for_a_minute),
    "clients-slow": Fault("clients closed for slowness", _one, clients_slow),
    "pages-reloaded": Fault("pages reloaded, with positions in them", _one, pages_reloaded),
    "chromium-reloaded": Fault("pages reloaded in Chromium", _one, chromium_reloaded),
    "channels-left": Fault("channels left and joined again", _one, channels_left),
    "answers-lost": Fault("a publisher's answers lost, one process", _one, answers_lost),
    "history-deleted": Fault("histories deleted, one process", _one, history_deleted),
    "master-key-rotated": Fault("another master key, one process", _one, master_key_rotated),
    "process-restarted": Fault("restart, one process", _one, process_restarted),
    "process-killed": Fault("the only process killed (SIGKILL)", _one, process_killed, may_be_lost=True),
    "workers-cut": Fault("clients cut off, two workers", _workers, clients_cut),
    "workers-answers-lost": Fault("a publisher's answers lost, two workers", _workers, answers_lost),
    "workers-reloaded": Fault("pages reloaded, two workers", _workers, pages_reloaded),
    "workers-history-deleted": Fault("histories deleted, two workers", _workers, history_deleted),
    "workers-restarted": Fault("restart, two workers", _workers, workers_restarted),
    "worker-killed": Fault("a worker killed, twice", _workers, worker_killed),
    "hub-killed": Fault("the parent of the workers killed", _workers, hub_killed, may_be_lost=True),
    "hosts-cut": Fault("clients cut off, three hosts behind Nginx", _hosts, clients_cut),
    "hosts-reloaded": Fault("pages reloaded, three hosts", _hosts, pages_reloaded),
    "hosts-answers-lost": Fault("a publisher's answers lost, sent again to another host", _hosts, answers_lost),
    "hosts-history-deleted": Fault("histories deleted, three hosts", _hosts, history_deleted),
    "hosts-master-key-rotated": Fault("another master key, three hosts", _hosts, master_key_rotated),
    "hosts-restarted": Fault("restart --all, three hosts", _hosts, hosts_restarted),
    "host-killed": Fault("a host killed", _hosts, host_killed),
    "host-frozen": Fault("a host stopped beyond its lease", _hosts, host_frozen),
    "host-cut-off": Fault("a host cut off from Redis beyond its lease", _behind_relay, host_cut_off),
    "nginx-reloaded": Fault("Nginx reloaded", _hosts, nginx_reloaded),
    "redis-connections-killed": Fault("all connections to Redis killed", _hosts, redis_connections_killed),
    "redis-frozen": Fault("Redis stopped for 7 s", _hosts, redis_frozen),
    "redis-killed": Fault("Redis killed, back empty", _hosts, redis_killed, may_be_lost=True),
    "redis-emptied": Fault("Redis emptied", _hosts, redis_emptied, may_be_lost=True),
    "redis-failed-over": Fault(
        "Redis killed, its replica promoted without the last events",
        _with_replica,
        redis_failed_over,
        may_be_lost=True,
    ),
}
