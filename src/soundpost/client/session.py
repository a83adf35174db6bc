"""The session of a client: its channels and its user, renewed on every new socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from soundpost.client.authorization import Authenticate, Authorize, ChannelAuth, ask_until_answered
from soundpost.client.channel import Channel, request_of
from soundpost.client.event_queue import EventQueue
from soundpost.client.incoming import Frame, ReceivedEvent
from soundpost.client.pending_requests import SIGN_IN, PendingRequests
from soundpost.client.pusher_socket import ANSWER_TIMEOUT, PusherSocket, error_code, text_of
from soundpost.client.sign_in import ClientSignIn
from soundpost.client.start_position import StartPosition
from soundpost.errors import ConfigurationError, ProtocolError, RequestError, SubscriptionError
from soundpost.wire.channel_names import Kind, kind_of
from soundpost.wire.codes import CLIENT_EVENT_REJECTED
from soundpost.wire.foreign import object_in

_EARLIER_SOCKETS: Final = 4
"""Number of earlier socket ids to send: the server leaves out events that exclude one of them."""


class Session:
    """The channels and the user of a client, which the connection informs of its sockets and their messages."""

    def __init__(self, auth: Authorize | None, on_status: Callable[[str], None] = lambda text: None) -> None:
        self.events = EventQueue("the client")
        """Events of the connection, and of channels that are not read by themselves."""
        self.channels: dict[str, Channel] = {}
        self.sign_in: ClientSignIn | None = None
        self.requests = PendingRequests()
        self._auth = auth
        self._on_status = on_status
        self._socket: PusherSocket | None = None
        self._earlier_sockets: deque[str] = deque(maxlen=_EARLIER_SOCKETS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: BaseException | None = None

    def subscribe(
        self,
        name: str,
        auth: Authorize | None = None,
        *,
        subscription_events: bool = False,
        start_position: StartPosition = StartPosition(),  # noqa: B008 - it cannot change
    ) -> Channel:
        """Subscribe to a channel on this and all later sockets. Raises the error that ended the session.

        With ``subscription_events`` readers get the events about the subscription itself too. Raises ConfigurationError
        for another start of a channel that is subscribed to already.
        """
        if self._ended is not None:
            raise self._ended
        channel = self.channels.get(name)
        if channel is None:
            channel = Channel(name, auth or self._auth, self.events, self._renew, start_position)
            self.channels[name] = channel
            if self._socket is not None:
                self._renew(channel)
        elif start_position not in (StartPosition(), channel.start_position):
            raise ConfigurationError(
                f"{name} is subscribed to already: give after or rewind at the first subscribe(), or call "
                "unsubscribe() before"
            )
        channel.gives_subscription_events |= subscription_events
        return channel

    async def unsubscribe(self, channel: Channel) -> None:
        """Unsubscribe from a channel, unless it was left already."""
        if self.channels.get(channel.name) is not channel:
            return
        del self.channels[channel.name]
        asked = self.requests.abandon(channel.name) or channel.subscribed
        channel.end(None, SubscriptionError(channel.name, 0, f"{channel.name} was left", status=0))
        if asked and self._socket is not None:
            await self._socket.send("pusher:unsubscribe", {"channel": channel.name})

    async def trigger(self, channel: Channel, event: str, data: Any) -> None:
        """Send a client event. Raises ProtocolError on channels without, RequestError while not subscribed."""
        name = event if event.startswith("client-") else f"client-{event}"
        _check_takes_client_events(channel.name, name)
        if self._socket is None or not channel.subscribed:
            raise RequestError(0, f"{name} was not sent: not subscribed to {channel.name} at the moment")
        await self._socket.send(name, data, channel.name)

    async def signed_in(self, authenticate: Authenticate) -> ClientSignIn:
        """Sign in, once, and wait for the answer. Raises RequestError, ProtocolError, SubscriptionError."""
        if self._ended is not None:
            raise self._ended
        if self.sign_in is None:
            self.sign_in = ClientSignIn(authenticate, self)
            if self._socket is not None:
                self._start(self.sign_in.run(self._socket))
        sign_in = self.sign_in
        await asyncio.shield(sign_in.answer)
        assert sign_in.channel is not None
        await sign_in.channel.wait_for_answer()
        return sign_in

    def connected(self, socket: PusherSocket) -> None:
        """Sign in and subscribe on a new socket."""
        self._socket = socket
        if self.sign_in is not None:
            self._start(self.sign_in.run(socket))
        for channel in self.channels.values():
            self._renew(channel)

    def lost(self) -> None:
        """Take note that the socket is lost."""
        if self._socket is not None:
            self._earlier_sockets.append(self._socket.socket_id)
        self._socket = None
        self.requests.forget_all()
        for task in self._tasks:
            task.cancel()
        for channel in self.channels.values():
            channel.subscribed = False
        if self.sign_in is not None:
            self.sign_in.lost()

    def ended(self, error: Exception | None) -> None:
        """End the session: with the server's refusal, or None where the client is closed."""
        if self._ended is not None:
            return
        self._ended = error or RequestError(0, "the client is closed")
        self.lost()
        for channel in self.channels.values():
            channel.end(error, self._ended)
        if self.sign_in is not None:
            self.sign_in.fail(self._ended)
        self.events.end(error)

    async def received(self, frame: Frame) -> None:
        """Handle a message of the server."""
        match frame.event:
            case "pusher:ping":
                if self._socket is not None:
                    await self._socket.send("pusher:pong", {})
            case "pusher:pong":
                return
            case "pusher_internal:subscription_succeeded":
                if self.requests.is_abandoned(frame.channel or ""):
                    return
                self.requests.resolve(frame.channel or "")
                if frame.channel in self.channels:
                    await self.channels[frame.channel].accept(frame)
                    if isinstance(frame.resumed, int) and frame.resumed > 0:
                        self._on_status(f"{frame.channel}: missed events follow ({frame.resumed:,})")
            case "pusher:subscription_error":
                await self._subscription_error(frame)
            case "pusher:error":
                await self._error(frame)
            case "pusher:signin_success" if self.sign_in is not None:
                if self.requests.resolve(SIGN_IN):
                    self.sign_in.succeed(frame.content())
            case _:
                await self._deliver(frame)

    async def refuse(self, channel: Channel, error: Exception) -> None:
        """End a refused channel: raise the error for its readers, or without any put it as an event, as pusher-js."""
        if self.channels.get(channel.name) is not channel:
            return
        del self.channels[channel.name]
        if channel.end(error, error):
            return
        data: dict[str, Any] = {"type": "AuthError", "error": str(error)}
        if isinstance(error, SubscriptionError):
            data |= {"type": error.type, "status": error.status}
        await self.events.put(ReceivedEvent("pusher:subscription_error", channel.name, data))

    def _renew(self, channel: Channel) -> None:
        """Subscribe to a channel on this socket, for the first time or once more."""
        if self._socket is not None:
            channel.subscribing = self._start(self._subscribe(channel, self._socket))

    async def _subscribe(self, channel: Channel, socket: PusherSocket) -> None:
        """Subscribe to a channel on one socket; every failure goes to :meth:`refuse`."""
        try:
            auth = await self._authorized(channel, socket.socket_id)
        except RequestError as error:
            refused = SubscriptionError(channel.name, error.status, str(error), status=error.status)
            await self.refuse(channel, refused)
            return
        except Exception as error:  # an authorizer of the application may raise anything
            await self.refuse(channel, error)
            return
        answer = self.requests.expect(channel.name)
        await socket.send("pusher:subscribe", request_of(channel, auth, self._earlier_sockets))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await answer
        except TimeoutError:
            self.requests.resolve(channel.name)
            if not channel.answer.done():
                await self.refuse(channel, SubscriptionError(channel.name, 0, "the server did not answer", status=0))

    async def _authorized(self, channel: Channel, socket_id: str) -> ChannelAuth | None:
        """Return the authorization of a channel; set its shared secret and the member that this client is."""

        async def ask() -> ChannelAuth | None:
            return await channel.authorization(socket_id)

        auth = await ask_until_answered(ask) if channel.answer.done() else await ask()
        if auth is not None and auth.shared_secret is not None:
            channel.decrypt_with(auth.shared_secret, socket_id)
        if auth is not None and auth.channel_data is not None:
            channel.members.my_id = _user_id(auth.channel_data)
        elif self.sign_in is not None and (channel.kind.is_presence or channel.kind is Kind.USER):
            await self.sign_in.answered.wait()
            channel.members.my_id = self.sign_in.user_id
        return auth

    async def _subscription_error(self, frame: Frame) -> None:
        content = frame.content()
        text = text_of(content, "error", "refused")
        self.requests.note_refusal(text)
        name = frame.channel or ""
        channel = None if self.requests.is_abandoned(name) else self.channels.get(name)
        if channel is None:
            await self.events.put(frame.to_event())
            return
        self.requests.resolve(name)
        status = content.get("status")
        status = status if isinstance(status, int) and 0 <= status < 1000 else 401
        kind = text_of(content, "type", "AuthError")
        await self.refuse(channel, SubscriptionError(channel.name, status, text, type=kind, status=status))

    async def _error(self, frame: Frame) -> None:
        content = frame.content()
        text = text_of(content, "message")
        if self.requests.is_repetition(text):
            return
        request = self.requests.refused_request(content)
        if request is None:
            await self.events.put(frame.to_event())
            return
        self.requests.resolve(request)
        if request == SIGN_IN and self.sign_in is not None:
            await self.sign_in.refuse(ProtocolError(error_code(content), text))
        elif request in self.channels:
            await self.refuse(self.channels[request], SubscriptionError(request, error_code(content), text))

    async def _deliver(self, frame: Frame) -> None:
        if frame.channel is None:
            await self.events.put(frame.to_event())
        elif frame.channel in self.channels:  # else it was left while the message was under way
            await self.channels[frame.channel].receive(frame)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _check_takes_client_events(channel: str, event: str) -> None:
    kind = kind_of(channel)
    if kind.is_encrypted:
        raise ProtocolError(
            CLIENT_EVENT_REJECTED,
            f"{event} was not sent: {channel} is encrypted, and there are no client events on encrypted channels",
        )
    if not kind.takes_client_events:
        raise ProtocolError(
            CLIENT_EVENT_REJECTED,
            f"{event} was not sent: client events need a private or presence channel, {channel} is neither",
        )


def _user_id(channel_data: str) -> str | None:
    found = object_in(channel_data)
    return None if found is None or "user_id" not in found else str(found["user_id"])
