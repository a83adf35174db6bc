"""The routes ``POST /apps/{id}/events`` and ``/batch_events``: publishing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder as JsonDecoder
from msgspec.structs import astuple

from soundpost.backplane.attributes import answered
from soundpost.core.app import App
from soundpost.core.peers import ChannelQuery, IdempotencyKey
from soundpost.core.publishing import EventArguments, publish
from soundpost.core.slices import in_slices
from soundpost.errors import JsonError, JsonShapeError
from soundpost.server.api import large_batches
from soundpost.server.api.channels import ATTRIBUTES, attributes
from soundpost.server.api.idempotency import key_of, publish_once
from soundpost.server.api.pending_response import PendingResponse, ask_nodes
from soundpost.server.api.requests import OK, ApiError, Request, Response, json_response
from soundpost.wire import channel_names
from soundpost.wire import socket_id as socket_ids
from soundpost.wire.event_names import RESERVED, reserved_fault
from soundpost.wire.json_text import reader

T = TypeVar("T")

# Types of fields have a name, in quotes: mypyc keeps no others for msgspec, which reads them at run time.
_Text = str | None
_Flag = bool | None
_Names = list[str] | None


class ApiEvent(Struct):
    """The body of ``POST /events``; ``data`` is a string, JSON or not."""

    name: str
    data: str
    channels: "_Names" = None
    channel: "_Text" = None
    socket_id: "_Text" = None
    info: "_Text" = None
    ephemeral: "_Flag" = None
    key_id: "_Text" = None


class ApiBatchEvent(Struct):
    """One event of a batch."""

    name: str
    data: str
    channel: str
    socket_id: "_Text" = None
    info: "_Text" = None
    ephemeral: "_Flag" = None
    key_id: "_Text" = None


class ApiBatch(Struct):
    """The body of ``POST /batch_events``."""

    batch: "list[ApiBatchEvent]"


class _RawBatch(Struct):
    batch: "list[Raw]"


_LOCAL_ONLY: Final = {"delivered": "local"}
"""Note in the answer while Redis cannot be reached: the event waits for clients of other hosts."""
_CHANNELS_AT_ONCE: Final = 100
"""Largest number of channels to which an event is published in one loop turn: some 2 ms if a history keeps it."""
_KEY_ID: Final = re.compile(r"[-a-zA-Z0-9_]{1,32}")
_read_event: Final[Callable[[bytes], ApiEvent]] = reader(ApiEvent)
_read_batch: Final[Callable[[bytes], ApiBatch]] = reader(ApiBatch)
_decode_batch: Final = JsonDecoder(ApiBatch).decode
_read_raw_batch: Final[Callable[[bytes], _RawBatch]] = reader(_RawBatch)
_read_batch_event: Final[Callable[[bytes], ApiBatchEvent]] = reader(ApiBatchEvent)


def post_event(request: Request, app: App, query: dict[str, str]) -> Response | PendingResponse:
    """Publish one event to one or more channels."""
    request.publish_times = app.figures.publish
    if request.idempotency_key is not None and large_batches.asked_by(request):
        return large_batches.telling(partial(_publish_single, request, app), request, app)
    return _publish_single(request, app)


def _publish_single(request: Request, app: App) -> Response | PendingResponse:
    try:
        event = _read_event(request.body)
    except JsonError as error:
        raise _unreadable(error) from None
    # As a tuple: to read each attribute of the struct takes three times as long.
    name, data, channels, channel, socket_id, info, ephemeral, key_id = astuple(event)
    key = None if request.idempotency_key is None else key_of(request, app)
    if channels is None or len(channels) != 1:
        channels = _channels_of(channels, channel)
    if key is None and len(channels) > _CHANNELS_AT_ONCE:
        return _publish_to_many(app, name, data, channels, socket_id, info, bool(ephemeral), key_id)
    return publish_event(app, name, data, channels, socket_id, info, key, bool(ephemeral), key_id)


def _publish_to_many(
    app: App,
    name: str,
    data: str,
    channels: list[str],
    socket_id: str | None,
    info: str | None,
    ephemeral: bool,
    key_id: str | None,
) -> PendingResponse:
    """Publish an event to very many channels, some in each loop turn. Raises ApiError."""
    _check_event(app, name, data, channels, socket_id, key_id)
    pending = PendingResponse(lambda _: _answer_event(app, channels, info))

    def publish_on(channel: str) -> None:
        publish(app, channel, name, data, socket_id, ephemeral, key_id)

    in_slices(channels, publish_on, app.node.call_soon, then=partial(pending.resolve, None))
    return pending


def publish_event(
    app: App,
    name: str,
    data: str,
    channels: list[str],
    socket_id: str | None = None,
    info: str | None = None,
    key: IdempotencyKey | None = None,
    ephemeral: bool = False,
    key_id: str | None = None,
) -> Response | PendingResponse:
    """Check an event against the app's limits and publish it, with a key once only. Raises ApiError.

    No history keeps an ``ephemeral`` event. ``key_id`` names the key that encrypted the data.
    """
    _check_event(app, name, data, channels, socket_id, key_id)
    if key is not None:
        events = [(channel, name, data, socket_id, ephemeral, key_id) for channel in channels]
        return publish_once(app, key, events, partial(_answer_event, app, channels, info))
    for channel in channels:
        publish(app, channel, name, data, socket_id, ephemeral, key_id)
    return _answer_event(app, channels, info)


def _check_event(
    app: App, name: str, data: str, channels: list[str], socket_id: str | None, key_id: str | None
) -> None:
    """Check an event against the app's limits. Raises ApiError."""
    if socket_id is not None:
        _check_socket_id(socket_id)
    if key_id is not None:
        _check_key_id(key_id)
    if len(channels) > app.max_channels_per_event:
        raise ApiError(
            422,
            f"channels: {len(channels)} of them, at most {app.max_channels_per_event} are allowed in one event "
            "(max_channels_per_event): split the request",
        )
    for channel in channels:
        _check(app, channel, name, data)
    if len(channels) > 1 and any(channel_names.kind_of(channel).is_encrypted for channel in channels):
        raise ApiError(
            422,
            "channels: an event for an encrypted channel can go to that channel alone, its data is encrypted for it",
        )


def _answer_event(app: App, channels: list[str], info: str | None) -> Response | PendingResponse:
    """Build the answer to the publish of an event."""
    if info is None:
        return OK if app.node.peers.reaches_all else json_response(_LOCAL_ONLY)
    return ask_nodes(
        app,
        ChannelQuery(app.settings.id, channels, attributes(info)),
        lambda infos: json_response({"channels": dict(zip(channels, map(answered, infos), strict=True))} | _reach(app)),
    )


def post_batch(request: Request, app: App, query: dict[str, str]) -> Response | PendingResponse:
    """Publish several events, each to one channel: all of them, or none if one is invalid.

    For a sender that asks for large batches those that are valid are published, and the answer tells of the others.
    """
    request.publish_times = app.figures.publish
    if large_batches.asked_by(request):
        return large_batches.telling(partial(_publish_valid, request, app), request, app)
    batch = _read(_read_batch, request.body).batch
    _check_size(len(batch), app.settings.max_batch_size, "max_batch_size")
    events = [_arguments(app, event) for event in batch]
    key = key_of(request, app)
    if key is not None:
        return publish_once(app, key, events, partial(_answer_batch, app, batch))
    for arguments in events:
        publish(app, *arguments)
    return _answer_batch(app, batch)


def _publish_valid(request: Request, app: App) -> Response | PendingResponse:
    """Publish the valid events of a batch; the answer has an error in the place of each of the others."""
    read = _read_each(request.body)
    _check_size(len(read), app.settings.max_large_batch_size, "max_large_batch_size")
    valid: list[ApiBatchEvent] = []
    arguments: list[EventArguments] = []
    errors: dict[int, ApiError] = {}
    for place, event in enumerate(read):
        try:
            if isinstance(event, ApiError):
                raise event
            arguments.append(_arguments(app, event))
            valid.append(event)
        except ApiError as error:
            errors[place] = error
    key = key_of(request, app)
    assert key is not None  # who asks for large batches sends one

    def answer() -> Response | PendingResponse:
        made = _answer_batch(app, valid)
        return large_batches.with_errors(made, len(read), errors) if errors else made

    return publish_once(app, key, arguments, answer)


def _check_size(size: int, most: int, setting: str) -> None:
    if not size:
        raise ApiError(422, "batch: the list is empty")
    if size > most:
        raise ApiError(422, f"batch: {size} events, at most {most} are allowed ({setting}): split the request")


def _read_each(body: bytes) -> Sequence[ApiBatchEvent | ApiError]:
    """Return the events of a batch, with an error in the place of each that lacks a field or has a wrong one."""
    try:
        # Without the search for deep nesting, which takes as long as all the rest: fields with strings have none.
        return _decode_batch(body).batch
    except (DecodeError, UnicodeError, RecursionError):
        return [_read_one(bytes(text)) for text in _read(_read_raw_batch, body).batch]


def _read_one(text: bytes) -> ApiBatchEvent | ApiError:
    try:
        return _read(_read_batch_event, text)
    except ApiError as error:
        return error


def _arguments(app: App, event: ApiBatchEvent) -> EventArguments:
    """Return the arguments to publish an event of a batch. Raises ApiError if the event is invalid."""
    # As a tuple: to read each attribute of the struct takes three times as long.
    name, data, channel, socket_id, _, ephemeral, key_id = astuple(event)
    _check(app, channel, name, data)
    if socket_id is not None:
        _check_socket_id(socket_id)
    if key_id is not None:
        _check_key_id(key_id)
    return channel, name, data, socket_id, bool(ephemeral), key_id


def _answer_batch(app: App, batch: list[ApiBatchEvent]) -> Response | PendingResponse:
    """Build the answer to the publish of a batch."""
    if all(event.info is None for event in batch):
        return OK if app.node.peers.reaches_all else json_response(_LOCAL_ONLY)
    asked = [attributes(event.info or "") for event in batch]

    def response(infos: list[dict[str, Any]]) -> Response:
        pairs = zip(asked, infos, strict=True)
        found = [answered({name: info[name] for name in names if name in info}) for names, info in pairs]
        return json_response({"batch": found} | _reach(app))

    every = [name for name in ATTRIBUTES if any(name in names for names in asked)]
    return ask_nodes(app, ChannelQuery(app.settings.id, [event.channel for event in batch], every), response)


def _reach(app: App) -> dict[str, Any]:
    return {} if app.node.peers.reaches_all else _LOCAL_ONLY


def _read(read: Callable[[bytes], T], body: bytes) -> T:
    try:
        return read(body)
    except JsonError as error:
        raise _unreadable(error) from None


def _unreadable(error: JsonError) -> ApiError:
    """Return the answer to a body that is not JSON, or JSON of another shape."""
    if isinstance(error, JsonShapeError):
        return ApiError(422, f"Invalid body: {error}")
    return ApiError(400, f"The body is not valid JSON: {error}")


def _channels_of(channels: list[str] | None, channel: str | None) -> list[str]:
    if channels is None:
        channels = [] if channel is None else [channel]
    elif len(channels) > 1:
        channels = list(dict.fromkeys(channels))
    if not channels:
        raise ApiError(422, 'channels: at least one is needed, in "channels": […] or "channel": "…"')
    return channels


def _check_socket_id(socket_id: str | None) -> None:
    fault = None if socket_id is None else socket_ids.fault(socket_id)
    if fault is not None:
        raise ApiError(400, f"socket_id: {fault}")


def _check_key_id(key_id: str | None) -> None:
    if key_id is not None and not _KEY_ID.fullmatch(key_id):
        raise ApiError(
            422,
            f"key_id: {key_id[:60]!a} is not the id of a key: send 1 to 32 letters, digits, - and _, "
            "the same for all events that one key encrypts, or leave it out",
        )


def _check(app: App, channel: str, name: str, data: str) -> None:
    # The name of a channel with subscribers was valid for them; a reload may have lowered the limit since.
    if channel not in app.channels or len(channel) > app.max_channel_name_length:
        fault = channel_names.fault(channel, app.max_channel_name_length)
        if fault is not None:
            raise ApiError(422, f"channels: {fault}")
    if not 1 <= len(name) <= app.max_event_name_length:
        raise ApiError(
            422,
            f"name: {len(name)} characters, 1 to {app.max_event_name_length} are allowed (max_event_name_length)",
        )
    if name.startswith(RESERVED):
        raise ApiError(422, f"name: {reserved_fault(name)}")
    # A character has four bytes at most: only a long text need be counted exactly.
    if len(data) * 4 > app.max_event_data_size:
        size = len(data) if data.isascii() else len(data.encode(errors="surrogatepass"))
        if size > app.max_event_data_size:
            raise ApiError(
                413,
                f"The data content of this event exceeds the allowed maximum ({app.max_event_data_size} bytes, "
                f"max_event_data_size): that of '{name}' for {channel} has {size} bytes",
            )
