"""Events by Celery: real workers, a real Redis, a real server."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from soundpost import Broadcaster, Event, PrivateChannel
from soundpost.contrib import celery as contrib
from soundpost.errors import QueueError
from soundpost.wire.signatures import channel_text, sign
from support.harness import RawSocket, RunningServer, running_server
from support.queue_worker import broadcasting_by, running_worker
from support.redis_process import RedisServer, free_port, running_redis


class OrderShipped(Event, on=PrivateChannel("orders.{order_id}")):
    order_id: int
    carrier: str


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture
def app(redis: RedisServer) -> Iterator[Any]:
    redis.client().flushall()
    made = Celery("orders", broker=redis.url)
    yield made
    made.close()
    gc.collect()  # Celery remembers apps as long as they are there


@pytest.fixture
def broadcaster(app: Any) -> Iterator[Broadcaster]:
    with broadcasting_by("celery") as made:
        yield made


def celery_worker(folder: Path, redis: RedisServer, port: int, *options: str) -> Any:
    command = ["celery", "-A", "support.celery_app", "worker", "--concurrency", "1", "--loglevel", "INFO"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return running_worker(folder, *command, *quiet, *options, port=port, redis_url=redis.url)


def subscribe_private(server: RunningServer, client: RawSocket, channel: str) -> None:
    app = server.app()
    auth = f"{app.key}:{sign(app.secret, channel_text(client.socket_id, channel, None))}"
    client.send_event("pusher:subscribe", {"channel": channel, "auth": auth})
    assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"


def test_workers_send_what_was_true_when_it_was_broadcast(
    server: RunningServer, broadcaster: Broadcaster, redis: RedisServer, tmp_path: Path
) -> None:
    """The worker does not know the class; it is restarted meanwhile, and nothing is lost or comes twice."""
    with server.connect() as client, server.connect() as other:
        subscribe_private(server, client, "private-orders.7")
        subscribe_private(server, other, "private-orders.7")
        with celery_worker(tmp_path, redis, server.port) as worker:
            broadcaster(OrderShipped(7, "DHL"), socket_id=other.socket_id)
            assert client.read_event() == {
                "event": "OrderShipped",
                "channel": "private-orders.7",
                "data": '{"order_id":7,"carrier":"DHL"}',
            }
            worker.wait_for_log("soundpost.send")
        broadcaster(OrderShipped(7, "UPS"))
        with broadcaster.batch():
            for number in range(25):
                broadcaster.publish("private-orders.7", f"tick {number}")
        with celery_worker(tmp_path, redis, server.port):
            assert client.read_event()["data"] == '{"order_id":7,"carrier":"UPS"}'
            assert [client.read_event()["event"] for _ in range(25)] == [f"tick {number}" for number in range(25)]
        assert other.read_event()["data"] == '{"order_id":7,"carrier":"UPS"}'
        assert not client.has_input()


def test_a_server_that_is_away_gets_it_once_it_is_back(
    broadcaster: Broadcaster, redis: RedisServer, tmp_path: Path
) -> None:
    port = free_port()
    with celery_worker(tmp_path, redis, port, "--pool", "solo") as worker:
        broadcaster.publish("cache-orders", "OrderShipped", {"id": 7})
        worker.wait_for_log("Retry in")
        with running_server(port=port) as server, server.connect() as client:
            client.subscribe("cache-orders")
            event = client.read_event()
            while event["event"] == "pusher:cache_miss":
                event = client.read_event()
            assert (event["event"], event["data"]) == ("OrderShipped", '{"id":7}')
            worker.wait_for_log("succeeded")
            server.publish("cache-orders", "end")
            assert client.read_event()["event"] == "end"
            assert server.app().secret not in worker.log()


def test_what_is_refused_for_good_is_logged_and_not_tried_again(
    broadcaster: Broadcaster, redis: RedisServer, tmp_path: Path
) -> None:
    with running_server() as server, celery_worker(tmp_path, redis, server.port, "--pool", "solo") as worker:
        broadcaster.publish("orders", "OrderShipped", {"notes": "x" * 20_000})
        worker.wait_for_log("succeeded")
        log = worker.log()
        assert "not sent: event OrderShipped on orders" in log
        assert "'notes'" in log
        assert "Retry in" not in log


def test_a_named_queue_is_used(broadcaster: Broadcaster, redis: RedisServer) -> None:
    broadcaster.publish("orders", "tick", queue="realtime")
    broadcaster.publish("orders", "tick")
    assert (redis.client().llen("realtime"), redis.client().llen("celery")) == (1, 1)


async def test_asynchronous_code_enqueues_too(broadcaster: Broadcaster, redis: RedisServer) -> None:
    await broadcaster.apublish("orders", "tick")
    assert redis.client().llen("celery") == 1


def test_a_thread_in_which_no_app_is_current_finds_the_only_one(broadcaster: Broadcaster, redis: RedisServer) -> None:
    thread = threading.Thread(target=broadcaster.publish, args=("orders", "tick"))
    thread.start()
    thread.join()
    assert redis.client().llen("celery") == 1


def test_one_of_several_apps_is_named(broadcaster: Broadcaster, redis: RedisServer) -> None:
    port = free_port()
    another: Any = Celery("another", broker=f"redis://127.0.0.1:{port}/0")
    with pytest.raises(QueueError, match=r"soundpost\.contrib\.celery\.use\(app\)"):
        broadcaster.publish("orders", "lost")
    named: Any = Celery("named", broker=redis.url, set_as_current=False)
    contrib.use(named)
    try:
        broadcaster.publish("orders", "tick")
    finally:
        contrib.use(None)
        another.close()
    assert redis.client().llen("celery") == 1


def test_a_broker_that_is_away_is_an_error_that_names_event_queue_and_way_out() -> None:
    port = free_port()
    app: Any = Celery("orders", broker=f"redis://127.0.0.1:{port}/0")
    with broadcasting_by("celery") as broadcaster, pytest.raises(QueueError) as caught:
        broadcaster.publish("orders", "tick", queue="realtime")
    app.close()
    message = str(caught.value)
    assert "event tick on orders: Celery did not take it into the queue 'realtime'" in message
    assert "is its broker running" in message
