"""``Pusher`` and ``AsyncPusher``, with the arguments and methods of PyPI's ``pusher``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from soundpost.broadcasting.drivers.http import HttpDriver
from soundpost.errors import BroadcastError, PayloadError
from soundpost.pusher.calls import Call, Calls, to_user
from soundpost.pusher.errors import error_of
from soundpost.pusher.options import connection_settings, options_from_url, url_from_environment
from soundpost.pusher.signing import Signing


class _Client:
    """The common part of both clients: the constructor, and all methods that need no connection."""

    def __init__(
        self,
        app_id: str,
        key: str,
        secret: str,
        ssl: bool = True,
        host: str | None = None,
        port: int | None = None,
        timeout: float = 5,
        cluster: str | None = None,
        encryption_master_key: str | bytes | None = None,
        encryption_master_key_base64: str | None = None,
        json_encoder: type[json.JSONEncoder] | None = None,
        json_decoder: type[json.JSONDecoder] | None = None,
        backend: None = None,
        *,
        path: str = "",
        verify: bool | str = True,
    ) -> None:
        if backend is not None:
            raise TypeError("backend is not supported: leave it out; for asyncio use AsyncPusher")
        self._settings = connection_settings(
            app_id,
            key,
            secret,
            ssl=ssl,
            host=host,
            port=port,
            path=path,
            timeout=timeout,
            cluster=cluster,
            encryption_master_key=encryption_master_key,
            encryption_master_key_base64=encryption_master_key_base64,
            verify=verify,
        )
        self._calls = Calls(self._settings.encryption_master_key, json_encoder)
        self._signing = Signing(self._settings, self._calls, json_encoder, json_decoder)
        self._driver = HttpDriver(self._settings)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make a client from ``https://KEY:SECRET@HOST:PORT/apps/APP_ID``; ``options`` of the constructor win."""
        return cls(**{**options_from_url(url), **options})

    @classmethod
    def from_env(cls, env: str = "PUSHER_URL", **options: Any) -> Self:
        """Make a client from such a URL in a variable of the environment."""
        return cls.from_url(url_from_environment(env), **options)

    def authenticate(
        self, channel: str, socket_id: str, custom_data: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Return the authorization of a socket for a channel; ``custom_data`` is the member of a presence channel."""
        return self._signing.channel(channel, socket_id, custom_data)

    def authenticate_user(self, socket_id: str, user_data: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Return the authorization of a sign-in; ``user_data`` has an ``id``."""
        return self._signing.user(socket_id, user_data)

    def validate_webhook(self, key: str, signature: str, body: str | bytes) -> dict[str, Any] | None:
        """Return the content of a webhook that the server signed in the last five minutes; None for any other.

        ``key`` and ``signature`` are its headers ``X-Pusher-Key`` and ``X-Pusher-Signature``.
        """
        return self._signing.webhook(key, signature, body)


class Pusher(_Client):
    """A client of Pusher's HTTP API, with the arguments of PyPI's ``pusher``; safe to share between threads.

    ``path`` is a prefix of all paths, ``verify`` the file of a certificate authority, or False for any certificate.
    It may be used in ``with``. Methods raise PusherError, and ValueError or TypeError for what no server would take.
    """

    def trigger(
        self, channels: str | Iterable[str], event_name: str, data: object, socket_id: str | None = None
    ) -> dict[str, Any]:
        """Publish an event to channels but not to the connection ``socket_id``; a str is sent as it stands."""
        return self._ask(self._calls.trigger(channels, event_name, data, socket_id))

    def trigger_batch(self, batch: Sequence[Mapping[str, Any]] = (), already_encoded: bool = False) -> dict[str, Any]:
        """Publish several events, each a mapping with ``channel``, ``name``, ``data`` and maybe ``socket_id``."""
        return self._ask(self._calls.trigger_batch(batch, already_encoded))

    def send_to_user(self, user_id: str, event_name: str, data: object) -> dict[str, Any]:
        """Publish an event to all connections of a user."""
        return self._ask(self._calls.trigger(to_user(user_id), event_name, data, None))

    def channels_info(self, prefix_filter: str | None = None, attributes: Iterable[str] = ()) -> dict[str, Any]:
        """Return the occupied channels."""
        return self._ask(self._calls.channels(prefix_filter, attributes))

    def channel_info(self, channel: str, attributes: Iterable[str] = ()) -> dict[str, Any]:
        """Return ``occupied`` of a channel, and the attributes asked for."""
        return self._ask(self._calls.channel(channel, attributes))

    def users_info(self, channel: str) -> dict[str, Any]:
        """Return the members of a presence channel."""
        return self._ask(self._calls.users(channel))

    def terminate_user_connections(self, user_id: str) -> dict[str, Any]:
        """Close all connections of a user."""
        return self._ask(self._calls.terminate(user_id))

    def close(self) -> None:
        """Close the kept connections, which are opened again when needed."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _ask(self, call: Call) -> dict[str, Any]:
        try:
            return self._driver.request(*call)
        except PayloadError:
            raise
        except BroadcastError as error:
            raise error_of(error) from None


class AsyncPusher(_Client):
    """A ``Pusher`` for asyncio with kept connections; close it at the end, or use it in ``async with``."""

    async def trigger(
        self, channels: str | Iterable[str], event_name: str, data: object, socket_id: str | None = None
    ) -> dict[str, Any]:
        """Publish an event to channels but not to the connection ``socket_id``; a str is sent as it stands."""
        return await self._ask(self._calls.trigger(channels, event_name, data, socket_id))

    async def trigger_batch(
        self, batch: Sequence[Mapping[str, Any]] = (), already_encoded: bool = False
    ) -> dict[str, Any]:
        """Publish several events, each a mapping with ``channel``, ``name``, ``data`` and maybe ``socket_id``."""
        return await self._ask(self._calls.trigger_batch(batch, already_encoded))

    async def send_to_user(self, user_id: str, event_name: str, data: object) -> dict[str, Any]:
        """Publish an event to all connections of a user."""
        return await self._ask(self._calls.trigger(to_user(user_id), event_name, data, None))

    async def channels_info(self, prefix_filter: str | None = None, attributes: Iterable[str] = ()) -> dict[str, Any]:
        """Return the occupied channels."""
        return await self._ask(self._calls.channels(prefix_filter, attributes))

    async def channel_info(self, channel: str, attributes: Iterable[str] = ()) -> dict[str, Any]:
        """Return ``occupied`` of a channel, and the attributes asked for."""
        return await self._ask(self._calls.channel(channel, attributes))

    async def users_info(self, channel: str) -> dict[str, Any]:
        """Return the members of a presence channel."""
        return await self._ask(self._calls.users(channel))

    async def terminate_user_connections(self, user_id: str) -> dict[str, Any]:
        """Close all connections of a user."""
        return await self._ask(self._calls.terminate(user_id))

    async def aclose(self) -> None:
        """Close the kept connections, which are opened again when needed."""
        await self._driver.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.aclose()

    async def _ask(self, call: Call) -> dict[str, Any]:
        try:
            return await self._driver.arequest(*call)
        except PayloadError:
            raise
        except BroadcastError as error:
            raise error_of(error) from None
