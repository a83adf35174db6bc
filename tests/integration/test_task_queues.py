"""Events by Dramatiq, Huey, arq and the tasks of Django: the real libraries, and a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from soundpost import Broadcaster
from soundpost.broadcasting import broadcast
from soundpost.contrib import sending
from soundpost.errors import BroadcastError, ConfigurationError, QueueError
from support.harness import DEFAULT_APP, RunningServer, until
from support.queue_worker import broadcasting_by
from support.raw_socket import TIMEOUT
from support.redis_process import RedisServer, free_port, running_redis


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture
def worker_settings(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The workers of these tests are in this process: they send through the default broadcaster."""
    monkeypatch.setattr(broadcast, "_settings", None)
    app = DEFAULT_APP
    broadcast.configure(app_id=app.id, key=app.key, secret=app.secret, port=server.port, timeout=TIMEOUT)
    yield
    broadcast.close()
    broadcast._drivers = broadcast._delivery = None


def expect(server: RunningServer, work: Callable[[], None]) -> None:
    with server.connect() as client:
        client.subscribe("orders")
        work()
        assert client.read_event() == {"event": "OrderShipped", "channel": "orders", "data": '{"id":7}'}
        server.publish("orders", "end")
        assert client.read_event()["event"] == "end"


def publish(broadcaster: Broadcaster, queue: str | None = None) -> None:
    broadcaster.publish("orders", "OrderShipped", {"id": 7}, queue=queue)


@pytest.mark.usefixtures("worker_settings")
class TestTheJob:
    """What all workers do."""

    payload = ({"c": ["orders"], "n": "OrderShipped", "d": '{"id":7}', "v": "", "i": "message-1"},)

    def test_run_twice_it_is_delivered_once(self, server: RunningServer) -> None:
        def work() -> None:
            sending.send(list(self.payload))
            sending.send(list(self.payload))

        expect(server, work)

    def test_a_server_that_is_away_is_raised_and_what_is_wrong_is_logged(
        self, server: RunningServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        sending.send([{"c": ["orders"], "n": "half a message"}])
        sending.send([{**self.payload[0], "c": ["orders", "no channel"]}])
        assert caplog.text.count("not sent: ") == 2
        broadcast.configure(app_id="1", key="k", secret="s", port=free_port(), timeout=0.5)
        with pytest.raises(BroadcastError, match="event OrderShipped on orders"):
            sending.send(list(self.payload))

    def test_it_waits_longer_after_each_failure(self) -> None:
        assert [sending.backoff(tries) for tries in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.usefixtures("worker_settings")
class TestDramatiq:
    @pytest.fixture
    def broker(self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        broker = RedisBroker(url=redis.url)
        dramatiq.set_broker(broker)
        from soundpost.contrib import dramatiq as contrib

        monkeypatch.setattr(contrib.send_messages, "broker", broker)
        broker.declare_actor(contrib.send_messages)
        yield broker
        broker.flush_all()
        broker.close()

    def test_a_worker_sends(self, server: RunningServer, broker: Any) -> None:
        from dramatiq import Worker

        with broadcasting_by("dramatiq") as broadcaster:

            def work() -> None:
                publish(broadcaster)
                worker = Worker(broker, worker_threads=1)
                worker.start()
                broker.join("default")
                worker.join()
                worker.stop()

            expect(server, work)

    def test_a_named_queue_is_used(self, broker: Any, redis: RedisServer) -> None:
        with broadcasting_by("dramatiq") as broadcaster:
            publish(broadcaster, "realtime")
        assert redis.client().llen("dramatiq:realtime") == 1

    def test_a_broker_that_is_away(self, monkeypatch: pytest.MonkeyPatch, broker: Any) -> None:
        from dramatiq.brokers.redis import RedisBroker

        from soundpost.contrib import dramatiq as contrib

        monkeypatch.setattr(contrib.send_messages, "broker", RedisBroker(url=f"redis://127.0.0.1:{free_port()}/0"))
        with broadcasting_by("dramatiq") as broadcaster, pytest.raises(QueueError, match="Dramatiq did not take it"):
            publish(broadcaster)


@pytest.mark.usefixtures("worker_settings")
class TestHuey:
    @pytest.fixture(autouse=True)
    def _nothing_in_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from soundpost.contrib import huey as contrib

        monkeypatch.setattr(contrib, "_task", None)

    def test_a_consumer_sends(self, server: RunningServer, redis: RedisServer) -> None:
        from huey import RedisHuey

        from soundpost.contrib.huey import use

        huey = RedisHuey("orders", url=redis.url)
        use(huey)
        with broadcasting_by("huey") as broadcaster:

            def work() -> None:
                publish(broadcaster)
                consumer = huey.create_consumer(workers=1, periodic=False)
                consumer.start()
                until(lambda: huey.pending_count() == 0, "the consumer")
                consumer.stop(graceful=True)

            expect(server, work)

    def test_a_consumer_tries_again(self) -> None:
        from huey import MemoryHuey

        from soundpost.contrib.huey import use

        huey = MemoryHuey(immediate=False)
        use(huey)
        broadcast.configure(app_id="1", key="k", secret="s", port=free_port(), timeout=0.3)
        with broadcasting_by("huey") as broadcaster:
            publish(broadcaster)
        task = huey.dequeue()
        huey.execute(task)
        assert (task.name, task.retries, huey.scheduled_count()) == (sending.TASK, sending.MAX_RETRIES - 1, 1)

    def test_without_an_instance_it_says_how_to_give_one(self) -> None:
        with (
            broadcasting_by("huey") as broadcaster,
            pytest.raises(ConfigurationError, match=r"soundpost\.contrib\.huey\.use\(huey\)"),
        ):
            publish(broadcaster)


@pytest.mark.usefixtures("worker_settings")
class TestArq:
    @pytest.fixture(autouse=True)
    def _redis_url(self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REDIS_URL", redis.url)
        redis.client().flushall()

    async def worker(self, redis: RedisServer) -> None:
        from arq.connections import RedisSettings
        from arq.worker import Worker

        from soundpost.contrib.arq import send_messages

        settings = RedisSettings.from_dsn(redis.url)
        worker = Worker([send_messages], redis_settings=settings, burst=True, poll_delay=0.05, handle_signals=False)
        await worker.main()
        await worker.close()

    def test_a_worker_sends(self, server: RunningServer, redis: RedisServer) -> None:
        with broadcasting_by("arq") as broadcaster:

            def work() -> None:
                publish(broadcaster)
                asyncio.run(self.worker(redis))

            expect(server, work)

    async def test_asynchronous_code_and_named_queues(self, redis: RedisServer) -> None:
        with broadcasting_by("arq") as broadcaster:
            await broadcaster.apublish("orders", "tick")
            await broadcaster.apublish("orders", "tick", queue="realtime")
        assert (redis.client().zcard("arq:queue"), redis.client().zcard("realtime")) == (1, 1)

    async def test_a_worker_tries_again_later(self) -> None:
        from arq import Retry

        from soundpost.contrib.arq import send_messages

        broadcast.configure(app_id="1", key="k", secret="s", port=free_port(), timeout=0.3)
        with pytest.raises(Retry) as caught:
            await send_messages.coroutine({"job_try": 3}, list(TestTheJob.payload))
        assert caught.value.defer_score == 4000

    def test_a_redis_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
        with broadcasting_by("arq") as broadcaster, pytest.raises(QueueError, match="arq did not take it"):
            publish(broadcaster)


DJANGO = """
import sys
import django
from django.conf import settings
backend = sys.argv[1]
settings.configure(
    INSTALLED_APPS=["django_tasks"],
    TASKS={"default": {"BACKEND": f"{backend}", "QUEUES": ["default", "realtime"]}},
    USE_TZ=True,
)
django.setup()
import soundpost
from soundpost.errors import QueueError
try:
    soundpost.publish("orders", "OrderShipped", {"id": 7}, queue=sys.argv[2])
except QueueError as error:
    print("QueueError:", error)
if "dummy" in backend:
    from django_tasks import default_task_backend
    for result in default_task_backend.results:
        print(result.task.module_path, result.task.queue_name, result.args[0][0]["n"])
"""


class TestDjangoTasks:
    def run(self, port: int, backend: str, queue: str = "default") -> str:
        environ = {
            **os.environ,
            "SOUNDPOST_URL": f"http://{DEFAULT_APP.key}:{DEFAULT_APP.secret}@127.0.0.1:{port}/apps/{DEFAULT_APP.id}",
            "SOUNDPOST_DELIVER": "django-tasks",
        }
        command = [sys.executable, "-c", DJANGO, f"django_tasks.backends.{backend}", queue]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_a_backend_that_runs_tasks_at_once_sends(self, server: RunningServer) -> None:
        def work() -> None:
            assert self.run(server.port, "immediate.ImmediateBackend") == ""

        expect(server, work)

    def test_what_fails_at_once_is_raised(self) -> None:
        output = self.run(free_port(), "immediate.ImmediateBackend")
        assert output.startswith("QueueError: event OrderShipped: its task was run at once, and failed:")
        assert DEFAULT_APP.secret not in output

    def test_workers_find_the_task_by_its_module(self) -> None:
        output = self.run(1, "dummy.DummyBackend", "realtime")
        assert output == "soundpost.contrib.django_tasks.send_messages realtime OrderShipped\n"

    def test_a_queue_that_is_not_there(self) -> None:
        output = self.run(1, "dummy.DummyBackend", "no-such-queue")
        assert "QueueError: event OrderShipped on orders" in output
        assert "'no-such-queue'" in output


def test_deliveries_are_not_imported_for_others(tmp_path: Path) -> None:
    code = "import sys, soundpost.broadcasting.delivery; print([m for m in sys.modules if 'contrib' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
