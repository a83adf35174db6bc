"""Authorization of subscriptions and sign-ins, and the authorizer that signs with an app's own secret.

Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from soundpost.client import names
from soundpost.client.arguments import check_text, json_of
from soundpost.client.encryption import master_key_of, shared_secret
from soundpost.client.reconnection import Action, delay_before
from soundpost.errors import ConfigurationError, RequestError
from soundpost.redaction import redacted_fields
from soundpost.wire.channel_names import kind_of
from soundpost.wire.json_text import encode
from soundpost.wire.signatures import channel_text, sign, user_text

_RETRYABLE_STATUSES: Final = (0, 408, 429)
"""Statuses after which the application is asked again, as after 500 and above; 0 is not an answer."""
AUTHORIZER: Final = "with_secret(…), from_endpoint(…) or a function of socket id and channel"
"""Description of the authorizers that a client takes, for the messages of its errors."""
T = TypeVar("T")


class ChannelAuth(NamedTuple):
    """The authorization of a subscription; ``channel_data`` on presence channels, unless the client is signed in.

    ``shared_secret`` (base64) decrypts the events of an encrypted channel; without one the events stay encrypted.
    """

    auth: str
    channel_data: str | None = None
    shared_secret: str | None = None

    def __repr__(self) -> str:
        return redacted_fields(self, "shared_secret")


class UserAuth(NamedTuple):
    """The authorization of a sign-in; ``user_data`` is a JSON object with an ``id``."""

    auth: str
    user_data: str


Authorize = Callable[[str, str], ChannelAuth | Awaitable[ChannelAuth | None] | None]
"""An authorizer: called with socket id and channel for every subscription, and again after a reconnection.

It may be a coroutine function, and returns None where no authorization is needed. A RequestError with a status of
400 to 499 is a refusal."""

Authenticate = Callable[[str], UserAuth | Awaitable[UserAuth]]
"""An authenticator: called with the socket id for a sign-in, and again after a reconnection; may be a coroutine."""


@runtime_checkable
class UserAuthorizer(Protocol):
    """An authorizer that can authorize sign-ins too, as those of :func:`with_secret` and ``from_endpoint``."""

    def user(self, socket_id: str) -> UserAuth | Awaitable[UserAuth]:
        """Return the authorization of a sign-in on this socket."""


@dataclass(frozen=True)
class SecretAuthorizer:
    """An authorizer that signs with the secret of an app. Made by :func:`with_secret`."""

    key: str
    secret: str = field(repr=False)
    user_id: str
    user_info: Any
    master_key: bytes | None = field(repr=False)

    def __call__(self, socket_id: str, channel: str) -> ChannelAuth | None:
        """Return the authorization of a socket for a channel; None for a public channel."""
        kind = kind_of(channel)
        if not kind.needs_auth:
            return None
        channel_data = None
        if kind.is_presence and self.user_id:
            # Always with user_info: one member without makes Reverb answer all later joins with an error.
            channel_data = encode({"user_id": self.user_id, "user_info": self.user_info}).decode()
        secret = shared_secret(channel, self.master_key) if kind.is_encrypted and self.master_key else None
        return ChannelAuth(self._signed(channel_text(socket_id, channel, channel_data)), channel_data, secret)

    def user(self, socket_id: str) -> UserAuth:
        """Return the authorization of a sign-in on this socket. Raises ConfigurationError without a user id."""
        if not self.user_id:
            raise ConfigurationError("signing in needs a user: with_secret(key, secret, user_id=…)")
        user = {"id": self.user_id} if self.user_info is None else {"id": self.user_id, "user_info": self.user_info}
        user_data = encode(user).decode()
        return UserAuth(self._signed(user_text(socket_id, user_data)), user_data)

    def _signed(self, text: str) -> str:
        return f"{self.key}:{sign(self.secret, text)}"


def with_secret(
    key: str,
    secret: str,
    *,
    user_id: object = "",
    user_info: Any = None,
    encryption_master_key: bytes | str | None = None,
) -> SecretAuthorizer:
    """Return an authorizer for programs that have the app's secret: it signs as an application's auth endpoint does.

    ``user_id`` (the id or the user) and ``user_info`` (any JSON value) are those of presence channels and of the
    sign-in. ``encryption_master_key`` is the key of the application that publishes to encrypted channels: 32 bytes, or
    their base64 (``encryption_master_key_base64`` of Pusher's SDKs). Raises ConfigurationError for any other key, and
    PayloadError for a ``user_id`` without a text, or a ``user_info`` without a form in JSON.
    """
    check_text(key, "the app's key")
    check_text(secret, "the app's secret")
    json_of(user_info, "user_info")
    master_key = None if encryption_master_key is None else master_key_of(encryption_master_key)
    return SecretAuthorizer(key, secret, names.user_id(user_id), user_info, master_key)


async def result_of(call: Callable[[], T | Awaitable[T]], what: str) -> T:
    """Return the result of an application's function, which may be a coroutine function; ``what`` names it.

    Raises its exceptions, and a RequestError without a status where it was cancelled and this task was not.
    """
    try:
        found = call()
        return await found if inspect.isawaitable(found) else found
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RequestError(0, f"{what} was cancelled") from None


async def ask_until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Return the result of ``ask``, called again with growing delay while the application does not answer.

    A refusal is an answer: its RequestError is raised.
    """
    attempt = 0
    while True:
        try:
            return await ask()
        except RequestError as error:
            if error.status not in _RETRYABLE_STATUSES and error.status < 500:
                raise
        await asyncio.sleep(delay_before(attempt, Action.AFTER_A_WHILE))
        attempt += 1
