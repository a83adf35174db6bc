"""A broker that is there and does not answer holds a hand-over up for seconds only, with every queue."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from soundpost import Broadcaster
from soundpost.errors import QueueError
from support.harness import until
from support.queue_worker import broadcasting_by
from support.raw_socket import TIMEOUT
from support.redis_process import RedisServer, running_redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running
        running.thaw()


def celery(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery import Celery

    from soundpost.contrib import celery as contrib

    gc.collect()
    monkeypatch.setattr(contrib, "_app", Celery("silent", broker=url, set_as_current=False))


def rq(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from soundpost.contrib import rq as contrib

    monkeypatch.setattr(contrib, "_connection", None)
    monkeypatch.setenv("RQ_REDIS_URL", url)


def dramatiq(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dramatiq.brokers.redis import RedisBroker

    from soundpost.contrib import dramatiq as contrib

    broker = RedisBroker(url=url)
    monkeypatch.setattr(contrib.send_messages, "broker", broker)
    broker.declare_actor(contrib.send_messages)


def huey(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huey import RedisHuey

    from soundpost.contrib import huey as contrib

    monkeypatch.setattr(contrib, "_task", None)
    contrib.use(RedisHuey("silent", url=url))


def failure_of(broadcaster: Broadcaster) -> BaseException | None:
    """What a broadcast raises, in a thread: one that never comes back is not to hold the tests up."""
    failures: list[BaseException | None] = []

    def publish() -> None:
        try:
            broadcaster.publish("orders", "tick")
        except Exception as error:
            failures.append(error)
        else:
            failures.append(None)

    threading.Thread(target=publish, daemon=True).start()
    until(lambda: bool(failures), "the broadcast to come back", TIMEOUT)
    return failures[0]


@pytest.mark.parametrize("was_used", [False, True], ids=["first use", "used before"])
@pytest.mark.parametrize("configure", [celery, rq, dramatiq, huey])
def test_a_silent_broker_is_given_up(
    redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    configure: Callable[[str, pytest.MonkeyPatch], Any],
    was_used: bool,
) -> None:
    configure(redis.url, monkeypatch)
    with broadcasting_by(configure.__name__) as broadcaster:
        if was_used:
            broadcaster.publish("orders", "before")
        redis.freeze()
        error = failure_of(broadcaster)
        assert isinstance(error, QueueError)
        assert "event tick on orders: " in str(error)
        redis.thaw()
        assert failure_of(broadcaster) is None
