"""What can break of servers and Redis while clients resume. Each takes a trial under load, and waits for its end."""

from __future__ import annotations

import os
import signal

from support.harness import until
from support.operated import Operated
from support.resumption import stages
from support.resumption.trial import Trial

LEASE = 10.0
"""Seconds after which others take a host that says nothing for dead."""
BEYOND_LEASE = LEASE + 4


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
    """Kill a host, and start it again when others have removed it."""
    host = trial.stage.hosts[-1]
    trial.stage.kill(host)
    trial.load_for(BEYOND_LEASE)
    host.start()
    trial.stage.wait_until_flowing()


def host_frozen(trial: Trial) -> None:
    """Stop a host longer than its lease."""
    host = trial.stage.hosts[-1]
    host.signal(signal.SIGSTOP)
    trial.load_for(BEYOND_LEASE)
    host.process.err_so_far()  # what it has logged before is not a sign of its return
    host.signal(signal.SIGCONT)
    # Until it hears that it was taken for dead, its events flow over the connection that it had.
    host.said(r"connected, as node \w+")
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
    until(lambda: bool(stage.replica.client().role()[0] == "master"), "the replica is promoted")
    stage.data = stage.replica.client
    stage.wait_until_flowing()


def nginx_reloaded(trial: Trial) -> None:
    """Let Nginx read its configuration again: old connections stay with old processes."""
    for _ in range(2):
        trial.stage.nginx.send_signal(signal.SIGHUP)
        trial.load_for(1)
        trial.proxy.do("abort")
        trial.load_for(1)
