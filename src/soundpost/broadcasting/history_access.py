"""The part of a broadcaster that asks the server: positions of channels, and their kept events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable
from urllib.parse import quote

from soundpost.broadcasting.channels import ChannelLike, name_of, names_of
from soundpost.broadcasting.configured import Configured
from soundpost.broadcasting.event_loops import in_event_loop
from soundpost.broadcasting.fake import Fake
from soundpost.broadcasting.history import NOTHING, History, Opener, history_of, opener
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError, PayloadError, RequestError
from soundpost.wire.channel_names import kind_of

_AT_ONCE: Final = 20
"""Channels of one request for positions: their names fit the head of a request."""


@runtime_checkable
class AsksServer(Protocol):
    """A driver that sends requests of Pusher's HTTP API."""

    blocks: bool

    def request(self, method: str, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Send a request to ``path`` below ``/apps/ID``, and return the JSON of the answer. Raises BroadcastError."""

    async def arequest(self, method: str, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Send a request without blocking the event loop, as :meth:`request`."""


class _Call(NamedTuple):
    method: str
    path: str
    query: dict[str, str]


class HistoryAccess(Configured):
    """Positions and kept events, of channels with history.

    Nothing is kept by drivers without a server, and while :meth:`~soundpost.Broadcaster.fake` records events. ``via``
    names the connection to ask; the default one if it is None. Methods raise RequestError if the server does not answer
    or refuses, ConfigurationError, and PayloadError for what is not a channel.
    """

    _fakes: list[Fake]

    def position(self, channel: ChannelLike, *, via: str | None = None) -> str | None:
        """Return the position at the end of a channel's history; None if the channel keeps none.

        Ask for it before you read the data of a page: the browser then gets every event that the data may not have.
        """
        return _position(self._ask(_position_call(channel), via, "position"))

    async def aposition(self, channel: ChannelLike, *, via: str | None = None) -> str | None:
        """Return a position, as :meth:`position`, without blocking the event loop."""
        return _position(await self._aask(_position_call(channel), via))

    def positions(self, channels: ChannelLike | Iterable[ChannelLike], *, via: str | None = None) -> dict[str, str]:
        """Return positions by the full names of channels, of those that keep a history: for the tag of a page."""
        found: dict[str, str] = {}
        for call in self._positions_calls(channels, via):
            found |= _positions(self._ask(call, via, "positions"))
        return found

    async def apositions(
        self, channels: ChannelLike | Iterable[ChannelLike], *, via: str | None = None
    ) -> dict[str, str]:
        """Return positions, as :meth:`positions`, without blocking the event loop."""
        found: dict[str, str] = {}
        for call in self._positions_calls(channels, via):
            found |= _positions(await self._aask(call, via))
        return found

    def history(
        self,
        channel: ChannelLike,
        *,
        after: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
        via: str | None = None,
    ) -> History:
        """Return kept events of a channel: those after a position, or all; at most ``limit``, from 1 to 1,000.

        Data of encrypted channels is decrypted where the application's master key fits. Raises RequestError, with the
        status 404, for a channel without history.
        """
        answer = self._ask(_history_call(channel, after, limit, newest_first), via, "history")
        return NOTHING if answer is None else history_of(answer, self._opener(channel, via))

    async def ahistory(
        self,
        channel: ChannelLike,
        *,
        after: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
        via: str | None = None,
    ) -> History:
        """Return kept events of a channel, as :meth:`history`, without blocking the event loop."""
        answer = await self._aask(_history_call(channel, after, limit, newest_first), via)
        return NOTHING if answer is None else history_of(answer, self._opener(channel, via))

    def delete_history(self, channel: ChannelLike, *, via: str | None = None) -> None:
        """Delete the kept events of a channel; a name with ``*`` in it is a pattern, for all channels that match.

        Clients that resume from a position before the deletion get a gap.
        """
        self._ask(_Call("DELETE", _path(channel), {}), via, "delete_history")

    async def adelete_history(self, channel: ChannelLike, *, via: str | None = None) -> None:
        """Delete the kept events of a channel, as :meth:`delete_history`, without blocking the event loop."""
        await self._aask(_Call("DELETE", _path(channel), {}), via)

    def _ask(self, call: _Call, via: str | None, method: str) -> dict[str, Any] | None:
        driver = self._server(via)
        if driver is None:
            return None
        if driver.blocks and in_event_loop():
            raise RequestError(0, f"{method}() would block the event loop that runs here: use 'await a{method}(…)'")
        try:
            return driver.request(*call)
        except BroadcastError as error:
            raise RequestError(error.status, error.reason) from None

    async def _aask(self, call: _Call, via: str | None) -> dict[str, Any] | None:
        driver = self._server(via)
        if driver is None:
            return None
        try:
            return await driver.arequest(*call)
        except BroadcastError as error:
            raise RequestError(error.status, error.reason) from None

    def _server(self, via: str | None) -> AsksServer | None:
        """Return the driver to ask; None where no server keeps anything."""
        if self._fakes:
            return None
        driver = self.drivers.of(via or "")
        return driver if isinstance(driver, AsksServer) else None

    def _connection(self, via: str | None) -> ConnectionSettings:
        return self.settings.connection(via)

    def _opener(self, channel: ChannelLike, via: str | None) -> Opener:
        connection = self._connection(via)
        has_key = kind_of(name_of(channel)).is_encrypted and connection.encryption_master_key
        return opener(connection.master_key if has_key else None)

    def _positions_calls(self, channels: ChannelLike | Iterable[ChannelLike], via: str | None) -> Iterable[_Call]:
        names = names_of(channels)
        if self._fakes or self._connection(via).driver in ("reverb", "pusher"):  # such servers keep no histories
            return
        for start in range(0, len(names), _AT_ONCE):
            yield _Call("GET", "/positions", {"channels": json.dumps(names[start : start + _AT_ONCE])})


def _quoted(channel: ChannelLike) -> str:
    if isinstance(channel, list | tuple | set):
        raise PayloadError("several channels are given, one is expected: only positions(…) takes several")
    return quote(name_of(channel), safe="")


def _path(channel: ChannelLike) -> str:
    return f"/channels/{_quoted(channel)}/history"


def _position_call(channel: ChannelLike) -> _Call:
    return _Call("GET", f"/channels/{_quoted(channel)}", {"info": "position"})


def _history_call(channel: ChannelLike, after: str | None, limit: int, newest_first: bool) -> _Call:
    query = {"limit": str(limit), "order": "newest" if newest_first else "oldest"}
    return _Call("GET", _path(channel), query if after is None else {**query, "after": str(after)})


def _position(answer: dict[str, Any] | None) -> str | None:
    found = None if answer is None else answer.get("position")
    return found if isinstance(found, str) else None


def _positions(answer: dict[str, Any] | None) -> dict[str, str]:
    found = None if answer is None else answer.get("positions")
    return {name: each for name, each in found.items() if isinstance(each, str)} if isinstance(found, dict) else {}
