"""The driver ``embedded``: publishing to the server in this process, from any thread, without a network."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from soundpost.asgi.app import server_of
from soundpost.asgi.runtime import EmbeddedRuntime
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError
from soundpost.server.api.events import publish_event
from soundpost.server.api.requests import ApiError


class EmbeddedDriver:
    """A driver that hands messages to the event loop of the embedded server."""

    blocks = False

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings

    def send(self, messages: Sequence[Message]) -> None:
        """Publish messages; from another thread wait until the server's loop has them. Raises BroadcastError."""
        runtime = self._runtime(messages[0])
        if _running_loop() is runtime.loop:
            self._publish(runtime, messages)
            return
        done = _handed_over(runtime, lambda: self._publish(runtime, messages))
        try:
            done.result(self._settings.timeout)
        except FutureTimeoutError:
            done.cancel()
            raise self._stuck(messages) from None

    async def asend(self, messages: Sequence[Message]) -> None:
        """Publish messages without blocking the event loop. Raises BroadcastError."""
        runtime = self._runtime(messages[0])
        if _running_loop() is runtime.loop:
            self._publish(runtime, messages)
            return
        done = asyncio.wrap_future(_handed_over(runtime, lambda: self._publish(runtime, messages)))
        try:
            await asyncio.wait_for(done, self._settings.timeout)
        except TimeoutError:
            raise self._stuck(messages) from None

    def close(self) -> None:
        """Do nothing: no connection is open."""

    async def aclose(self) -> None:
        """Do nothing: no connection is open."""

    def _runtime(self, message: Message) -> EmbeddedRuntime:
        server = server_of(self._settings.app_id)
        if server is None:
            raise BroadcastError(
                f"event {message}: this process has no embedded server for app {self._settings.app_id!r}: add one "
                "(soundpost.asgi.App), or publish over HTTP with the driver 'soundpost', as from other processes"
            )
        runtime = server.state
        if runtime is not None and runtime.pid != os.getpid():
            raise BroadcastError(
                f"event {message}: the embedded server is in process {runtime.pid}, from which this one "
                f"({os.getpid()}) was forked: publish over HTTP with the driver 'soundpost', as from other processes",
                404,
            )
        if runtime is None and _running_loop() is not None:
            runtime = server.start()
        if runtime is None:
            raise BroadcastError(
                f"event {message}: the embedded server does not serve yet: start it with the application "
                "(lifespan=sp.lifespan), or publish over HTTP with the driver 'soundpost', as from other processes"
            )
        return runtime

    def _publish(self, runtime: EmbeddedRuntime, messages: Sequence[Message]) -> None:
        app = runtime.node.by_id[self._settings.app_id]
        for message in messages:
            try:
                publish_event(app, message.name, message.data, list(message.channels), message.excluded)
            except ApiError as error:
                raise BroadcastError(f"event {message}: {error.message}", error.status) from None

    def _stuck(self, messages: Sequence[Message]) -> BroadcastError:
        return BroadcastError(
            f"event {messages[0]}: the event loop of the embedded server did not take it within "
            f"{self._settings.timeout:g} s: something blocks it"
        )


def _handed_over(runtime: EmbeddedRuntime, action: Callable[[], None]) -> Future[None]:
    done: Future[None] = Future()

    def act() -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            action()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    runtime.loop.call_soon_threadsafe(act)
    return done


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
