"""Background delivery in the workers of task queues: all that a job has broadcast is sent, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support import background_jobs
from support.background_programs import environment, listening, names_of, started
from support.harness import RunningServer, until
from support.raw_socket import TIMEOUT
from support.redis_process import RedisServer, running_redis

JOBS: Final = ("first", "second", "third")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


def by_rq(url: str) -> Callable[[str], Any]:
    from redis import Redis
    from rq import Queue

    queue = Queue(connection=Redis.from_url(url))
    return lambda who: queue.enqueue(background_jobs.tell, who)


def by_celery(url: str) -> Callable[[str], Any]:
    app = background_jobs.celery_app(url)
    return lambda who: app.send_task("tell", [who])


def by_dramatiq(url: str) -> Callable[[str], Any]:
    actor = background_jobs.dramatiq_actor(url)
    return lambda who: actor.send(who)


def by_huey(url: str) -> Callable[[str], Any]:
    return background_jobs.huey_task(url)  # type: ignore[no-any-return]


CELERY: Final = ("celery", "-A", "worker_module", "worker", "--without-gossip", "--without-mingle")
WORKERS: Final = {
    "RQ": (by_rq, "rq.cli", "worker"),
    "RQ, SpawnWorker": (by_rq, "rq.cli", "worker", "-w", "rq.worker.SpawnWorker"),
    "RQ, SimpleWorker": (by_rq, "rq.cli", "worker", "-w", "rq.worker.SimpleWorker"),
    "Celery": (by_celery, *CELERY, "--concurrency", "2"),
    "Celery, a child for each task": (by_celery, *CELERY, "--concurrency", "2", "--max-tasks-per-child", "1"),
    "Celery, spawned children": (
        *(by_celery, *CELERY, "--concurrency", "1", "--max-tasks-per-child", "1", "--pool-start-method", "spawn"),
    ),
    "Celery, threads": (by_celery, *CELERY, "--pool", "threads"),
    "Celery, solo": (by_celery, *CELERY, "--pool", "solo"),
    "Dramatiq": (by_dramatiq, "dramatiq", "--processes", "2", "--threads", "2", "worker_module:broker"),
    "Dramatiq, spawned": (by_dramatiq, "dramatiq", "--processes", "1", "--use-spawn", "worker_module:broker"),
    "Huey, processes": (by_huey, "huey.bin.huey_consumer", "worker_module.app", "-k", "process", "-w", "2"),
    "Huey, threads": (by_huey, "huey.bin.huey_consumer", "worker_module.app", "-w", "2"),
}
MODULES: Final = {
    by_celery: "app = background_jobs.celery_app()",
    by_dramatiq: "broker = background_jobs.dramatiq_actor().broker",
    by_huey: "app = background_jobs.huey_task().huey",
}


@pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS.keys())
def test_workers_send_all_that_their_jobs_have_broadcast(
    server: RunningServer, redis: RedisServer, tmp_path: Path, worker: Any
) -> None:
    queue, *command = worker
    redis.client().flushall()
    module = f"from support import background_jobs\n{MODULES.get(queue, '')}\n"
    (tmp_path / "worker_module.py").write_text(module)
    environ = environment(server.port, REDIS_URL=redis.url, RQ_REDIS_URL=redis.url)
    enqueue = queue(redis.url)
    with listening(server) as heard, started(tmp_path, "-m", *command, environ=environ) as process:
        for who in JOBS:
            enqueue(who)
        until(lambda: all((tmp_path / who).exists() for who in JOBS), (tmp_path / "log").read_text, 2 * TIMEOUT)
        process.terminate()
        process.wait(3 * TIMEOUT)
        assert sorted(heard()) == sorted(name for who in JOBS for name in names_of(who)), (tmp_path / "log").read_text()
