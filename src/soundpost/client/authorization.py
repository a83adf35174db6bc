"""Who may subscribe, and as whom: what authorizes a subscription or a sign-in, and signing with an app's own secret.

Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from soundpost.client import names
from soundpost.client.encryption import master_key_of, shared_secret
from soundpost.client.reconnection import Action, delay_before
from soundpost.errors import ConfigurationError, RequestError
from soundpost.redaction import redacted_fields
from soundpost.wire.channel_names import kind_of
from soundpost.wire.json_text import encode
from soundpost.wire.signatures import channel_text, sign, user_text

_BUSY: Final = (0, 408, 429)
"""Statuses that say nothing of the question, like 500 and above; 0: no answer."""
T = TypeVar("T")


class ChannelAuth(NamedTuple):
    """What a subscription is sent with; ``channel_data`` on presence channels, unless one is signed in.

    ``shared_secret`` (base64) opens the events of an encrypted channel; without it they come as they are, sealed.
    """

    auth: str
    channel_data: str | None = None
    shared_secret: str | None = None

    def __repr__(self) -> str:
        return redacted_fields(self, "shared_secret")


class UserAuth(NamedTuple):
    """What a sign-in is sent with; ``user_data`` is a JSON object with an ``id``."""

    auth: str
    user_data: str


Authorize = Callable[[str, str], ChannelAuth | Awaitable[ChannelAuth | None] | None]
"""Called with socket id and channel for every subscription, again after a reconnection; None: no auth needed.

May be a coroutine function. A RequestError it raises with a status of 400 to 499 is a refusal."""

Authenticate = Callable[[str], UserAuth | Awaitable[UserAuth]]
"""Called with the socket id for a sign-in, again after a reconnection; may be a coroutine function."""


@runtime_checkable
class KnowsUser(Protocol):
    """An authorizer that can sign in too, as those of :func:`with_secret` and ``from_endpoint``."""

    def user(self, socket_id: str) -> UserAuth | Awaitable[UserAuth]:
        """What signs this socket in."""


@dataclass(frozen=True)
class Secret:
    """Signs by itself. Made by :func:`with_secret`."""

    key: str
    secret: str = field(repr=False)
    user_id: str
    user_info: Any
    master_key: bytes | None = field(repr=False)

    def __call__(self, socket_id: str, channel: str) -> ChannelAuth | None:
        """What subscribes this socket to a channel."""
        kind = kind_of(channel)
        if not kind.needs_auth:
            return None
        channel_data = None
        if kind.is_presence and self.user_id:
            # Never without user_info: one such member makes Reverb answer everybody who joins with an error.
            channel_data = encode({"user_id": self.user_id, "user_info": self.user_info}).decode()
        secret = shared_secret(channel, self.master_key) if kind.is_encrypted and self.master_key else None
        return ChannelAuth(self._signed(channel_text(socket_id, channel, channel_data)), channel_data, secret)

    def user(self, socket_id: str) -> UserAuth:
        """What signs this socket in. Raises ConfigurationError without a user id."""
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
) -> Secret:
    """An authorizer for programs that have the app's secret: it signs what an application's auth endpoint would.

    ``user_id`` (or the user) and ``user_info`` (any JSON value) are who it is on presence channels and when it signs
    in.
    ``encryption_master_key`` is that of the application which publishes to encrypted channels: 32 bytes, or their
    base64 (``encryption_master_key_base64`` of Pusher's SDKs). Raises ConfigurationError for any other.
    """
    master_key = None if encryption_master_key is None else master_key_of(encryption_master_key)
    return Secret(key, secret, names.user_id(user_id), user_info, master_key)


async def answered(ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` gives, asked again and again, with growing delay, while whoever should answer is away.

    A refusal is an answer: that RequestError is raised.
    """
    attempt = 0
    while True:
        try:
            return await ask()
        except RequestError as error:
            if error.status not in _BUSY and error.status < 500:
                raise
        await asyncio.sleep(delay_before(attempt, Action.AFTER_A_WHILE))
        attempt += 1
