"""The broadcaster of one request: ``await bc(event)`` in a handler."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.background import BackgroundTasks
from starlette.requests import Request

from soundpost.broadcasting.broadcaster import Broadcaster
from soundpost.broadcasting.channels import ChannelLike
from soundpost.broadcasting.history import History
from soundpost.broadcasting.socket_id import HEADER, valid_socket_id


class RequestBroadcaster:
    """A broadcaster for one request: ``to_others=True`` leaves out the browser that the request comes from.

    No middleware is needed. Methods take the options of :class:`soundpost.Broadcaster`: ``socket_id``, ``via``,
    ``queue``, ``on_error``, and ``session``, a SQLAlchemy session whose commit the event waits for.
    """

    def __init__(self, broadcaster: Broadcaster, request: Request) -> None:
        self.broadcaster = broadcaster
        """The application's broadcaster, for code that runs outside of a request."""
        self.socket_id = valid_socket_id(request.headers.get(HEADER))
        """Id of the browser connection that the request comes from; None if the request names none."""

    async def __call__(self, event: Any, *, to_others: bool = False, **options: Any) -> None:
        """Broadcast an event without blocking the event loop. Raises BroadcastError, PayloadError."""
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
        """Broadcast an event without a class: its name and data to channels. Raises BroadcastError, PayloadError."""
        await self.broadcaster.apublish(channels, name, data, **self._options(to_others, options))

    async def to_user(self, user_id: object, name: str, data: Any = None, **options: Any) -> None:
        """Broadcast an event to all connections on which a user has signed in. Raises BroadcastError, PayloadError."""
        await self.broadcaster.ato_user(user_id, name, data, **options)

    async def position(self, channel: ChannelLike, *, via: str | None = None) -> str | None:
        """Return the position at the end of a channel's history, as :meth:`soundpost.Broadcaster.position`."""
        return await self.broadcaster.aposition(channel, via=via)

    async def positions(
        self, channels: ChannelLike | Iterable[ChannelLike], *, via: str | None = None
    ) -> dict[str, str]:
        """Return positions by channel, for the tag of a page, as :meth:`soundpost.Broadcaster.positions`."""
        return await self.broadcaster.apositions(channels, via=via)

    async def history(self, channel: ChannelLike, **options: Any) -> History:
        """Return kept events of a channel, with the options of :meth:`soundpost.Broadcaster.history`."""
        return await self.broadcaster.ahistory(channel, **options)

    def batch(self) -> AbstractAsyncContextManager[None]:
        """Send the events of an ``async with`` block together at its end, in as few requests as the server takes."""
        return self.broadcaster.abatch()

    def after_response(
        self, background: BackgroundTasks, event: Any, *, to_others: bool = False, **options: Any
    ) -> None:
        """Broadcast an event, as it is now, once the response is sent. A failure is logged unless ``on_error="raise"``.

        Raises PayloadError at once.
        """
        options.setdefault("on_error", "log")
        background.add_task(self.broadcaster.prepared(event, **self._options(to_others, options)))

    def _options(self, to_others: bool, options: dict[str, Any]) -> dict[str, Any]:
        return {"socket_id": self.socket_id, **options} if to_others else options
