"""Events that an operator publishes, and users that an operator disconnects."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from msgspec import Struct

from soundpost.core import users
from soundpost.core.app import App
from soundpost.server.admin_http import AdminError, AdminRequest, AdminResponse, Answer, json_answer, read_body
from soundpost.server.api.events import publish_event
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import ApiError, Response
from soundpost.server.dashboard.daemon_view import DaemonView, app_of
from soundpost.wire.channel_names import kind_of
from soundpost.wire.json_text import is_unicode, reader


class EventBody(Struct):
    """Body of ``POST api/apps/ID/events``; ``data`` is any JSON value."""

    channels: list[str]
    name: str
    data: msgspec.Raw
    socket_id: str | None = None
    ephemeral: bool = False


class _Counts(Struct):
    channels: dict[str, dict[str, int]]


_read: Final = reader(EventBody)
_MAX_WAIT: Final = 5.0


class EventCreator:
    """Handlers for what an operator does to clients."""

    def __init__(self, daemon: DaemonView) -> None:
        self._daemon = daemon

    async def publish(self, request: AdminRequest) -> Answer:
        """Publish an event, and answer with the subscribers of each channel."""
        app = app_of(self._daemon, request.names["app"])
        body = read_body(request, _read)
        channels = list(dict.fromkeys(body.channels))
        if not channels:
            raise AdminError(422, "channels is empty: name at least one channel")
        for channel in channels:
            if not is_unicode(channel):
                raise AdminError(422, f"channels: {channel[:200]!a} is not valid Unicode: it has half of a character")
            if kind_of(channel).is_encrypted:
                raise AdminError(
                    422,
                    f"channels: {channel[:200]!a} is encrypted: only applications have the key, so an event from here "
                    "could not be read",
                )
        try:
            response = await answered(
                publish_event(
                    app,
                    body.name,
                    bytes(body.data).decode(),
                    channels,
                    body.socket_id or None,
                    "subscription_count",
                    ephemeral=body.ephemeral,
                )
            )
        except ApiError as error:
            raise AdminError(error.status, error.message) from None
        await _sent(app)
        if response.status != 200:
            return AdminResponse(response.status, response.body, response.content_type.decode())
        counts = msgspec.json.decode(response.body, type=_Counts).channels
        receivers = {channel: found.get("subscription_count", 0) for channel, found in counts.items()}
        return json_answer({"receivers": receivers})

    def terminate_user(self, request: AdminRequest) -> Answer:
        """Close every connection of a user, on every node, with 4009."""
        app = app_of(self._daemon, request.names["app"])
        user_id = request.query.get("user", "")  # not in the path: proxies decode that, and an id may have a slash
        if not user_id:
            raise AdminError(422, "user is empty: name a user id")
        users.terminate(app, user_id)
        app.node.peers.terminate(app.settings.id, user_id)
        return AdminResponse(204)


async def _sent(app: App) -> None:
    """Wait until all published events are in order on all nodes, and sent on this one."""
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    app.node.after_sending(lambda: None if sent.done() else sent.set_result(None))
    try:
        async with asyncio.timeout(_MAX_WAIT):
            await sent
    except TimeoutError:
        raise AdminError(504, "The event waits for Redis, which does not answer: the log says why") from None


async def answered(response: Response | PendingResponse) -> Response:
    """Wait for a response that needs an answer of other nodes."""
    if isinstance(response, PendingResponse):
        if response.response is None:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[None] = loop.create_future()
            response.then(lambda: None if done.done() else done.set_result(None))
            try:
                async with asyncio.timeout(_MAX_WAIT):
                    await done
            except TimeoutError:
                raise AdminError(504, "The other nodes have not answered: the log of this server says why") from None
        assert response.response is not None
        return response.response
    return response
