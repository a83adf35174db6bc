"""Requests of Pusher's HTTP API for messages: one each, or several in a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, structs

from soundpost.broadcasting.drivers.batch_limit import ASK, BatchLimit
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import JsonError
from soundpost.wire.json_text import encode, read_json

REPEAT: Final = {"X-Soundpost-Repeat": "1"}
"""The header of a request that may have been sent before."""
_FIELD_BYTES: Final = 160
"""Bytes for the names of an event's fields, and for those fields that are short."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request for ``path`` below ``/apps/ID``."""

    path: str
    body: bytes
    messages: tuple[Message, ...]
    asks: bool = False
    """True if the request asks how large a batch may be, and for an answer for each event."""
    behind: int = 0
    """Messages of the same call that are sent after these, and not at all if the request fails."""

    @property
    def headers(self) -> dict[str, str]:
        """The header ``Idempotency-Key``, by which a server knows a retried request as the same.

        A request that may have been sent before says so too: the event may be in a history that another host wrote.
        """
        first = self.messages[0].id
        key = {"Idempotency-Key": first if len(self.messages) == 1 else f"{first}+{len(self.messages)}"}
        if self.asks:
            key |= ASK
        return key | REPEAT if True in [message.repeated for message in self.messages] else key

    @property
    def description(self) -> str:
        """The events of the request in words, for errors."""
        return description(self.messages, self.behind)

    def largest(self) -> str:
        """Return a sentence on the largest message, and on the field that makes it so large."""
        message = max(self.messages, key=lambda each: len(each.data))
        size = len(message.data.encode(errors="surrogatepass"))
        return f"The data of {message.name} has {size} bytes{_largest_field(message.data)}"


def description(messages: Sequence[Message], behind: int = 0) -> str:
    """Return messages in words, for errors: the first, and the number of the others, and of those behind them."""
    first, others = f"event {messages[0]}", len(messages) - 1 + behind
    return f"{first} and {others} more" if others else first


def most_bytes_of(message: Message) -> int:
    """Return the bytes that a message takes in a batch, at most: a bound that costs less than writing it."""
    data = message.data
    size = len(data) + data.count('"') + data.count("\\") if data.isascii() else 4 * len(data) + data.count('"')
    return size + len(message.name) + len(message.channels[0]) + _FIELD_BYTES


class WrittenBatch(tuple[Message, ...]):
    """Messages with the body of the request for them as a batch, which was written to know its size.

    The body has each message once, on its first channel.
    """

    body: bytes

    @classmethod
    def of(cls, messages: Iterable[Message]) -> WrittenBatch:
        """Return messages with their body."""
        batch = cls(messages)
        batch.body = encode(_Batch(list(map(_batched, batch))))
        return batch


def requests_for(
    messages: Sequence[Message],
    settings: ConnectionSettings,
    limit: BatchLimit | None = None,
    *,
    asks: bool = False,
    behind: int = 0,
) -> Iterator[ApiRequest]:
    """Yield the requests for messages, in order; neighbours that go to one channel each share a request.

    Without a ``limit`` batches are small. ``asks``: whether the requests ask for large batches. ``behind``: number of
    messages that follow after all of these.
    """
    limit = limit or BatchLimit.of_small(settings)
    # Other servers have no histories, and may refuse a field they do not know.
    if settings.driver != "soundpost" and any(each.ephemeral or each.key_id for each in messages):
        messages = [
            structs.replace(each, ephemeral=False, key_id=None, given_id=each.id)
            if each.ephemeral or each.key_id
            else each
            for each in messages
        ]
    if len(messages) <= limit.events:
        yield from _requests(messages, limit.bytes, asks, behind)
        return
    for start in range(0, len(messages), limit.events):
        some = messages[start : start + limit.events]
        yield from _requests(some, limit.bytes, asks, behind + len(messages) - start - len(some))


def _requests(messages: Sequence[Message], most_bytes: int, asks: bool, behind: int) -> Iterator[ApiRequest]:
    """Yield the requests for as many messages as a batch may have."""
    if len(messages) > 1 and {len(message.channels) for message in messages} == {1}:
        batch = messages if isinstance(messages, WrittenBatch) else WrittenBatch.of(messages)
        if len(batch.body) <= most_bytes:  # as nearly always. Measured: 0.4 µs for a message, 1.2 one by one
            yield ApiRequest("/batch_events", batch.body, batch, asks, behind)
            return
    most_bytes -= len(b'{"batch":[]}')
    left = len(messages) + behind
    some: list[Message] = []
    texts: list[bytes] = []
    size = 0
    for message in messages:
        if len(messages) == 1 or len(message.channels) > 1:
            if some:
                left -= len(some)
                yield _batch(some, texts, asks, left)
                some, texts, size = [], [], 0
            left -= 1
            yield _single(message, asks, left)
            continue
        text = encode(_batched(message))
        if some and size + len(text) > most_bytes:
            left -= len(some)
            yield _batch(some, texts, asks, left)
            some, texts, size = [], [], 0
        some.append(message)
        texts.append(text)
        size += len(text) + 1  # a comma
    if some:
        yield _batch(some, texts, asks, behind)


def _single(message: Message, asks: bool, behind: int) -> ApiRequest:
    event = _Event(
        message.name, message.data, message.excluded, message.ephemeral, message.key_id, channels=message.channels
    )
    return ApiRequest("/events", encode(event), (message,), asks, behind)


def _batch(messages: list[Message], texts: list[bytes], asks: bool, behind: int) -> ApiRequest:
    if len(messages) == 1:
        return _single(messages[0], asks, behind)
    return ApiRequest("/batch_events", b'{"batch":[%b]}' % b",".join(texts), tuple(messages), asks, behind)


class _Event(Struct, omit_defaults=True, gc=False):
    """An event as the API takes it, alone with ``channels``, and in a batch with a ``channel``."""

    name: str
    data: str
    socket_id: str | None = None
    ephemeral: bool = False
    key_id: str | None = None
    channel: str = ""
    channels: tuple[str, ...] = ()


class _Batch(Struct, gc=False):
    batch: list[_Event]


def _batched(message: Message) -> _Event:
    # By position: keywords take 0.1 µs more.
    return _Event(message.name, message.data, message.excluded, message.ephemeral, message.key_id, message.channels[0])


def _largest_field(data: str) -> str:
    try:
        value = read_json(data)
    except JsonError:
        return ""
    if not isinstance(value, dict) or not value:
        return ""
    sizes = {name: len(encode(each)) for name, each in value.items()}
    name = max(sizes, key=sizes.__getitem__)
    return f", of which {name!r} has {sizes[name]}: send an id, and let the browser fetch the rest"
