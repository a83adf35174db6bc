"""What handlers broadcast with: ``await bc(event)``. It knows the request it is for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.background import BackgroundTasks
from starlette.requests import Request

from soundpost.broadcasting.broadcaster import Broadcaster
from soundpost.broadcasting.channels import ChannelLike
from soundpost.broadcasting.socket_id import HEADER, valid_socket_id


class RequestBroadcaster:
    """Broadcasts for one request: ``to_others`` leaves out the browser it came from, with or without the middleware.

    Methods take what those of :class:`soundpost.Broadcaster` take, ``via`` and ``on_error`` say.
    """

    def __init__(self, broadcaster: Broadcaster, request: Request) -> None:
        self.broadcaster = broadcaster
        """The synchronous one behind it, for what is not in a request."""
        self.socket_id = valid_socket_id(request.headers.get(HEADER))
        """The browser connection that the request comes from; None if it does not say."""

    async def __call__(self, event: Any, *, to_others: bool = False, **options: Any) -> None:
        """Broadcast an event. Raises BroadcastError, PayloadError."""
        await self.broadcaster.abroadcast(event, **self._options(to_others, options))

    async def publish(
        self,
        channels: ChannelLike | Iterable[ChannelLike],
        name: str,
        data: Any = None,
        *,
        to_others: bool = False,
        **options: Any,
    ) -> None:
        """Broadcast an event without a class. Raises BroadcastError, PayloadError."""
        await self.broadcaster.apublish(channels, name, data, **self._options(to_others, options))

    async def to_user(self, user_id: object, name: str, data: Any = None, **options: Any) -> None:
        """Broadcast to all connections on which a user has signed in."""
        await self.broadcaster.ato_user(user_id, name, data, **options)

    def batch(self) -> AbstractAsyncContextManager[None]:
        """``async with bc.batch():`` sends what is broadcast in the block at its end, in few requests."""
        return self.broadcaster.abatch()

    def after_response(
        self, background: BackgroundTasks, event: Any, *, to_others: bool = False, **options: Any
    ) -> None:
        """Broadcast an event once the response is sent, as it is now. A failure is logged: nobody is left to be told.

        Raises PayloadError.
        """
        options.setdefault("on_error", "log")
        background.add_task(self.broadcaster.prepared(event, **self._options(to_others, options)))

    def _options(self, to_others: bool, options: dict[str, Any]) -> dict[str, Any]:
        return {"socket_id": self.socket_id, **options} if to_others else options
