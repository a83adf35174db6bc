"""Spans by OpenTelemetry: ``soundpost.contrib.opentelemetry.instrument()``, or ``opentelemetry-instrument``.

A call of ``broadcast()`` is a span, each request to a server is one, and each call of a webhook's handler. Events that
a thread or a task queue sends later belong to the trace of the call. No span has the data of an event.
Source: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

from msgspec.structs import replace
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from soundpost import __version__
from soundpost.broadcasting import tracing
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError, PayloadError, SoundpostError
from soundpost.webhooks import tracing as webhooks_tracing
from soundpost.webhooks.events import ClientEvent, WebhookEvent
from soundpost.webhooks.handlers import Handler

_W3C: Final = TraceContextTextMapPropagator()
"""Propagator for servers and queues: they get ``traceparent`` and ``tracestate`` of a trace, never its baggage."""
_Attributes = dict[str, AttributeValue]


def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Make spans from now on, by this provider; by default by the one that the process has set, or will set."""
    tracer = trace.get_tracer("soundpost", __version__, tracer_provider)
    tracing.use(_BroadcastTracer(tracer))
    webhooks_tracing.use(_HandlerTracer(tracer))


def uninstrument() -> None:
    """Make no spans any more."""
    tracing.use(None)
    webhooks_tracing.use(None)


class SoundpostInstrumentor:
    """Instrumentor that ``opentelemetry-instrument`` finds and calls."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that must be there: none but this one."""
        return ()

    def instrument(self, **options: Any) -> None:
        """Make spans from now on."""
        instrument(options.get("tracer_provider"))

    def uninstrument(self, **options: Any) -> None:
        """Make no spans any more."""
        uninstrument()


class _BroadcastTracer:
    """Tracer of broadcasts; a :class:`soundpost.broadcasting.tracing.Tracer`."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._current: ContextVar[Span | None] = ContextVar("soundpost_broadcast_span", default=None)

    @contextmanager
    def broadcast(self, messages: Sequence[Message]) -> Iterator[list[Message]]:
        first = messages[0]
        channels = tuple(dict.fromkeys(channel for message in messages for channel in message.channels))
        attributes = _of_messages("broadcast", "create", messages) | {"soundpost.channels": channels[:_MAX_CHANNELS]}
        parent, links = _parent_of(messages)
        with _span(self._tracer, f"broadcast {first.name}", SpanKind.PRODUCER, attributes, parent, links) as span:
            token = self._current.set(span)
            try:
                yield self.carrying(messages)
            finally:
                self._current.reset(token)

    @contextmanager
    def send(self, messages: Sequence[Message], settings: ConnectionSettings) -> Iterator[None]:
        attributes = _of_messages("send", "send", messages)
        if settings.is_http:
            attributes |= {"server.address": settings.host, "server.port": settings.port}
        attributes["soundpost.driver"] = settings.driver
        parent, links = _parent_of(messages)
        with _span(self._tracer, f"send {messages[0].name}", SpanKind.CLIENT, attributes, parent, links):
            yield

    def failed(self, error: Exception) -> None:
        span = self._current.get()
        if span is not None:
            _record_error(span, error)

    def carrying(self, messages: Sequence[Message]) -> list[Message]:
        headers = self.headers()
        if not headers:
            return list(messages)
        return [replace(message, trace=headers, given_id=message.id) for message in messages]

    def headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        return headers


class _HandlerTracer:
    """Tracer of webhook handlers; a :class:`soundpost.webhooks.tracing.HandlerTracer`."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def handling(self, call: Callable[[], Any], handler: Handler, event: WebhookEvent) -> Callable[[], Any]:
        return _TracedCall(self._tracer, call, handler, event)

    def received(self, headers: Mapping[str, str]) -> AbstractContextManager[object]:
        if trace.get_current_span().get_span_context().is_valid:  # the framework's own, which has read the headers
            return nullcontext()
        return _attached(_W3C.extract({name.lower(): value for name, value in headers.items()}))


class _TracedCall:
    """The call of a handler with a span around it."""

    __slots__ = ("_call", "_event", "_handler", "_tracer", "func")

    def __init__(self, tracer: trace.Tracer, call: Callable[[], Any], handler: Handler, event: WebhookEvent) -> None:
        self.func = getattr(call, "func", call)
        """The function that is called: whether it is a coroutine function decides where it is called."""
        self._call = call
        self._tracer = tracer
        self._handler = handler
        self._event = event

    def __call__(self) -> Any:
        event, handler = self._event, self._handler
        attributes: _Attributes = {
            "messaging.system": _SYSTEM,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "soundpost.event": event.event if isinstance(event, ClientEvent) else event.name,
            "code.function.name": handler.name,
        }
        if hasattr(event, "channel"):
            attributes["messaging.destination.name"] = event.channel
        if handler.pattern is not None:
            attributes["messaging.destination.template"] = handler.pattern.text
        if event.id:
            attributes["messaging.message.id"] = event.id
        span = self._tracer.start_span(f"process {event.name}", kind=SpanKind.CONSUMER, attributes=attributes)
        result = None
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                result = self._call()
        except BaseException as error:
            _record_error(span, error)
            raise
        finally:
            if not inspect.isawaitable(result):
                span.end()
        return _awaited(result, span) if inspect.isawaitable(result) else result


async def _awaited(awaitable: Awaitable[Any], span: Span) -> Any:
    with _current(span):
        return await awaitable


_SYSTEM: Final = "soundpost"
_MAX_CHANNELS: Final = 100
"""Names of channels in a span, at most."""


def _of_messages(name: str, kind: str, messages: Sequence[Message]) -> _Attributes:
    """Return the attributes of an operation on messages."""
    attributes: _Attributes = {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "soundpost.event": messages[0].name,
    }
    if len(messages) > 1:
        attributes["messaging.batch.message_count"] = len(messages)
        return attributes
    [message] = messages
    attributes["messaging.message.id"] = message.id
    if len(message.channels) == 1:
        attributes["messaging.destination.name"] = message.channels[0]
    return attributes


def _parent_of(messages: Sequence[Message]) -> tuple[Context | None, list[Link]]:
    """Return the parent of a span about messages, and links to what else they come from.

    The parent is the current span where it belongs to the trace of the messages: it is the broadcast itself, or what a
    task queue makes of the worker's job. Elsewhere, as in a thread, it is the first of the broadcasts.
    """
    here = trace.get_current_span().get_span_context()
    origins: dict[tuple[int, int], SpanContext] = {}
    for message in messages:
        if message.trace is not None:
            origin = trace.get_current_span(_W3C.extract(message.trace, Context())).get_span_context()
            if origin.is_valid:
                origins[origin.trace_id, origin.span_id] = origin
    traces = {trace_id for trace_id, _ in origins}
    parent = here
    if len(traces) == 1 and here.trace_id not in traces:
        parent = next(iter(origins.values()))
        origins[here.trace_id, here.span_id] = here
    links = [Link(each) for each in origins.values() if each.is_valid and each.span_id != parent.span_id]
    return None if parent is here else trace.set_span_in_context(NonRecordingSpan(parent)), links


@contextmanager
def _span(
    tracer: trace.Tracer,
    name: str,
    kind: SpanKind,
    attributes: _Attributes,
    parent: Context | None,
    links: Sequence[Link],
) -> Iterator[Span]:
    span = tracer.start_span(name, parent, kind, attributes, links)
    with _current(span):
        yield span


@contextmanager
def _current(span: Span) -> Iterator[None]:
    """Make a span the current one; it ends with the block, and has the error that the block raises."""
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            _record_error(span, error)
            raise


@contextmanager
def _attached(context: Context) -> Iterator[None]:
    token = contexts.attach(context)
    try:
        yield
    finally:
        contexts.detach(token)


def _record_error(span: Span, error: BaseException) -> None:
    """Take note of an error: its class, and the message if that is known to have no secret and no data."""
    kind = type(error)
    span.set_attribute("error.type", kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind))
    if isinstance(error, BroadcastError) and error.status:
        span.set_attribute("http.response.status_code", error.status)
    is_ours = isinstance(error, SoundpostError) and not isinstance(error, PayloadError)
    span.set_status(Status(StatusCode.ERROR, str(error) if is_ours else None))


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
