"""Spans of broadcasts and of webhooks' handlers, in OpenTelemetry's SDK."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from soundpost import Broadcaster
from soundpost.asgi.handlers import HandlerClient
from soundpost.broadcasting import broadcast
from soundpost.broadcasting.settings import settings_from
from soundpost.contrib import sending
from soundpost.contrib.opentelemetry import SoundpostInstrumentor, instrument, uninstrument
from soundpost.errors import BroadcastError
from soundpost.server.webhooks.answers import Answer
from soundpost.webhooks import MemberAdded, Webhooks
from soundpost.webhooks.endpoint import WebhookEndpoint
from soundpost.wire.signatures import sign
from support.harness import DEFAULT_APP, running_server
from support.misbehaving_server import MisbehavingServer, answer, answering, misbehaving
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

SECRET = "very-s3cret"
DATA = "data-of-the-event"
APP = {"app_id": "1", "key": "app-key", "secret": SECRET}


class Spans:
    """The spans that have ended, in the order of their ends."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("application")

    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def __call__(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.all() if span.name == name]
        return found


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    instrument(made.provider)
    yield made
    uninstrument()


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with misbehaving(answering(answer(200))) as made:
        yield made


@pytest.fixture
def make(server: MisbehavingServer) -> Iterator[Callable[..., Broadcaster]]:
    made: list[Broadcaster] = []

    def make(**options: Any) -> Broadcaster:
        broadcaster = Broadcaster()
        broadcaster.configure({**APP, "port": server.port, "timeout": TIMEOUT, **options})
        made.append(broadcaster)
        return broadcaster

    yield make
    for each in made:
        each.close()


def ids(span: ReadableSpan) -> tuple[int, int]:
    found = span.get_span_context()
    assert found is not None
    return found.trace_id, found.span_id


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def traceparent(request: bytes) -> tuple[int, int]:
    """Return what the header of a request names: trace and span."""
    [found] = re.findall(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\r\n", request)
    return int(found[0], 16), int(found[1], 16)


class TestBroadcasts:
    def test_a_broadcast_is_a_span_and_the_request_in_it_another_one(
        self, spans: Spans, make: Callable[..., Broadcaster], server: MisbehavingServer
    ) -> None:
        broadcaster = make()
        with spans.tracer.start_as_current_span("view") as view:
            broadcaster.publish("orders", "OrderShipped", {"id": DATA})
        made, sent = spans("broadcast OrderShipped"), spans("send OrderShipped")
        assert parent(made) == ids(view)  # type: ignore[arg-type]
        assert parent(sent) == ids(made)
        assert (made.kind, sent.kind) == (SpanKind.PRODUCER, SpanKind.CLIENT)
        assert made.instrumentation_scope is not None
        assert made.instrumentation_scope.name == "soundpost"
        of_both = {
            "messaging.system": "soundpost",
            "messaging.destination.name": "orders",
            "messaging.message.id": attributes(made)["messaging.message.id"],
            "soundpost.event": "OrderShipped",
        }
        assert attributes(made) == of_both | {
            "messaging.operation.name": "broadcast",
            "messaging.operation.type": "create",
            "soundpost.channels": ("orders",),
        }
        assert attributes(sent) == of_both | {
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "server.address": "127.0.0.1",
            "server.port": server.port,
            "soundpost.driver": "soundpost",
        }
        assert not links(made)
        assert not links(sent)
        assert {made.status.status_code, sent.status.status_code} == {StatusCode.UNSET}
        assert traceparent(server.requests[0]) == ids(sent)

    def test_asynchronously_too(
        self, spans: Spans, make: Callable[..., Broadcaster], server: MisbehavingServer
    ) -> None:
        broadcaster = make()

        async def views() -> None:
            async def view(number: int) -> None:
                with spans.tracer.start_as_current_span(f"view {number}"):
                    await broadcaster.apublish(["a", "b"], f"E{number}")

            await asyncio.gather(*map(view, range(3)))
            await broadcaster.aclose()

        asyncio.run(views())
        for number in range(3):
            made, sent = spans(f"broadcast E{number}"), spans(f"send E{number}")
            assert (parent(made), parent(sent)) == (ids(spans(f"view {number}")), ids(made))
            assert attributes(made)["soundpost.channels"] == ("a", "b")
            assert "messaging.destination.name" not in attributes(made)
        assert {traceparent(each) for each in server.requests} == {ids(spans(f"send E{n}")) for n in range(3)}

    def test_a_span_never_has_data_secrets_or_baggage(
        self, spans: Spans, make: Callable[..., Broadcaster], server: MisbehavingServer
    ) -> None:
        token = context.attach(baggage.set_baggage("session", DATA))
        try:
            make().publish("orders", "OrderShipped", {"id": DATA})
        finally:
            context.detach(token)
        told = "".join(span.to_json() for span in spans.all())
        assert SECRET not in told
        assert DATA not in told
        head = server.requests[0].partition(b"\r\n\r\n")[0]
        assert b"baggage" not in head

    def test_errors_are_in_both_spans(self, spans: Spans, make: Callable[..., Broadcaster]) -> None:
        broadcaster = make(port=free_port(), timeout=0.5)
        with pytest.raises(BroadcastError):
            broadcaster.publish("orders", "OrderShipped")
        for span in spans.all():
            assert span.status.status_code is StatusCode.ERROR
            assert "event OrderShipped on orders: " in (span.status.description or "")
            assert attributes(span)["error.type"] == "soundpost.errors.BroadcastError"
        assert len(spans.all()) == 2

    def test_a_refusal_has_its_status(self, spans: Spans, make: Callable[..., Broadcaster]) -> None:
        with misbehaving(answering(answer(401, b'{"error":"unknown key"}'))) as refusing:
            make(port=refusing.port, on_error="log").publish("orders", "OrderShipped")
        for span in spans.all():
            assert (span.status.status_code, attributes(span)["http.response.status_code"]) == (StatusCode.ERROR, 401)
        assert len(spans.all()) == 2, "the broadcast knows of an error that is only logged"

    def test_several_channels_and_connections_are_one_broadcast(self, spans: Spans) -> None:
        settings = {"one": {"driver": "memory"}, "two": {"driver": "null"}}
        broadcaster = Broadcaster(settings_from({"connections": settings, "default": "one"}))
        broadcaster.publish([f"c{number}" for number in range(150)], "Tick", via=["one", "two"])
        made = spans("broadcast Tick")
        assert attributes(made)["messaging.batch.message_count"] == 4
        assert len(attributes(made)["soundpost.channels"]) == 100
        sent = [span for span in spans.all() if span.name == "send Tick"]
        assert [attributes(each)["soundpost.driver"] for each in sent] == ["memory", "null"]
        assert [parent(each) for each in sent] == [ids(made)] * 2
        assert "server.address" not in attributes(sent[0])

    def test_an_event_that_goes_nowhere_has_no_span(self, spans: Spans, make: Callable[..., Broadcaster]) -> None:
        make().publish([], "Tick")
        assert not spans.all()

    def test_threads_have_traces_of_their_own(self, spans: Spans, make: Callable[..., Broadcaster]) -> None:
        broadcaster = make()
        threads = [threading.Thread(target=broadcaster.publish, args=("a", f"E{number}")) for number in range(3)]
        with spans.tracer.start_as_current_span("view"):
            for thread in threads:
                thread.start()
                thread.join()
        for number in range(3):
            assert parent(spans(f"broadcast E{number}")) is None
            assert parent(spans(f"send E{number}")) == ids(spans(f"broadcast E{number}"))

    def test_without_a_provider_nothing_is_handed_on(
        self, make: Callable[..., Broadcaster], server: MisbehavingServer
    ) -> None:
        instrument(trace.NoOpTracerProvider())
        try:
            make().publish("orders", "OrderShipped")
        finally:
            uninstrument()
        assert b"traceparent" not in server.requests[0]


class TestLater:
    """Events that are sent after the call that broadcast them."""

    def test_in_the_background(self, spans: Spans, make: Callable[..., Broadcaster], server: MisbehavingServer) -> None:
        broadcaster = make(deliver="background")
        for number in range(2):
            with spans.tracer.start_as_current_span(f"view {number}"):
                broadcaster.publish("orders", f"E{number}")
        broadcaster.close()
        for number in range(2):
            made, sent = spans(f"broadcast E{number}"), spans(f"send E{number}")
            assert parent(made) == ids(spans(f"view {number}"))
            assert parent(sent) == ids(made)
            assert traceparent(server.requests[number]) == ids(sent)

    def test_by_a_queue(self, spans: Spans, server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs: list[str] = []

        class Queue(sending.QueueDelivery):
            library = "a queue"

            def enqueue(self, payload: sending.Payload, queue: str | None) -> None:
                jobs.append(json.dumps(payload))

        monkeypatch.setattr(sys.modules[__name__], "Queue", Queue, raising=False)
        monkeypatch.setattr(broadcast, "_settings", None)
        broadcast.configure({**APP, "port": server.port, "deliver": f"{__name__}:Queue"})
        try:
            broadcast.publish("orders", "OrderShipped")
            sending.send(json.loads(jobs[0]))
            made, sent = spans("broadcast OrderShipped"), spans("send OrderShipped")
            assert parent(sent) == ids(made)

            with spans.tracer.start_as_current_span("job") as job:  # of a worker that is traced by itself
                sending.send(json.loads(jobs[0]))
            again = spans.all()[-2]
            assert (again.name, parent(again), links(again)) == ("send OrderShipped", ids(made), [ids(job)])  # type: ignore[arg-type]

            there = trace.set_span_in_context(trace.NonRecordingSpan(made.get_span_context()))  # type: ignore[arg-type]
            with spans.tracer.start_as_current_span("job of the same trace", there) as job:
                sending.send(json.loads(jobs[0]))
            again = spans.all()[-2]
            assert (again.name, parent(again), links(again)) == ("send OrderShipped", ids(job), [ids(made)])  # type: ignore[arg-type]
        finally:
            broadcast.close()
            broadcast._drivers = broadcast._delivery = None

    def test_a_job_of_an_earlier_release_or_a_stranger_is_sent_untraced(
        self, spans: Spans, server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broadcast, "_settings", None)
        broadcast.configure({**APP, "port": server.port})
        try:
            job = {"c": ["orders"], "n": "OrderShipped", "d": "{}", "i": "message-1"}
            for forged in ({}, {"t": "x"}, {"t": {"traceparent": 7}}, {"t": {"traceparent": "00-zz\r\nX: y"}}):
                sending.send([{**job, **forged}])
        finally:
            broadcast.close()
            broadcast._drivers = broadcast._delivery = None
        assert [parent(each) for each in spans.all()] == [None] * 4
        assert b"X: y" not in b"".join(server.requests)

    def test_a_batch_is_one_request_with_links_to_its_broadcasts(
        self, spans: Spans, make: Callable[..., Broadcaster]
    ) -> None:
        broadcaster = make()
        with spans.tracer.start_as_current_span("view") as view, broadcaster.batch():
            broadcaster.publish("a", "E1")
            broadcaster.publish("a", "E2")
        sent = spans("send E1")
        assert parent(sent) == ids(view)  # type: ignore[arg-type]
        assert links(sent) == [ids(spans("broadcast E1")), ids(spans("broadcast E2"))]
        assert attributes(sent)["messaging.batch.message_count"] == 2

    def test_a_batch_in_the_background_stays_in_its_trace(self, spans: Spans, make: Callable[..., Broadcaster]) -> None:
        broadcaster = make(deliver="background")
        with spans.tracer.start_as_current_span("view"), broadcaster.batch():
            broadcaster.publish("a", "E1")
            broadcaster.publish("a", "E2")
        broadcaster.close()
        sent = spans("send E1")
        assert parent(sent) == ids(spans("broadcast E1"))
        assert links(sent) == [ids(spans("broadcast E2"))]

    def test_after_a_commit(self, spans: Spans, make: Callable[..., Broadcaster]) -> None:
        class Transactions:
            waiting: ClassVar[list[Callable[[], None]]] = []

            def is_open(self) -> bool:
                return True

            def defer(self, send: Callable[[], None]) -> bool:
                self.waiting.append(send)
                return True

        broadcaster = make()
        broadcaster.transactions = Transactions()
        with spans.tracer.start_as_current_span("view") as view:
            broadcaster.publish("orders", "InView")
            assert [span.name for span in spans.all()] == ["broadcast InView"]
            Transactions.waiting.pop()()
        broadcaster.publish("orders", "Alone")
        Transactions.waiting.pop()()
        sent = spans("send InView")
        assert (parent(sent), links(sent)) == (ids(view), [ids(spans("broadcast InView"))])  # type: ignore[arg-type]
        assert parent(spans("send Alone")) == ids(spans("broadcast Alone"))

    def test_a_prepared_event_belongs_to_the_call_that_prepared_it(
        self, spans: Spans, make: Callable[..., Broadcaster]
    ) -> None:
        from soundpost import Channel, Event

        class Ready(Event, on=Channel("orders")):
            id: int

        broadcaster = make()
        with spans.tracer.start_as_current_span("view") as view:
            send = broadcaster.prepared(Ready(7))

        async def later() -> None:
            await send()
            await broadcaster.aclose()

        asyncio.run(later())
        assert parent(spans("broadcast Ready")) == ids(view)  # type: ignore[arg-type]


class TestHandlers:
    @pytest.fixture
    def handlers(self) -> Webhooks:
        return Webhooks()

    event = MemberAdded(channel="presence-room.7", user_id="5", id="1-0")

    def test_a_broadcast_in_a_handler_is_its_child(
        self, spans: Spans, make: Callable[..., Broadcaster], handlers: Webhooks
    ) -> None:
        broadcaster = make()

        @handlers.on("member_added", "presence-room.{room:int}")
        def joined(room: int) -> None:
            broadcaster.publish(f"room.{room}", "Joined")

        @handlers.on("member_added")
        async def noted() -> None:
            await asyncio.sleep(0)
            await broadcaster.apublish("all", "Noted")
            await broadcaster.aclose()

        assert handlers.handle([self.event]) == []
        first, second = (span for span in spans.all() if span.name == "process member_added")
        assert first.kind is SpanKind.CONSUMER
        assert attributes(first) == {
            "messaging.system": "soundpost",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": "presence-room.7",
            "messaging.destination.template": "presence-room.{room:int}",
            "messaging.message.id": "1-0",
            "soundpost.event": "member_added",
            "code.function.name": attributes(first)["code.function.name"],
        }
        assert attributes(first)["code.function.name"].endswith("joined")
        assert parent(spans("broadcast Joined")) == ids(first)
        assert parent(spans("broadcast Noted")) == ids(second)
        assert parent(first) is None

    def test_asynchronously_too(self, spans: Spans, make: Callable[..., Broadcaster], handlers: Webhooks) -> None:
        broadcaster = make()
        threads = []

        @handlers.on("member_added")
        def in_a_thread() -> None:
            threads.append(threading.current_thread())
            broadcaster.publish("a", "InThread")

        @handlers.on("member_added")
        async def in_the_loop() -> None:
            threads.append(threading.current_thread())
            await broadcaster.apublish("a", "InLoop")

        async def request() -> None:
            with spans.tracer.start_as_current_span("request"):
                assert await handlers.ahandle([self.event]) == []
            await broadcaster.aclose()

        asyncio.run(request())
        assert [each is threading.main_thread() for each in threads] == [False, True]
        in_thread, in_loop = (span for span in spans.all() if span.name == "process member_added")
        assert parent(spans("broadcast InThread")) == ids(in_thread)
        assert parent(spans("broadcast InLoop")) == ids(in_loop)
        assert {parent(in_thread), parent(in_loop)} == {ids(spans("request"))}

    def test_a_failure_is_an_error_without_what_it_says(self, spans: Spans, handlers: Webhooks) -> None:
        @handlers.on("member_added")
        def sync() -> None:
            raise ValueError(DATA)

        @handlers.on("member_added")
        async def asynchronous() -> None:
            raise LookupError(DATA)

        assert len(handlers.handle([self.event])) == 2
        assert [attributes(span)["error.type"] for span in spans.all()] == ["ValueError", "LookupError"]
        for span in spans.all():
            assert span.status.status_code is StatusCode.ERROR
            assert DATA not in span.to_json()

    def test_a_handler_that_is_not_called_has_no_span(self, spans: Spans, handlers: Webhooks) -> None:
        @handlers.on("member_added")
        def joined() -> None:
            pass

        handlers.handle([self.event])
        handlers.handle([self.event])
        assert len(spans.all()) == 1, "the second time the event is known"

    @pytest.mark.parametrize("form", ["sync", "async"])
    def test_a_request_hands_its_trace_on(self, spans: Spans, handlers: Webhooks, form: str) -> None:
        @handlers.on("member_added")
        def joined() -> None:
            pass

        endpoint = WebhookEndpoint(handlers, lambda: settings_from(APP))

        def post(number: int, **more: str) -> None:
            event = {"name": "member_added", "channel": "presence-a", "user_id": "5", "id": f"{form}-{number}"}
            body = json.dumps({"time_ms": int(time.time() * 1000), "events": [event]}).encode()
            headers = {"x-pusher-key": "app-key", "x-pusher-signature": sign(SECRET, body.decode()), **more}
            response = (
                endpoint.respond(body, headers) if form == "sync" else asyncio.run(endpoint.arespond(body, headers))
            )
            assert response.status == 200

        there = {"Traceparent": f"00-{7:032x}-{8:016x}-01"}
        post(1, **there)
        post(2)
        with spans.tracer.start_as_current_span("request") as request:
            post(3, **there)
        found = [parent(span) for span in spans.all() if span.name == "process member_added"]
        assert found == [(7, 8), None, ids(request)]  # type: ignore[arg-type]

    async def test_in_an_embedded_server_the_request_that_came_last_is_no_parent(
        self, spans: Spans, handlers: Webhooks
    ) -> None:
        @handlers.on("member_added")
        async def joined() -> None:
            pass

        client = HandlerClient(WebhookEndpoint(handlers, lambda: settings_from(APP)))
        event = {"name": "member_added", "channel": "presence-a", "user_id": "5", "id": "1-0"}
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        with spans.tracer.start_as_current_span("request"):
            client.post(json.dumps({"time_ms": 1, "events": [event]}).encode(), {}, 1, answered.set_result)
        assert (await answered).status == 200
        assert parent(spans("process member_added")) is None


class TestSwitch:
    def test_nothing_is_traced_before_and_after(
        self, make: Callable[..., Broadcaster], server: MisbehavingServer
    ) -> None:
        made = Spans()
        broadcaster = make()
        broadcaster.publish("a", "Before")
        SoundpostInstrumentor().instrument(tracer_provider=made.provider)
        try:
            broadcaster.publish("a", "Traced")
        finally:
            SoundpostInstrumentor().uninstrument()
        broadcaster.publish("a", "After")
        assert [span.name for span in made.all()] == ["send Traced", "broadcast Traced"]
        assert [b"traceparent" in each for each in server.requests] == [False, True, False]

    def test_opentelemetry_instrument_finds_it(self) -> None:
        [found] = entry_points(group="opentelemetry_instrumentor", name="soundpost")
        assert found.load() is SoundpostInstrumentor

    def test_nothing_of_opentelemetry_is_imported_without_it(self) -> None:
        code = (
            "import sys, soundpost, soundpost.broadcasting.drivers.http, soundpost.webhooks.endpoint;"
            "soundpost.broadcast.configure({'driver': 'memory'}); soundpost.broadcast.publish('a', 'E');"
            "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_example_of_the_page_prints_its_spans(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "example.py").write_text(code)
    with running_server() as server:
        credentials = {"ID": DEFAULT_APP.id, "KEY": DEFAULT_APP.key, "SECRET": DEFAULT_APP.secret}
        environ = {f"SOUNDPOST_APP_{name}": value for name, value in credentials.items()}
        environ |= {"SOUNDPOST_PORT": str(server.port), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [sys.executable, "example.py"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    names = re.findall(r'^    "name": "(.*)",$', done.stdout, re.MULTILINE)
    assert names == ["send OrderShipped", "broadcast OrderShipped", "process member_added"], done.stdout
