"""The broadcaster of an application: ``broadcast(event)``, ``publish(…)``, batches, and the fake of tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Never

from soundpost.broadcasting import tracing
from soundpost.broadcasting.batches import AsyncBatch, SendOptions
from soundpost.broadcasting.channels import ChannelLike, UserChannel
from soundpost.broadcasting.composing import compose, messages_for
from soundpost.broadcasting.dispatcher import Dispatcher
from soundpost.broadcasting.event import OnError
from soundpost.broadcasting.fake import Fake
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.options import check_flag, check_on_error, check_queue, connection_names
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.broadcasting.socket_id import current_socket_id, valid_socket_id
from soundpost.errors import ConfigurationError

_DEFAULT: Final = ("",)
"""The name of the default connection, of which drivers know which one it is."""


class Broadcaster(Dispatcher):
    """Sends events as its settings say; without configuration, by the settings of the environment.

    Safe to use from any thread, event loop and forked process.
    """

    # Events

    def __call__(
        self,
        event: Any,
        *misplaced: Never,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        after_commit: bool | None = None,
        on_error: OnError | None = None,
        ephemeral: bool | None = None,
        session: Any = None,
    ) -> None:
        """Broadcast an event.

        - ``to_others``: leave out the browser connection that the current request comes from (``X-Socket-ID``).
        - ``socket_id``: leave out this connection.
        - ``via``: the connection, or connections, to send the event through.
        - ``queue``: the queue that carries the event.
        - ``after_commit``: wait for the commit of the open transaction.
        - ``on_error``: ``"raise"`` or ``"log"`` a failure.
        - ``ephemeral``: keep the event in no history.
        - ``session``: a SQLAlchemy session whose commit the event waits for.

        For an option that is not given the event's class decides, then the settings. Raises BroadcastError,
        PayloadError, and ConfigurationError for a wrong option.
        """
        if misplaced:
            raise _more_than_an_event("broadcast", event)
        options = self._send_options(event, queue, after_commit, on_error)
        messages = self._messages(event, to_others, socket_id, via, ephemeral)
        self._send(messages, event, options, session)

    async def abroadcast(
        self,
        event: Any,
        *misplaced: Never,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        on_error: OnError | None = None,
        ephemeral: bool | None = None,
        session: Any = None,
    ) -> None:
        """Broadcast an event without blocking the event loop, with the options of ``broadcast(event)``.

        With a ``session`` the event waits for its commit, and this call returns at once. No other transaction is waited
        for: those of asynchronous code are not known.
        """
        if misplaced:
            raise _more_than_an_event("abroadcast", event)
        options = self._send_options(event, queue, False, on_error)
        await self._asend(self._messages(event, to_others, socket_id, via, ephemeral), event, options, session)

    def prepared(
        self,
        event: Any,
        *,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        on_error: OnError | None = None,
        ephemeral: bool | None = None,
    ) -> Callable[[], Awaitable[None]]:
        """Serialise an event as it is now, and return a function that sends the event later: after the response, say.

        Raises PayloadError at once.
        """
        messages = self._messages(event, to_others, socket_id, via, ephemeral)
        if tracing.tracer is not None:
            messages = tracing.tracer.carrying(messages)
        return partial(self._asend, messages, event, self._send_options(event, queue, False, on_error))

    def publish(
        self,
        channels: ChannelLike | Iterable[ChannelLike],
        name: str,
        data: Any = None,
        *,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        after_commit: bool | None = None,
        on_error: OnError | None = None,
        ephemeral: bool = False,
        session: Any = None,
    ) -> None:
        """Broadcast an event without a class: a name and data, to channels given by full name or as objects.

        ``data`` is encoded as JSON, a str like any other value; None is an empty object. The options are those of
        ``broadcast(event)``. Raises BroadcastError, PayloadError.
        """
        excluded, connections = self._excluded(to_others, socket_id), self._connections(via)
        messages = compose(channels, name, data, excluded, connections, ephemeral=ephemeral)
        self._send(messages, None, self._send_options(None, queue, after_commit, on_error), session)

    async def apublish(
        self,
        channels: ChannelLike | Iterable[ChannelLike],
        name: str,
        data: Any = None,
        *,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        on_error: OnError | None = None,
        ephemeral: bool = False,
        session: Any = None,
    ) -> None:
        """Broadcast an event without a class, as :meth:`publish`, without blocking the event loop."""
        excluded, connections = self._excluded(to_others, socket_id), self._connections(via)
        messages = compose(channels, name, data, excluded, connections, ephemeral=ephemeral)
        await self._asend(messages, None, self._send_options(None, queue, False, on_error), session)

    def to_user(self, user_id: object, name: str, data: Any = None, **options: Any) -> None:
        """Broadcast to all connections on which a user has signed in (``pusher.signin()``)."""
        self.publish(UserChannel(user_id), name, data, **options)

    async def ato_user(self, user_id: object, name: str, data: Any = None, **options: Any) -> None:
        """Broadcast to all connections of a user, as :meth:`to_user`, without blocking the event loop."""
        await self.apublish(UserChannel(user_id), name, data, **options)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Send the events that are broadcast in the block at its end, in as few requests as the server takes.

        No event is sent if the block fails. An event that waits for the commit of a ``session=`` is not part of the
        batch. In ``async`` code use ``async with broadcast.abatch()``.
        """
        with self._gathering() as batch:
            yield
        for options, messages in batch.take():
            self._deliver(messages, options.queue, options.on_error)

        def send_the_rest() -> None:
            batch.is_over = True
            for options, messages in batch.take():
                self._deliver(messages, options.queue, "log")

        if not self._deferred(send_the_rest):
            batch.is_over = True

    def abatch(self) -> AsyncBatch:
        """Send the events of an ``async with`` block at its end, as :meth:`batch`, without blocking the event loop."""
        return AsyncBatch(self._gathering(), self._adeliver)

    @contextmanager
    def fake(self, **options: Any) -> Iterator[Fake]:
        """Record the events of the block instead of sending them: ``with broadcast.fake() as sent``."""
        fake = Fake(**options)
        self._fakes.append(fake)
        try:
            yield fake
        finally:
            self._fakes.remove(fake)

    # From an event to its delivery

    def _messages(
        self,
        event: Any,
        to_others: bool,
        socket_id: str | None,
        via: str | Iterable[str] | None,
        ephemeral: bool | None,
    ) -> list[Message]:
        excluded = self._excluded(to_others, socket_id) if to_others or socket_id is not None else None
        if via is None:
            via = getattr(event, "broadcast_via", None)
        connections = _DEFAULT if via is None else self._connections(via)
        return messages_for(event, excluded, connections, self._read_settings, ephemeral)

    def _read_settings(self) -> BroadcastSettings:
        return self.settings

    @staticmethod
    def _excluded(to_others: bool, socket_id: str | None) -> str | None:
        if socket_id is not None:
            if not isinstance(socket_id, str):
                raise ConfigurationError(f"socket_id {socket_id!r:.100}: text such as '1234.5678' is expected")
            return valid_socket_id(socket_id)
        if not to_others:
            return None
        check_flag(to_others, "to_others")
        return current_socket_id()

    def _connections(self, via: str | Iterable[str] | None) -> Sequence[str]:
        if via is None:
            return _DEFAULT
        names = connection_names(via)
        if not self._fakes:
            for name in names:
                self.settings.connection(name)
        return names

    def _send_options(
        self, event: Any, queue: str | None, after_commit: bool | None, on_error: OnError | None
    ) -> SendOptions:
        if on_error is not None or queue is not None or after_commit:
            check_on_error(on_error)
            check_queue(queue)
            check_flag(after_commit, "after_commit")
        if self._fakes:
            settings = self._settings or BroadcastSettings()
        else:
            settings = self._pinned or self._settings or self.settings  # the property alone takes 0.1 µs more
        if after_commit is None:
            after_commit = getattr(event, "after_commit", None)
        return SendOptions(
            settings.after_commit if after_commit is None else after_commit,
            on_error or getattr(event, "on_error", None) or settings.on_error,
            queue or getattr(event, "broadcast_queue", None) or settings.queue,
        )


def _more_than_an_event(function: str, event: Any) -> TypeError:
    publish = f"{function.removesuffix('broadcast')}publish"
    channels = f"{event!r:.60}" if isinstance(event, str) else "channels"
    return TypeError(
        f"{function}() takes one object, the event: to send a name and data without an event class, use "
        f"{publish}({channels}, name, data)"
    )
