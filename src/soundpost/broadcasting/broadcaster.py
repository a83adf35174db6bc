"""What an application broadcasts through: ``broadcast(event)``, ``publish(…)``, batches, and the fake of tests."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from soundpost.broadcasting.batches import AsyncBatch, Batch, Way, current_batch
from soundpost.broadcasting.channels import ChannelLike, UserChannel
from soundpost.broadcasting.composing import compose, messages_for
from soundpost.broadcasting.configured import Configured
from soundpost.broadcasting.encryption import seal
from soundpost.broadcasting.event import OnError
from soundpost.broadcasting.fake import Fake
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.broadcasting.socket_id import current_socket_id, valid_socket_id
from soundpost.errors import BroadcastError, ConfigurationError
from soundpost.wire.channel_names import kind_of

log = logging.getLogger("soundpost.broadcast")


class Transactions(Protocol):
    """Knows the database transactions of an application: a framework's, or an ORM's."""

    def defer(self, send: Callable[[], None]) -> bool:
        """Have ``send`` called once the transaction that is open here is committed; False: none is open."""

    def is_open(self) -> bool:
        """Whether a transaction is open here."""


class Broadcaster(Configured):
    """Sends events as its settings say; those of the environment, if it was not configured.

    Safe to use from any thread, event loop and forked process.
    """

    def __init__(self, settings: BroadcastSettings | None = None) -> None:
        super().__init__(settings)
        self.transactions: Transactions | None = None
        self._fakes: list[Fake] = []

    # Events

    def __call__(
        self,
        event: Any,
        *,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        after_commit: bool | None = None,
        on_error: OnError | None = None,
        session: Any = None,
    ) -> None:
        """Broadcast an event.

        ``to_others``: but for the browser connection that the current request comes from (``X-Socket-ID``);
        ``socket_id`` names another one to leave out. ``via`` names the connection, or connections, to send it through,
        ``queue`` the queue that carries it. ``session``: a SQLAlchemy session whose commit it waits for. Where nothing
        is said here the event's class decides, and then the settings. Raises BroadcastError, PayloadError.
        """
        way = self._way(event, queue, after_commit, on_error)
        self._send(self._messages(event, to_others, socket_id, via), event, way, session)

    async def abroadcast(
        self,
        event: Any,
        *,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        on_error: OnError | None = None,
    ) -> None:
        """Broadcast an event without blocking the event loop; takes what the synchronous form takes.

        It does not wait for a transaction: there are none in asynchronous code that it could know of.
        """
        way = self._way(event, queue, False, on_error)
        await self._asend(self._messages(event, to_others, socket_id, via), event, way)

    def prepared(
        self,
        event: Any,
        *,
        to_others: bool = False,
        socket_id: str | None = None,
        via: str | Iterable[str] | None = None,
        queue: str | None = None,
        on_error: OnError | None = None,
    ) -> Callable[[], Awaitable[None]]:
        """Make an event ready as it is now, to be sent when what this returns is called: after the response, say.

        Raises PayloadError at once.
        """
        messages = self._messages(event, to_others, socket_id, via)
        return partial(self._asend, messages, event, self._way(event, queue, False, on_error))

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
        session: Any = None,
    ) -> None:
        """Broadcast an event without a class: its name and data to these channels, given in full or as objects."""
        messages = compose(channels, name, data, self._excluded(to_others, socket_id), self._connections(None, via))
        self._send(messages, None, self._way(None, queue, after_commit, on_error), session)

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
    ) -> None:
        """The same without blocking the event loop."""
        messages = compose(channels, name, data, self._excluded(to_others, socket_id), self._connections(None, via))
        await self._asend(messages, None, self._way(None, queue, False, on_error))

    def to_user(self, user_id: object, name: str, data: Any = None, **options: Any) -> None:
        """Broadcast to all connections on which a user has signed in (``pusher.signin()``)."""
        self.publish(UserChannel(user_id), name, data, **options)

    async def ato_user(self, user_id: object, name: str, data: Any = None, **options: Any) -> None:
        """The same without blocking the event loop."""
        await self.apublish(UserChannel(user_id), name, data, **options)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """What is broadcast in the block is sent at its end, in as few requests as the server takes.

        Nothing is sent if the block fails. What waits for the commit of a ``session=`` is no part of it. Within
        ``async`` code use ``async with broadcast.abatch()``.
        """
        with self._gathering() as batch:
            yield
        for way, messages in batch.take():
            self._deliver(messages, way.queue, way.on_error)

        def send_the_rest() -> None:
            batch.is_over = True
            for way, messages in batch.take():
                self._deliver(messages, way.queue, "log")

        if self.transactions is None or not self.transactions.defer(send_the_rest):
            batch.is_over = True

    def abatch(self) -> AsyncBatch:
        """``async with broadcast.abatch():`` as :meth:`batch`, without blocking the event loop."""
        return AsyncBatch(self._gathering(), self._adeliver)

    @contextmanager
    def fake(self, **options: Any) -> Iterator[Fake]:
        """Nothing is sent in the block; what would have been is remembered, and can be asked for."""
        fake = Fake(**options)
        self._fakes.append(fake)
        try:
            yield fake
        finally:
            self._fakes.remove(fake)

    # The way of a message

    def _messages(
        self, event: Any, to_others: bool, socket_id: str | None, via: str | Iterable[str] | None
    ) -> list[Message]:
        excluded = self._excluded(to_others, socket_id)
        return messages_for(event, excluded, self._connections(event, via), lambda: self.settings)

    @staticmethod
    def _excluded(to_others: bool, socket_id: str | None) -> str | None:
        if socket_id is not None:
            return valid_socket_id(socket_id)
        return current_socket_id() if to_others else None

    def _connections(self, event: Any, via: str | Iterable[str] | None) -> Sequence[str]:
        wanted = via if via is not None else getattr(event, "broadcast_via", None)
        if wanted is None:
            return ("",)
        names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        if not self._fakes:
            for name in names:
                self.settings.connection(name)
        return names

    def _way(self, event: Any, queue: str | None, after_commit: bool | None, on_error: OnError | None) -> Way:
        settings = (self._settings or BroadcastSettings()) if self._fakes else self.settings
        if after_commit is None:
            after_commit = getattr(event, "after_commit", None)
        return Way(
            settings.after_commit if after_commit is None else after_commit,
            on_error or getattr(event, "on_error", None) or settings.on_error,
            queue or getattr(event, "broadcast_queue", None) or settings.queue,
        )

    def _send(self, messages: list[Message], event: Any, way: Way, session: Any) -> None:
        if not messages or self._record(messages, event, way, session):
            return
        if session is not None or not self._gather(messages, way):
            self._dispatch(messages, way, session)

    async def _asend(self, messages: list[Message], event: Any, way: Way) -> None:
        if not messages or self._record(messages, event, way, None) or self._gather(messages, way):
            return
        await self._adispatch(messages, way)

    def _record(self, messages: list[Message], event: Any, way: Way, session: Any) -> bool:
        if not self._fakes:
            return False
        pending = session is not None or (
            way.after_commit and self.transactions is not None and self.transactions.is_open()
        )
        self._fakes[-1].record(messages, event, pending=pending)
        return True

    def _gather(self, messages: list[Message], way: Way) -> bool:
        batch = current_batch.get()
        if batch is None:
            return False
        sealed = [self._sealed(message) for message in messages]

        def join() -> None:
            if batch.is_over:  # it was the batch of another database's transaction
                self._deliver(sealed, way.queue, "log")
            else:
                batch.messages += [(message, way) for message in sealed]

        if not (way.after_commit and self.transactions is not None and self.transactions.defer(join)):
            join()
        return True

    @contextmanager
    def _gathering(self) -> Iterator[Batch]:
        batch = Batch()
        token = current_batch.set(batch)
        try:
            yield batch
        finally:
            current_batch.reset(token)

    def _dispatch(self, messages: list[Message], way: Way, session: Any) -> None:
        try:
            sealed = [self._sealed(message) for message in messages]
        except ConfigurationError as error:
            _failed(error, way.on_error)
            return

        def send() -> None:
            self._deliver(sealed, way.queue, "log")  # nobody is left to be told

        if session is not None:
            from soundpost.broadcasting.session_commit import after_commit

            after_commit(session, send)
        elif not (way.after_commit and self.transactions is not None and self.transactions.defer(send)):
            self._deliver(sealed, way.queue, way.on_error)

    def _deliver(self, messages: list[Message], queue: str, on_error: str) -> None:
        try:
            self.delivery.deliver(messages, queue)
        except (BroadcastError, ConfigurationError) as error:
            _failed(error, on_error)

    async def _adispatch(self, messages: list[Message], way: Way) -> None:
        try:
            sealed = [self._sealed(message) for message in messages]
        except ConfigurationError as error:
            _failed(error, way.on_error)
            return
        await self._adeliver(sealed, way)

    async def _adeliver(self, messages: list[Message], way: Way) -> None:
        try:
            await self.delivery.adeliver(messages, way.queue)
        except (BroadcastError, ConfigurationError) as error:
            _failed(error, way.on_error)

    def _sealed(self, message: Message) -> Message:
        """An encrypted channel's event, encrypted: neither a queue nor the server is to read it."""
        channel = message.channels[0]
        if not kind_of(channel).is_encrypted:
            return message
        settings = self.settings.connection(message.connection or None)
        if not settings.is_server:
            return message
        return replace(message, data=seal(channel, message.data, settings.master_key(channel)))


def _failed(error: BroadcastError | ConfigurationError, on_error: str) -> None:
    if on_error == "log":
        log.error("not sent: %s", error)
        return
    raise error
