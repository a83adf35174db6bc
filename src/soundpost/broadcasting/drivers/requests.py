"""Requests of Pusher's HTTP API for messages: one each, or several in a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import JsonError
from soundpost.wire.json_text import encode, read_json

_BATCH_BYTES: Final = {"reverb": 9_000}
"""Bytes of one batch, by driver: Reverb takes 10,000 bytes a request if its settings say nothing else."""
_USUAL_BATCH_BYTES: Final = 200_000
"""Bytes of one batch for other servers."""
_CHANNEL_BYTES: Final = 220
"""Bytes that the channel of an event may take in a batch."""


REPEAT: Final = {"X-Soundpost-Repeat": "1"}
"""The header of a request that may have been sent before."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request for ``path`` below ``/apps/ID``."""

    path: str
    body: bytes
    messages: tuple[Message, ...]

    @property
    def headers(self) -> dict[str, str]:
        """The header ``Idempotency-Key``, by which a server knows a retried request as the same.

        A request that may have been sent before says so too: the event may be in a history that another host wrote.
        """
        first = self.messages[0].id
        key = {"Idempotency-Key": first if len(self.messages) == 1 else f"{first}+{len(self.messages)}"}
        return key | REPEAT if any(message.repeated for message in self.messages) else key

    @property
    def description(self) -> str:
        """The events of the request in words, for errors."""
        first = f"event {self.messages[0]}"
        return first if len(self.messages) == 1 else f"{first} and {len(self.messages) - 1} more"

    def largest(self) -> str:
        """Return a sentence on the largest message, and on the field that makes it so large."""
        message = max(self.messages, key=lambda each: len(each.data))
        size = len(message.data.encode(errors="surrogatepass"))
        return f"The data of {message.name} has {size} bytes{_largest_field(message.data)}"


def requests_for(messages: Sequence[Message], settings: ConnectionSettings) -> Iterator[ApiRequest]:
    """Yield the requests for messages, in order; neighbours that go to one channel each share a request."""
    if settings.driver != "soundpost":  # other servers have no histories, and may refuse a field they do not know
        messages = [
            replace(message, ephemeral=False, key_id=None) if message.ephemeral or message.key_id else message
            for message in messages
        ]
    if len(messages) == 1:
        yield _request(list(messages))
        return
    most_bytes = _BATCH_BYTES.get(settings.driver, _USUAL_BATCH_BYTES)
    batch: list[Message] = []
    size = 0
    for message in messages:
        more = len(encode(_event(message))) + _CHANNEL_BYTES
        if batch and (len(message.channels) > 1 or len(batch) == settings.max_batch_size or size + more > most_bytes):
            yield _request(batch)
            batch, size = [], 0
        if len(message.channels) > 1:
            yield _request([message])
        else:
            batch.append(message)
            size += more
    if batch:
        yield _request(batch)


def _request(messages: list[Message]) -> ApiRequest:
    if len(messages) > 1:
        batch = {"batch": [{**_event(each), "channel": each.channels[0]} for each in messages]}
        return ApiRequest("/batch_events", encode(batch), tuple(messages))
    [message] = messages
    return ApiRequest("/events", encode({**_event(message), "channels": message.channels}), (message,))


def _event(message: Message) -> dict[str, Any]:
    event: dict[str, Any] = {"name": message.name, "data": message.data}
    if message.excluded is not None:
        event["socket_id"] = message.excluded
    if message.ephemeral:
        event["ephemeral"] = True
    if message.key_id is not None:
        event["key_id"] = message.key_id
    return event


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
