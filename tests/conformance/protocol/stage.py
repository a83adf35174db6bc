"""The protocol without sockets: a node whose loop, clock and clients are played by the test."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from conformance.protocol.recorded_webhooks import RecordedWebhooks
from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.backplane.event_cache import EventCache
from soundpost.core import protocol, resumption
from soundpost.core.app import App
from soundpost.core.app_settings import AppSettings
from soundpost.core.connection import Connection
from soundpost.core.node import Deliver, Node, write_each
from soundpost.core.observer import Observer
from soundpost.core.peers import Admission, OutgoingEvent, Peers
from soundpost.core.publishing import publish

APP: Final = AppSettings(id="1", key="app-key", secret="app-secret")
Message = dict[str, Any]


def signature(secret: str, text: str) -> str:
    """Computed here, not by the code that is tested."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def decode_frames(data: bytes) -> list[Message]:
    """Return the messages in unmasked, final text frames, as a server writes them."""
    found: list[Message] = []
    while data:
        assert data[0] == 0x81, data[:20]
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        assert len(data) >= start + size, "half a frame was written"
        found.append(json.loads(data[start : start + size]))
        data = data[start + size :]
    return found


class Client(Connection):
    """A connection that keeps what is written to it, as the server's own would: nothing after its close frame."""

    __slots__ = ("admission", "close_code", "close_reason", "is_slow", "stage", "writes")

    def __init__(self, stage: Stage, app: App) -> None:
        super().__init__(app)
        self.stage = stage
        self.writes: list[bytes] = []
        self.admission: Admission | None = None
        """Answer to the wish to connect, once all nodes know of it."""
        self.is_slow = False
        """True if the client does not take what was written to it."""
        self.close_code: int | None = None
        self.close_reason = ""

    def let_in(self, admission: Admission) -> None:
        """Take the answer to the wish to connect."""
        self.admission = admission
        if admission == "admitted":
            self.app.node.opened(self)

    def write(self, data: bytes) -> None:
        if self.close_code is None:
            self.writes.append(bytes(data))

    def close(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self.stage.call_soon(lambda: self.app.node.closed(self, None if code == 1006 else code))

    @property
    def is_open(self) -> bool:
        return self.close_code is None

    @property
    def has_room(self) -> bool:
        return not (self.is_slow and self.writes)

    def take_output(self) -> list[Message]:
        """Read, as a slow client does, what was written up to now."""
        data, self.writes = b"".join(self.writes), []
        resumption.read_on(self)
        return decode_frames(data)

    def vanish(self) -> None:
        """Lose the socket, without a close frame."""
        self.close(1006, "")

    def raw(self, payload: bytes | str) -> None:
        """Send the payload of a text frame."""
        protocol.receive(self, payload.encode() if isinstance(payload, str) else payload)

    def say(self, event: str, data: Any = None, **fields: Any) -> None:
        """Send a message."""
        self.raw(json.dumps({"event": event, **({} if data is None else {"data": data}), **fields}))

    def read(self) -> list[Message]:
        """Finish the loop turn; what came since the last reading."""
        self.stage.turn()
        data, self.writes = b"".join(self.writes), []
        return decode_frames(data)

    def events(self) -> list[tuple[str, Any]]:
        """Read messages as :meth:`read` does; return only name and data, double encoded data decoded."""
        return [(message["event"], data_of(message)) for message in self.read()]

    def auth(self, channel: str, channel_data: str | None = None) -> str:
        """Return the ``auth`` that the application's auth endpoint would answer."""
        text = f"{self.socket_id}:{channel}" + ("" if channel_data is None else f":{channel_data}")
        return f"{self.app.settings.key}:{signature(self.app.settings.secret, text)}"

    def ask(self, channel: str, channel_data: Any = None) -> None:
        """Send a signed subscription; ``channel_data`` an object, or a string as it is to be sent."""
        data: Message = {"channel": channel}
        if channel_data is not None:
            data["channel_data"] = channel_data if isinstance(channel_data, str) else json.dumps(channel_data)
        self.say("pusher:subscribe", data | {"auth": self.auth(channel, data.get("channel_data"))})

    def join(self, *channels: str, user: str | int | None = None, info: Any = None) -> Client:
        """Subscribe, and read the answers."""
        for channel in channels:
            self.ask(channel, None if user is None else {"user_id": user, "user_info": info})
            names = [message["event"] for message in self.read()]
            assert "pusher_internal:subscription_succeeded" in names, names
        return self

    def sign_in_data(self, user: Any) -> dict[str, str]:
        """Return the data that the application's user-auth endpoint would answer."""
        user_data = user if isinstance(user, str) else json.dumps(user)
        text = f"{self.socket_id}::user::{user_data}"
        return {"auth": f"{self.app.settings.key}:{signature(self.app.settings.secret, text)}", "user_data": user_data}

    def sign_in(self, user: Any) -> None:
        """Send a signed sign-in; ``user`` an object, or a string as it is to be sent."""
        self.say("pusher:signin", self.sign_in_data(user))


class RecordingPeers(SingleNode):
    """A backplane that notes the events and orders of its node."""

    def __init__(self, registry: MemoryRegistry) -> None:
        super().__init__(registry)
        self.told: list[tuple[str, ...]] = []
        self.published: list[tuple[str, Message, str | None]] = []

    def publish(self, app_id: str, event: OutgoingEvent) -> None:
        super().publish(app_id, event)
        self.published.append((event.channel, decode_frames(event.frame)[0], event.except_socket_id))

    def terminate(self, app_id: str, user_id: str) -> None:
        self.told.append(("terminate", app_id, user_id))


class Stage:
    """A node with one app (``options`` are the app's), or with several; with ``peers`` one of several nodes."""

    def __init__(
        self,
        *apps: AppSettings,
        peers: Peers | None = None,
        observers: Iterable[Observer] = (),
        deliver: Deliver = write_each,
        **options: Any,
    ) -> None:
        self.now = 1000.0
        self._later: list[tuple[float, Callable[[], None]]] = []
        served = apps or (msgspec.structs.replace(APP, **options),)
        self.webhooks = RecordedWebhooks()
        self.registry = MemoryRegistry(
            served, clock=lambda: self.now, call_later=self.call_later, webhooks=self.webhooks
        )
        self.peers = RecordingPeers(self.registry)
        self._soon: list[Callable[[], None]] = []
        self.node = Node(
            served,
            peers=peers or self.peers,
            call_soon=self.call_soon,
            call_later=self.call_later,
            deliver=deliver,
            observers=observers,
            clock=lambda: self.now,
        )
        self.app = next(iter(self.node.by_id.values()))

    @property
    def cache(self) -> EventCache:
        """Return the app's cache of last events."""
        return self.registry._apps[self.app.settings.id].cache

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next loop turn."""
        self._soon.append(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once :meth:`wait` has let so much time pass."""
        self._later.append((self.now + seconds, callback))

    def wait(self, seconds: float) -> None:
        """Let time pass, and finish the loop turn."""
        self.now += seconds
        due = [callback for at, callback in self._later if at <= self.now]
        self._later = [(at, callback) for at, callback in self._later if at > self.now]
        for callback in due:
            callback()
        self.turn()

    def turn(self) -> None:
        """Finish the loop's turn, and those that follow from it."""
        while self._soon:
            self.one_turn()

    def one_turn(self) -> None:
        """Run one turn of the loop."""
        due, self._soon = self._soon, []
        for callback in due:
            callback()

    def open(self, app_id: str = "1", address: str | None = None) -> Client:
        """Return a new connection that has not read its hello; ``address`` is the counted one, if any."""
        client = Client(self, self.node.by_id[app_id])
        if address is not None:
            client.app.counted_addresses[client.socket_id] = address
        self.node.peers.admit(app_id, client.let_in, address)
        return client

    def connect(self, app_id: str = "1") -> Client:
        """Return a new connection that has read its hello."""
        client = self.open(app_id)
        client.writes.clear()
        return client

    def publish(
        self,
        channel: str,
        event: str = "e",
        data: str = "{}",
        socket_id: str | None = None,
        ephemeral: bool = False,
        key_id: str | None = None,
    ) -> None:
        """Publish as the HTTP API does."""
        publish(self.app, channel, event, data, socket_id, ephemeral, key_id)


def data_of(message: Message) -> Any:
    """Return the data of a frame, decoded once more if it is a string of JSON."""
    data = message.get("data")
    if isinstance(data, str):
        try:
            return json.loads(data)
        except ValueError:
            return data
    return data


def error_of(messages: list[Message]) -> tuple[int | None, str]:
    """Return code and text of the one error among some messages."""
    (error,) = [message["data"] for message in messages if message["event"] == "pusher:error"]
    return error["code"], error["message"]


def subscription_error_of(messages: list[Message]) -> Message:
    """Return the data of the one subscription error among some messages, with its channel."""
    (error,) = [message for message in messages if message["event"] == "pusher:subscription_error"]
    found: Message = json.loads(error["data"])
    return found | {"channel": error["channel"]}


def members_of(messages: list[Message]) -> Any:
    """Return the member list in the one answer to a presence subscription."""
    (answer,) = [m for m in messages if m["event"] == "pusher_internal:subscription_succeeded"]
    return json.loads(answer["data"])["presence"]
