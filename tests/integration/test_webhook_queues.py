"""Handlers of webhooks hand events on to task queues: the real libraries, with events as plain data."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Final

import pytest

from soundpost.webhooks import MemberAdded, SeenInRedis, WebhookEvent, Webhooks, event_from
from support.redis_process import shared_redis

EVENT: Final = MemberAdded(
    channel="presence-room.7", user_id="5", user_info={"name": "Zoë"}, id="1-0", time_ms=1_327_078_148_132
)
got: Final[list[WebhookEvent]] = []
"""Events that tasks have got."""


def bill(fields: dict[str, Any]) -> None:
    """Take an event, as a task of all queues."""
    got.append(event_from(fields))


async def abill(ctx: Any, fields: dict[str, Any]) -> None:
    """Take an event, as a task of arq."""
    bill(fields)


def by_celery(webhooks: Webhooks) -> Callable[[], None]:
    from celery import Celery

    app = Celery(broker="memory://")
    task = app.task(bill)

    @webhooks.on("member_added")
    def joined(event: MemberAdded) -> None:
        task.delay(event.as_dict())

    def work() -> None:
        with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
            message = queue.get(timeout=5)
            arguments, named, _ = message.decode()
            assert message.content_type == "application/json"
            app.tasks[message.headers["task"]](*arguments, **named)

    return work


def by_rq(webhooks: Webhooks) -> Callable[[], None]:
    from redis import Redis
    from rq import Queue, SimpleWorker

    queue = Queue(f"webhooks-{uuid.uuid4()}", connection=Redis.from_url(shared_redis().url))

    @webhooks.on("member_added")
    def joined(event: MemberAdded) -> None:
        queue.enqueue(bill, event.as_dict())

    def work() -> None:
        SimpleWorker([queue], connection=queue.connection).work(burst=True)

    return work


def by_dramatiq(webhooks: Webhooks) -> Callable[[], None]:
    import dramatiq
    from dramatiq import Worker
    from dramatiq.brokers.stub import StubBroker

    broker = StubBroker()
    actor = dramatiq.actor(bill, broker=broker)

    @webhooks.on("member_added")
    def joined(event: MemberAdded) -> None:
        actor.send(event.as_dict())

    def work() -> None:
        worker = Worker(broker, worker_threads=1, worker_timeout=50)
        worker.start()
        broker.join("default", timeout=10_000)
        worker.stop()

    return work


def by_huey(webhooks: Webhooks) -> Callable[[], None]:
    from huey import MemoryHuey

    huey = MemoryHuey(immediate=False)
    task = huey.task()(bill)

    @webhooks.on("member_added")
    def joined(event: MemberAdded) -> None:
        task(event.as_dict())

    def work() -> None:
        huey.execute(huey.dequeue())

    return work


def by_arq(webhooks: Webhooks) -> Callable[[], None]:
    from arq import create_pool
    from arq.connections import RedisSettings
    from arq.worker import Worker

    settings = RedisSettings.from_dsn(shared_redis().url)
    name = f"webhooks-{uuid.uuid4()}"

    @webhooks.on("member_added")
    async def joined(event: MemberAdded) -> None:
        pool = await create_pool(settings, default_queue_name=name)
        await pool.enqueue_job("abill", event.as_dict())
        await pool.aclose()

    async def work() -> None:
        worker = Worker(
            [abill], redis_settings=settings, queue_name=name, burst=True, poll_delay=0.02, handle_signals=False
        )
        await worker.main()
        await worker.close()

    return lambda: asyncio.run(work())


def by_django_tasks(webhooks: Webhooks) -> Callable[[], None]:
    from django.test import override_settings
    from django_tasks import task

    from frameworks import django_database  # noqa: F401 - sets Django up

    @webhooks.on("member_added")
    def joined(event: MemberAdded) -> None:
        with override_settings(TASKS={"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}):
            task()(bill).enqueue(event.as_dict())

    return lambda: None


@pytest.mark.parametrize("queue", [by_celery, by_rq, by_dramatiq, by_huey, by_arq, by_django_tasks])
def test_a_task_gets_the_event(queue: Callable[[Webhooks], Callable[[], None]]) -> None:
    got.clear()
    webhooks = Webhooks()
    work = queue(webhooks)
    assert webhooks.handle([EVENT]) == []
    work()
    assert got == [EVENT]


def test_processes_share_in_redis_what_was_handled() -> None:
    calls: list[str] = []
    prefix = f"{uuid.uuid4()}:"
    client = shared_redis().client()
    for webhooks in (Webhooks(seen=SeenInRedis(client, prefix=prefix)) for _ in range(2)):

        @webhooks.on("member_added")
        def joined(user_id: str) -> None:
            calls.append(user_id)

        assert webhooks.handle([EVENT]) == []
    assert calls == ["5"]
    (key,) = client.keys(f"{prefix}*")
    assert 590 < client.ttl(key) <= 600


async def test_an_asyncio_client_of_redis_serves_too() -> None:
    from redis.asyncio import Redis

    calls: list[str] = []
    client = Redis.from_url(shared_redis().url)
    prefix = f"{uuid.uuid4()}:"
    webhooks = Webhooks(seen=SeenInRedis(client, prefix=prefix))

    @webhooks.on("member_added")
    async def joined(user_id: str) -> None:
        calls.append(user_id)

    await webhooks.ahandle([EVENT])
    await webhooks.ahandle([EVENT])
    await client.aclose()
    assert calls == ["5"]
