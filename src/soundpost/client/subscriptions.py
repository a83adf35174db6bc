"""The channels of a client, and what became of the wish to subscribe to them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

from soundpost.client.authorization import Authorize
from soundpost.client.incoming import Frame
from soundpost.client.pusher_socket import error_code
from soundpost.errors import SubscriptionError
from soundpost.wire.messages import encode


class Subscription:
    """One channel of a client. ``members`` are user infos by user id, as of (re)subscribing to a presence channel."""

    def __init__(self, channel: str, auth: Authorize | None) -> None:
        self.channel = channel
        self.members: dict[str, Any] = {}
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the server has accepted or refused the subscription for the first time."""
        self._auth = auth

    async def request(self, socket_id: str) -> str:
        """The data of ``pusher:subscribe``, authorized for this socket."""
        data: dict[str, str] = {"channel": self.channel}
        auth = self._auth(socket_id, self.channel) if self._auth else None
        if inspect.isawaitable(auth):
            auth = await auth
        if auth is not None:
            data["auth"] = auth.auth
            if auth.channel_data is not None:
                data["channel_data"] = auth.channel_data
        return encode(data).decode()

    def succeed(self, frame: Frame) -> None:
        """The server accepted it."""
        presence = frame.content().get("presence")
        if isinstance(presence, dict) and isinstance(presence.get("hash"), dict):
            self.members = presence["hash"]
        if not self.answer.done():
            self.answer.set_result(None)

    def fail(self, error: Exception) -> bool:
        """The server refused it: tell the one who waits for the answer; False when nobody does any more."""
        if self.answer.done():
            return False
        self.answer.set_exception(error)
        return True


class Subscriptions:
    """The subscriptions of a client by channel."""

    def __init__(self) -> None:
        self._by_channel: dict[str, Subscription] = {}
        self._told: str | None = None

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._by_channel.values()))

    def add(self, subscription: Subscription) -> None:
        """Remember a subscription, to be renewed on every new socket."""
        self._by_channel[subscription.channel] = subscription

    def remove(self, channel: str) -> bool:
        """Forget a channel; False if it was none of ours."""
        return self._by_channel.pop(channel, None) is not None

    def succeeded(self, frame: Frame) -> None:
        """Take note of a ``pusher_internal:subscription_succeeded``."""
        subscription = self._by_channel.get(frame.channel or "")
        if subscription is not None:
            subscription.succeed(frame)

    def refused(self, frame: Frame) -> bool:
        """Take note of an error; whether somebody waited for it, so that it need not be handed on as an event.

        Some servers refuse with ``pusher:subscription_error``, some with ``pusher:error``, some with both.
        """
        content = frame.content()
        if frame.event == "pusher:subscription_error":
            text = self._told = str(content.get("error", "refused"))
            subscription = self._by_channel.pop(frame.channel or "", None)
            status = content.get("status")
            status = status if isinstance(status, int) else 401
            kind = str(content.get("type", "AuthError"))
            error = SubscriptionError(frame.channel or "", status, text, type=kind, status=status)
            return subscription is not None and subscription.fail(error)
        text = str(content.get("message", ""))
        told, self._told = self._told, None
        if text == told:
            return True
        waiting = next((each for each in self if not each.answer.done()), None)
        return waiting is not None and waiting.fail(SubscriptionError(waiting.channel, error_code(content), text))

    def fail_all(self, error: Exception) -> None:
        """The connection is over for good."""
        for subscription in self:
            subscription.fail(error)
