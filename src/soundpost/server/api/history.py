"""The routes ``/apps/{id}/channels/{channel}/history`` and ``/apps/{id}/positions``: kept events, and their ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from soundpost.core.app import App
from soundpost.core.history import HistoryPage
from soundpost.core.history_rules import channel_matcher
from soundpost.core.peers import ChannelQuery, HistoryChannelsQuery, HistoryDeletion, HistoryQuery
from soundpost.core.slices import in_slices
from soundpost.documentation import page
from soundpost.server.api.pending_response import PendingResponse, ask_nodes
from soundpost.server.api.requests import ApiError, Request, Response, json_response
from soundpost.wire import channel_names
from soundpost.wire.channel_patterns import pattern_fault
from soundpost.wire.frames import frame_payload
from soundpost.wire.positions import PositionError, parse_position

MAX_LIMIT: Final = 1_000
"""Largest number of events in one answer."""
_LIMIT: Final = 100
_MAX_BYTES: Final = 524_288
"""Bytes of events after which an answer takes no further one. The library reads answers of up to twice the size; one
takes some 1 ms to build."""
_ORDERS: Final = ("oldest", "newest")
_read_names: Final = msgspec.json.Decoder(list[str]).decode
_AT_ONCE: Final = 250
"""Number of histories that are deleted in one loop turn."""


def get_history(request: Request, app: App, query: dict[str, str], name: str) -> PendingResponse:
    """Answer with kept events of a channel, each as the JSON text that subscribers got.

    ``after`` is a position, ``limit`` the largest number of events, ``order`` is ``oldest`` (first) or ``newest``.
    """
    fault = channel_names.fault(name, app.settings.max_channel_name_length)
    if fault is not None:
        raise ApiError(400, fault)
    after = _position(query.get("after", ""))
    limit = _limit(query.get("limit", ""))
    order = query.get("order", _ORDERS[0])
    if order not in _ORDERS:
        raise ApiError(400, f"order={order[:60]!a}: expected 'oldest' (first, the default) or 'newest'")
    if app.history_rules.of(name) is None:
        raise ApiError(404, _none(app, f"{name} keeps no history"))
    asked = HistoryQuery(app.settings.id, name, after, limit, _MAX_BYTES, newest_first=order == "newest")
    return ask_nodes(app, asked, _page)


def get_positions(request: Request, app: App, query: dict[str, str]) -> PendingResponse:
    """Answer with the positions of several channels; those without history are left out.

    ``channels`` is a JSON list of names.
    """
    try:
        names = msgspec.json.decode(query.get("channels", ""), type=list[str])
    except msgspec.DecodeError:
        raise ApiError(400, 'channels: expected a JSON list of names, such as ["news", "private-orders.7"]') from None
    most = app.settings.max_channels_per_event
    if len(names) > most:
        raise ApiError(400, f"channels: {len(names)} of them, at most {most} are allowed (max_channels_per_event)")
    for name in names:
        fault = channel_names.fault(name, app.settings.max_channel_name_length)
        if fault is not None:
            raise ApiError(400, f"channels: {fault}")

    def positions(found: list[dict[str, str]]) -> Response:
        known = {name: each["position"] for name, each in zip(names, found, strict=True) if "position" in each}
        return json_response({"positions": known})

    return ask_nodes(app, ChannelQuery(app.settings.id, names, ["position"]), positions)


def delete_history(request: Request, app: App, query: dict[str, str], name: str) -> PendingResponse:
    """Forget the kept events of a channel; with ``*`` in the name, of all channels whose names match."""
    if "*" not in name:
        fault = channel_names.fault(name, app.settings.max_channel_name_length)
        if fault is not None:
            raise ApiError(400, fault)
        if app.history_rules.of(name) is None:
            raise ApiError(404, _none(app, f"{name} keeps no history"))
        asked = HistoryDeletion(app.settings.id, name)
        return ask_nodes(app, asked, lambda position: json_response({"channels": 1, "position": position}))
    fault = pattern_fault(name)
    if fault is not None:
        raise ApiError(400, fault)
    if not app.history_rules:
        raise ApiError(404, _none(app, "No channel keeps a history"))
    pending = PendingResponse(_deleted)
    matches = channel_matcher([name])

    names: set[str] = set()

    def match(part: bytes) -> None:
        names.update(filter(matches, _read_names(part)))

    def found(parts: list[bytes] | None) -> None:
        if parts is None:
            pending.resolve(None)
            return
        in_slices(parts, match, app.node.call_soon, then=lambda: _delete(app, names, len(names), pending.resolve))

    app.node.peers.ask(HistoryChannelsQuery(app.settings.id), found)
    return pending


def _deleted(number: int | None) -> Response:
    if number is None:
        raise ApiError(503, "Redis is away, so the channels with kept events are not known: try again later")
    return json_response({"channels": number})


def _delete(app: App, names: set[str], number: int, then: Callable[[int], None]) -> None:
    """Forget the events of many channels, and take them out of ``names``, some in each loop turn.

    ``number`` is what is called back with.
    """
    if not names:
        then(number)
        return
    *others, last = [names.pop() for _ in range(min(_AT_ONCE, len(names)))]
    for name in others:
        app.node.peers.ask(HistoryDeletion(app.settings.id, name), _ignore)

    def deleted(position: str) -> None:
        app.node.call_soon(lambda: _delete(app, names, number, then))

    app.node.peers.ask(HistoryDeletion(app.settings.id, last), deleted)


def _ignore(position: str) -> None:
    """Take an answer that nobody needs."""


def _page(found: HistoryPage) -> Response:
    whole = b"true" if found.gap is None else b'false,"gap":"%b"' % found.gap.encode()
    more = b"" if found.whole else b',"more":true'
    events = b",".join([frame_payload(event.frame) for event in found.events])
    return Response(
        body=b'{"position":"%b","whole":%b%b,"events":[%b]}' % (found.position.encode(), whole, more, events)
    )


def _position(text: str) -> str:
    try:
        return str(parse_position(text)) if text else ""
    except PositionError as error:
        raise ApiError(400, f"after: {error}") from None


def _limit(text: str) -> int:
    if not text:
        return _LIMIT
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise ApiError(
        400,
        f"limit={text[:60]!a}: expected a whole number from 1 to {MAX_LIMIT}; to read more, ask again with the "
        "answer's position as 'after'",
    )


def _none(app: App, what: str) -> str:
    return (
        f"{what}: name channels in [[apps.history]] of app {app.settings.id} in soundpost.toml, and run 'soundpost "
        f"reload'. See {page('configuration', 'history')}"
    )
