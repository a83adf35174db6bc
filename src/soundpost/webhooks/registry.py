"""The handlers of an application, and the calls of those that are for an event."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar

from soundpost.broadcasting.authorization.routes import callback_name
from soundpost.broadcasting.authorization.steps import Call, Steps, arun_steps, refuse_generator, run_steps
from soundpost.errors import RouteError
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.webhooks import tracing
from soundpost.webhooks.arguments import check_memory, checked_events
from soundpost.webhooks.client_data import NotCalled
from soundpost.webhooks.events import WebhookEvent
from soundpost.webhooks.handlers import Handler, handler_of
from soundpost.webhooks.seen_events import SeenEvents, SeenInMemory
from soundpost.wire.printable import one_line

log = logging.getLogger("soundpost.webhooks")

Callback = TypeVar("Callback", bound=Callable[..., Any])
Invoke = Callable[[Handler, dict[str, Any]], Callable[[], Any]]
"""Returns the call of a handler with its arguments, as a step."""
SignalSender = Callable[[WebhookEvent], Callable[[], Any] | None]
"""Returns the call that sends a signal for an event, as a step; None if the signal has no receivers."""

SIGNAL: Final = "webhook_received"
"""Name of the step that sends a signal for an event."""
_MAX_REASON: Final = 300


class Failure(NamedTuple):
    """A handler that is to be called again for an event."""

    handler: str
    event: WebhookEvent
    error: Exception


class AlreadyRunning(Exception):  # noqa: N818 - reads as what it says
    """The event was sent again while its handler is still running."""


def call_plainly(handler: Handler, arguments: dict[str, Any]) -> Callable[[], Any]:
    """Return the call of a handler with its arguments. Raises TypeError if the handler has FastAPI's dependencies."""
    if handler.dependencies:
        missing = ", ".join(sorted(handler.dependencies))
        raise TypeError(f"{handler.name} has parameters that only FastAPI fills: {missing}")
    return Call(handler.callback, **arguments)


class Webhooks:
    """The handlers of an application: ``@webhooks.on("member_added", "presence-room.{room:int}")``."""

    def __init__(self, *, seen: SeenEvents | None = None) -> None:
        self._handlers: list[Handler] = []
        self._seen: SeenEvents
        self.seen = SeenInMemory() if seen is None else seen
        self.secrets: dict[str, str] = {}
        """Secrets of further apps whose webhooks are taken, by key: those beside the apps of the settings."""
        self._running: set[str] = set()
        self._lock = Lock()
        self._throttle = LogThrottle(log)

    @property
    def seen(self) -> SeenEvents:
        """The memory of handled events: this process's own, or one that processes share, such as Redis."""
        return self._seen

    @seen.setter
    def seen(self, memory: SeenEvents) -> None:
        check_memory(memory)
        self._seen = memory

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)

    def on(self, name: str, channel: str | None = None, *, event: str | None = None) -> Callable[[Callback], Callback]:
        """Decorate a function that is called for the events called ``name``; ``*`` stands for all.

        ``channel`` is a pattern of full channel names, such as ``presence-room.{room:int}`` or ``private-*``. ``event``
        is the name of a client event. Parameters of the function are, by name: ``event`` (the whole event),
        parameters of the pattern, fields of the event such as ``user_id``, and ``data``, the value that a browser sent
        with a client event, checked by the annotation. The function may be a coroutine function. All functions that
        match an event are called, in the order of their decorators. Raises RouteError for a wrong decorator.
        """

        if callable(name):
            raise RouteError(
                f"webhook handler {callback_name(name)}: the decorator needs the name of an event: "
                "@webhooks.on('member_added')"
            )

        def decorate(callback: Callback) -> Callback:
            self._add(handler_of(name, channel, event, callback))
            return callback

        return decorate

    def names(self) -> frozenset[str]:
        """Return the names of the events that there are handlers for."""
        return frozenset(handler.event_name for handler in self._handlers)

    def clear(self) -> None:
        """Remove all handlers."""
        self._handlers.clear()

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Remove the handlers that were added in the block if the block fails."""
        before = list(self._handlers)
        try:
            yield
        except BaseException:
            self._handlers[:] = before
            raise

    def handle(self, events: Iterable[WebhookEvent]) -> list[Failure]:
        """Call the handlers of events, coroutine functions by ``asyncio.run``; return what failed, which is logged."""
        return run_steps(self.steps(checked_events(events)), None)

    async def ahandle(self, events: Iterable[WebhookEvent]) -> list[Failure]:
        """Call the handlers of events in the event loop, synchronous ones in threads; return what failed."""
        return await arun_steps(self.steps(checked_events(events)), asyncio.to_thread)

    def steps(
        self, events: Iterable[WebhookEvent], invoke: Invoke = call_plainly, send_signal: SignalSender | None = None
    ) -> Steps[list[Failure]]:
        """Call the handlers of events, as steps; the result is those that failed. Each failure is logged.

        After a failure the later events of the same channel or user are left out: the server sends all of them again,
        in their order. Otherwise a repeated ``member_added`` could follow its ``member_removed``.
        """
        failures: list[Failure] = []
        waiting: set[tuple[str, str]] = set()
        for event in events:
            if _subject(event) in waiting:
                continue
            for name, prepare in list(self._calls(event, invoke, send_signal)):
                failure = yield from self._call_once(name, event, prepare)
                if failure is not None:
                    failures.append(failure)
                    waiting.add(_subject(event))
        return failures

    def _calls(
        self, event: WebhookEvent, invoke: Invoke, send_signal: SignalSender | None
    ) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
        """Yield the steps for an event: the name of each, and a function that returns its call."""
        signal = None if send_signal is None else send_signal(event)
        if signal is not None:
            yield SIGNAL, partial(_same, signal)
        for handler in self._handlers:
            channel_parameters = handler.match(event)
            if channel_parameters is not None:
                yield str(handler), partial(_call_of, invoke, handler, event, channel_parameters)

    def _call_once(
        self, name: str, event: WebhookEvent, prepare: Callable[[], Callable[[], Any]]
    ) -> Steps[Failure | None]:
        """Call a step for an event, unless its handler has handled the event before; return its failure."""
        key = _key(name, event)
        with self._lock:
            if key in self._running:
                return Failure(name, event, AlreadyRunning(f"{name} is still handling the event"))
            self._running.add(key)
        try:
            if event.id and (yield from self._is_seen(key)):
                return None
            try:
                refuse_generator(name, (yield prepare()))
            except NotCalled as error:
                self._throttle.inform(
                    name,
                    "%s is not called for %s: %s",
                    name,
                    getattr(event, "event", event.name),
                    one_line(str(error), _MAX_REASON),
                    interval=MINUTE,
                )
            except Exception as error:
                where = f" on {event.channel}" if hasattr(event, "channel") else ""
                log.exception("%s failed for %s%s", name, event.name, where)
                return Failure(name, event, error)
            if event.id:
                yield from self._remember(key)
            return None
        finally:
            self._running.discard(key)

    def _add(self, handler: Handler) -> None:
        for number, each in enumerate(self._handlers):
            if str(each) == str(handler):
                if _definition(each) != _definition(handler):
                    raise RouteError(
                        f"webhook handler {handler}: another function has this name: give each handler its own name, "
                        "which is needed when an event is sent again"
                    )
                self._handlers[number] = handler  # its module was reloaded, or the application was made again
                return
        self._handlers.append(handler)

    def _is_seen(self, key: str) -> Steps[bool]:
        if isinstance(self.seen, SeenInMemory):
            return self.seen.has(key)
        try:
            return bool((yield Call(self.seen.has, key)))
        except Exception as error:
            self._warn_of_memory(error)
            return False

    def _remember(self, key: str) -> Steps[None]:
        if isinstance(self.seen, SeenInMemory):
            self.seen.add(key)
            return
        try:
            yield Call(self.seen.add, key)
        except Exception as error:
            self._warn_of_memory(error)

    def _warn_of_memory(self, error: Exception) -> None:
        self._throttle.warn(
            "memory",
            "webhooks.seen failed: events that are sent again may be handled twice",
            error=error,
            interval=MINUTE,
        )


def _call_of(
    invoke: Invoke, handler: Handler, event: WebhookEvent, channel_parameters: dict[str, Any]
) -> Callable[[], Any]:
    call = invoke(handler, handler.arguments(event, channel_parameters))
    return call if tracing.tracer is None else tracing.tracer.handling(call, handler, event)


def _same(call: Callable[[], Any]) -> Callable[[], Any]:
    return call


def _definition(handler: Handler) -> object:
    """Return where a handler's function is written: file and line; the function itself if it is none of Python's."""
    callback = inspect.unwrap(handler.callback)
    code = getattr(callback, "__code__", None)
    return callback if code is None else (code.co_filename, code.co_firstlineno)


def _subject(event: WebhookEvent) -> tuple[str, str]:
    """Return what an event is about, within which events are handled in their order: a channel, a user, a socket."""
    for name in ("channel", "user_id", "socket_id"):
        value = getattr(event, name, None)
        if value is not None:
            return name, value
    return "", ""


def _key(handler: str, event: WebhookEvent) -> str:
    """Return the key of an event that a handler has handled: one that every store takes."""
    about = f"{handler} {event.id or id(event)}".encode(errors="surrogatepass")
    return blake2b(about, digest_size=20).hexdigest()
