"""A real server in the process of the tests, whose event loop runs in a thread of its own."""

from __future__ import annotations

import base64
import gc
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from soundpost.broadcasting import Broadcaster, broadcast
from soundpost.broadcasting.channels import ChannelLike, name_of
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings, PublicSettings
from soundpost.client import Client, ReceivedEvent, SyncClient, SyncSubscription, with_secret
from soundpost.client.authorization import Authorize
from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.errors import ConfigurationError
from soundpost.loop_thread import LoopThread
from soundpost.server.server import Server
from soundpost.testing.transactions import waiting_in_words

HOST: Final = "127.0.0.1"


class LiveServer:
    """A server with one app on a free ``port`` of 127.0.0.1, which runs within ``with``.

    >>> with LiveServer() as server, SyncClient(server.url, server.key) as client:
    ...     orders = client.subscribe("orders.7")
    """

    def __init__(
        self,
        app_id: str = "test",
        key: str = "test-key",
        secret: str = "test-secret",
        encryption_master_key: str = "",
        history: Iterable[str] = (),
    ) -> None:
        """Make a server; ``history`` has patterns of channels that keep their events, as in ``[[apps.history]]``."""
        self.app_id = app_id
        """Id of the app."""
        self.key = key
        """Key of the app."""
        self.secret = secret
        """Secret of the app."""
        self.port = 0
        """Port of the server; 0 before the start."""
        self._master_key = encryption_master_key or base64.b64encode(bytes(32)).decode()
        self._history = tuple(history)
        self._thread = LoopThread("soundpost-server")
        self._server: Server
        self._listener: SyncClient | None = None
        self._broadcaster = broadcast
        self._gc_threshold = gc.get_threshold()

    @classmethod
    def for_broadcaster(cls, broadcaster: Broadcaster, history: Iterable[str] = ()) -> Self:
        """Return a server with the credentials of an application, whose auth endpoints then sign for the server.

        ``history``: patterns of channels that keep their events.
        """
        own = _settings_of(broadcaster)
        connection = own.connections.get(own.default)
        if connection is None or not connection.is_server or connection.missing():
            return cls(history=history)
        server = cls(connection.app_id, connection.key, connection.secret, connection.encryption_master_key, history)
        server._broadcaster = broadcaster
        return server

    @property
    def url(self) -> str:
        """The address of the server: ``http://127.0.0.1:12345``."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._thread.run(self._start())
        except BaseException:
            self._thread.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_of_another_process:
            return
        if self._listener is not None:
            self._listener.__exit__(None, None, None)
            self._listener = None
        self._thread.run(self._server.stop())
        self._thread.stop()
        gc.set_threshold(*self._gc_threshold)  # a server process wants other ones
        gc.unfreeze()

    def client(self, *, user_id: object = "", user_info: Any = None, auth: Authorize | None = None) -> Client:
        """Return a client for ``async with``.

        The client may subscribe to all channels, as ``user_id`` with ``user_info``; with ``auth``, as ``auth`` decides.
        """
        return Client(self.url, self.key, auth=auth or self._secret(user_id, user_info))

    def sync_client(self, *, user_id: object = "", user_info: Any = None, auth: Authorize | None = None) -> SyncClient:
        """Return a client for ``with``, with the arguments of :meth:`client`."""
        return SyncClient(self.url, self.key, auth=auth or self._secret(user_id, user_info))

    def listen(self, channel: ChannelLike, *, auth: Authorize | None = None) -> Listener:
        """Return a subscription for synchronous tests: ``listen("orders.7").next(timeout=1)`` is the next event."""
        if self._listener is None:
            client = self.sync_client(user_id="listener")
            client.__enter__()
            self._listener = client
        return Listener(self._listener.subscribe(name_of(channel), auth=auth), self._broadcaster)

    def broadcast_settings(self, broadcaster: Broadcaster) -> BroadcastSettings:
        """Return an application's settings with all connections leading to this server, and failures raised at once."""
        own = _settings_of(broadcaster)
        here = ConnectionSettings(
            app_id=self.app_id,
            key=self.key,
            secret=self.secret,
            host=HOST,
            port=self.port,
            encryption_master_key=self._master_key,
        )
        return replace(
            own,
            connections=dict.fromkeys([own.default, *own.connections], here),
            public=PublicSettings(),
            deliver="now",
            on_error="raise",
        )

    def _secret(self, user_id: object, user_info: Any) -> Authorize:
        return with_secret(
            self.key, self.secret, user_id=user_id, user_info=user_info, encryption_master_key=self._master_key
        )

    async def _start(self) -> None:
        history = (HistorySettings(channels=self._history),) if self._history else ()
        app = AppSettings(id=self.app_id, key=self.key, secret=self.secret, history=history)
        settings = Settings(server=ServerSettings(host=HOST, port=0, shutdown_timeout=1), apps=(app,))
        self._server = Server(settings)
        await self._server.start()
        self.port = self._server.port


class Listener(SyncSubscription):
    """A subscription of a test, which names the events that wait for a commit where none comes."""

    def __init__(self, subscription: SyncSubscription, broadcaster: Broadcaster) -> None:
        super().__init__(subscription._subscription, subscription._thread)
        self._broadcaster = broadcaster

    def next(self, timeout: float | None = None) -> ReceivedEvent:
        """Return the next event. Raises TimeoutError after ``timeout`` seconds, SubscriptionError after the last."""
        try:
            return super().next(timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}{waiting_in_words(self._broadcaster)}") from None


def _settings_of(broadcaster: Broadcaster) -> BroadcastSettings:
    try:
        return broadcaster.settings
    except ConfigurationError:
        return BroadcastSettings()
