"""The driver ``embedded``: publishing to the server in this process, from any thread, without a network.

Other processes of the application, such as commands, workers of queues and shells, publish over HTTP to the site.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from soundpost.asgi.app import server_of
from soundpost.asgi.runtime import EmbeddedRuntime
from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.failures import Errors
from soundpost.broadcasting.drivers.http import HttpDriver
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError
from soundpost.server.api.events import publish_event
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import ApiError, Request, Response
from soundpost.server.api.router import Router
from soundpost.wire.addresses import parse_public_url
from soundpost.wire.foreign import object_in
from soundpost.wire.signatures import signed_query


class EmbeddedDriver:
    """A driver that hands messages to the event loop of the embedded server; where there is none, to the site."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._site = HttpDriver(_site_settings(settings))

    @property
    def blocks(self) -> bool:
        """True where this process has no embedded server, and messages go over the network."""
        return self._runtime() is None

    def send(self, messages: Sequence[Message]) -> None:
        """Publish messages; from another thread wait until the server's loop has them. Raises BroadcastError."""
        runtime = self._runtime()
        if runtime is None:
            try:
                self._site.send(messages)
            except BroadcastError as error:
                raise self._refused_by_site(messages, error) from error
            return
        if _running_loop() is runtime.loop:
            self._publish(runtime, messages)
            return
        done = _handed_over(runtime, lambda: self._publish(runtime, messages))
        try:
            done.result(self._settings.timeout)
        except FutureTimeoutError:
            done.cancel()
            raise self._timeout_error(f"event {messages[0]}") from None

    async def asend(self, messages: Sequence[Message]) -> None:
        """Publish messages without blocking the event loop. Raises BroadcastError."""
        runtime = self._runtime()
        if runtime is None:
            try:
                await self._site.asend(messages)
            except BroadcastError as error:
                raise self._refused_by_site(messages, error) from error
            return
        if _running_loop() is runtime.loop:
            self._publish(runtime, messages)
            return
        done = asyncio.wrap_future(_handed_over(runtime, lambda: self._publish(runtime, messages)))
        try:
            await asyncio.wait_for(done, self._settings.timeout)
        except TimeoutError:
            raise self._timeout_error(f"event {messages[0]}") from None

    @property
    def batch_limit(self) -> BatchLimit | None:
        """The limit of large batches of the site that another process serves; None where the server is in this one."""
        return self._site.batch_limit if self._runtime() is None else None

    def send_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Publish messages as :meth:`send`, in batches within a limit; return the errors of those that were refused."""
        if self._runtime() is not None:
            self.send(messages)
            return {}
        try:
            return self._site.send_each(messages, limit)
        except BroadcastError as error:
            raise self._refused_by_site(messages, error) from error

    async def asend_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Publish messages without blocking the event loop, as :meth:`send_each`."""
        if self._runtime() is not None:
            await self.asend(messages)
            return {}
        try:
            return await self._site.asend_each(messages, limit)
        except BroadcastError as error:
            raise self._refused_by_site(messages, error) from error

    def request(self, method: str, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Answer a request to ``path`` below ``/apps/ID``, as the server would over HTTP. Raises BroadcastError."""
        runtime = self._runtime()
        if runtime is None:
            return self._site.request(method, path, query)
        what = f"{method} {path}"
        signed = self._signed(method, path, query)
        if _running_loop() is runtime.loop:
            answer = _respond(runtime, signed)
            response = answer if isinstance(answer, Response) else answer.response
            if response is None:
                raise BroadcastError(f"{what}: a blocking call would wait for its own event loop: use 'await'")
            return _content(response, what)
        done = _answered(runtime, signed)
        try:
            return _content(done.result(self._settings.timeout), what)
        except FutureTimeoutError:
            done.cancel()
            raise self._timeout_error(what) from None

    async def arequest(self, method: str, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Answer a request without blocking the event loop, as :meth:`request`."""
        runtime = self._runtime()
        if runtime is None:
            return await self._site.arequest(method, path, query)
        what = f"{method} {path}"
        done = asyncio.wrap_future(_answered(runtime, self._signed(method, path, query)))
        try:
            return _content(await asyncio.wait_for(done, self._settings.timeout), what)
        except TimeoutError:
            raise self._timeout_error(what) from None

    def _signed(self, method: str, path: str, query: Mapping[str, str] | None) -> Request:
        settings = self._settings
        whole = f"/apps/{quote(settings.app_id, safe='')}{path}"
        parameters = signed_query(settings.key, settings.secret, method, whole, int(time.time()), query=query)
        return Request(method.encode(), f"{whole}?{urlencode(parameters)}".encode(), "1.1", [], b"", True)

    def close(self) -> None:
        """Close the connections of threads to the site."""
        self._site.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop to the site."""
        await self._site.aclose()

    def _runtime(self) -> EmbeddedRuntime | None:
        """Return the runtime that serves in this process; None in a process without one."""
        server = server_of(self._settings.app_id)
        if server is None:
            return None
        runtime = server.state
        if runtime is None and _running_loop() is not None:
            return server.start()
        return runtime if runtime is not None and runtime.pid == os.getpid() else None

    def _refused_by_site(self, messages: Sequence[Message], error: BroadcastError) -> BroadcastError:
        app, url = self._settings.app_id, self._settings.site_url
        server = server_of(app)
        if server is None:
            here = f"this process has no embedded server for app {app!r}"
        elif server.state is None:
            here = "the embedded server does not serve yet"
        else:
            here = f"the embedded server is in process {server.state.pid}, from which this one was forked"
        refusal = error.reason.removesuffix(": is the server running?")
        reason = (
            f"{here}, and the site did not take the event over HTTP: {refusal}. The site must run with "
            f"soundpost.asgi.App in it; set site_url (SOUNDPOST_SITE_URL) if it is not at {url}"
        )
        return BroadcastError(f"event {messages[0]}: {reason}", error.status, reason=reason)

    def _publish(self, runtime: EmbeddedRuntime, messages: Sequence[Message]) -> None:
        app = runtime.node.by_id[self._settings.app_id]
        for message in messages:
            try:
                publish_event(
                    app,
                    message.name,
                    message.data,
                    list(message.channels),
                    message.excluded,
                    ephemeral=message.ephemeral,
                    key_id=message.key_id,
                )
            except ApiError as error:
                raise BroadcastError(f"event {message}: {error.message}", error.status) from None

    def _timeout_error(self, what: str) -> BroadcastError:
        return BroadcastError(
            f"{what}: the event loop of the embedded server did not take it within "
            f"{self._settings.timeout:g} s: something blocks it"
        )


def _site_settings(settings: ConnectionSettings) -> ConnectionSettings:
    """Return the settings of the connection by which other processes publish to the site."""
    url = parse_public_url(settings.site_url)
    return replace(settings, driver="soundpost", host=url.host, port=url.port, scheme=url.scheme, path=url.path or "")


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


def _respond(runtime: EmbeddedRuntime, request: Request) -> Response | PendingResponse:
    try:
        return Router(runtime.node, "", runtime.log_throttle).respond(request)
    except ApiError as error:
        return error.response()


def _answered(runtime: EmbeddedRuntime, request: Request) -> Future[Response]:
    """Have the server's loop answer a request."""
    done: Future[Response] = Future()

    def act() -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            answer = _respond(runtime, request)
        except Exception as error:
            done.set_exception(error)
            return
        if isinstance(answer, PendingResponse) and answer.response is None:
            answer.then(lambda: _finish(done, answer))
        else:
            _finish(done, answer)

    runtime.loop.call_soon_threadsafe(act)
    return done


def _finish(done: Future[Response], answer: Response | PendingResponse) -> None:
    response = answer if isinstance(answer, Response) else answer.response
    if response is not None:
        done.set_result(response)


def _content(response: Response, what: str) -> dict[str, Any]:
    """Return the object in a response. Raises BroadcastError for an error."""
    value = object_in(response.body) or {}
    if response.status == 200:
        return value
    reason = str(value.get("error", ""))
    raise BroadcastError(f"{what}: {reason}", response.status, reason=reason)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
