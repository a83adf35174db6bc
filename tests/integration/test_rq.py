"""Events by RQ: real workers, a real Redis, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import Queue
from rq.registry import StartedJobRegistry

from soundpost import Broadcaster
from soundpost.contrib import rq as contrib
from soundpost.errors import ConfigurationError, QueueError
from support.harness import RunningServer, running_server, until
from support.queue_worker import broadcasting_by, running_worker
from support.redis_process import RedisServer, free_port, running_redis


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture
def broadcaster(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broadcaster]:
    redis.client().flushall()
    monkeypatch.setattr(contrib, "_connection", None)
    monkeypatch.setenv("RQ_REDIS_URL", redis.url)
    with broadcasting_by("rq") as made:
        yield made


def rq_worker(folder: Path, redis: RedisServer, port: int, *queues: str) -> Any:
    command = ["rq.cli", "worker", "--url", redis.url, *(queues or ("default",))]
    return running_worker(folder, *command, port=port, redis_url=redis.url)


def test_workers_send_in_order_and_a_restart_loses_nothing(
    server: RunningServer, broadcaster: Broadcaster, redis: RedisServer, tmp_path: Path
) -> None:
    with server.connect() as client:
        client.subscribe("orders")
        with rq_worker(tmp_path, redis, server.port):
            broadcaster.publish("orders", "OrderShipped", {"id": 7})
            assert client.read_event() == {"event": "OrderShipped", "channel": "orders", "data": '{"id":7}'}
        with broadcaster.batch():
            for number in range(12):
                broadcaster.publish("orders", f"tick {number}")
        broadcaster.publish("orders", "last", queue="realtime")
        with rq_worker(tmp_path, redis, server.port, "default", "realtime"):
            expected = [*(f"tick {number}" for number in range(12)), "last"]
            assert [client.read_event()["event"] for _ in expected] == expected
        assert not client.has_input()


def test_a_server_that_is_away_gets_it_once_it_is_back(
    broadcaster: Broadcaster, redis: RedisServer, tmp_path: Path
) -> None:
    """By any worker: no scheduler is needed."""
    port = free_port()
    with rq_worker(tmp_path, redis, port) as worker:
        broadcaster.publish("cache-orders", "OrderShipped", {"id": 7})
        started = StartedJobRegistry("default", connection=redis.client())
        until(lambda: len(started) == 1, "the job to be started")
        with running_server(port=port) as server, server.connect() as client:
            client.subscribe("cache-orders")
            event = client.read_event()
            while event["event"] == "pusher:cache_miss":
                event = client.read_event()
            assert (event["event"], event["data"]) == ("OrderShipped", '{"id":7}')
            worker.wait_for_log("Job OK")
            server.publish("cache-orders", "end")
            assert client.read_event()["event"] == "end"


def test_the_job_is_plain_and_says_what_it_is(broadcaster: Broadcaster, redis: RedisServer) -> None:
    broadcaster.publish("orders", "OrderShipped", {"id": 7})
    (job,) = Queue(connection=contrib._redis()).jobs
    (payload,) = job.args
    assert payload == [{"c": ["orders"], "n": "OrderShipped", "d": '{"id":7}', "v": "", "i": payload[0]["i"]}]
    assert job.description == "OrderShipped on orders"
    assert job.retries_left == 3


async def test_asynchronous_code_enqueues_too(broadcaster: Broadcaster) -> None:
    await broadcaster.apublish("orders", "tick")
    assert len(Queue(connection=contrib._redis())) == 1


def test_without_an_address_it_says_how_to_give_one(broadcaster: Broadcaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RQ_REDIS_URL")
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(ConfigurationError, match=r"RQ_REDIS_URL .* soundpost\.contrib\.rq\.use\(connection\)"):
        broadcaster.publish("orders", "tick")


def test_a_redis_that_is_away_is_an_error_that_names_event_queue_and_way_out(
    broadcaster: Broadcaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RQ_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(QueueError, match=r"event tick on orders: RQ did not take it into its queue: .*RQ_REDIS_URL"):
        broadcaster.publish("orders", "tick")
