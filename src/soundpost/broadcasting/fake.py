"""The fake of tests, which records events instead of sending them: ``with broadcast.fake() as sent: …``.

Events are composed and serialised as for sending, so an event that is too large or has no JSON fails here too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soundpost.broadcasting.channels import ChannelLike, names_of
from soundpost.broadcasting.message import Message, shown
from soundpost.errors import ConfigurationError, PayloadError
from soundpost.values.text import text_of

MAX_DATA: Final = 10_240
"""Bytes of an event's data that Pusher takes, and Soundpost by default."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A recorded event. ``data`` is the value that JavaScript gets, ``json`` its text."""

    name: str
    channels: tuple[str, ...]
    data: Any
    json: str
    excluded: str | None
    """The socket id that is left out."""
    connection: str
    pending: bool
    """True where the event waits for the commit of a transaction."""
    event: Any
    """The object that was broadcast; None for ``publish``."""
    ephemeral: bool = False
    """True for an event that the history of a channel does not keep."""

    def __str__(self) -> str:
        return f"{self.name} on {shown(self.channels)}: {self.json}"


class Fake:
    """The record of the events that were broadcast, with assertions on it."""

    def __init__(self, max_data: int = MAX_DATA) -> None:
        if type(max_data) is not int:
            raise ConfigurationError(f"max_data {max_data!r:.100}: a number of bytes is expected")
        self.sent: list[Sent] = []
        self._max_data = max_data
        self._asserted: set[int] = set()

    def record(self, messages: Sequence[Message], event: Any, *, pending: bool) -> None:
        """Record an event's messages. Raises PayloadError for a message that a server would refuse."""
        for message in messages:
            size = len(message.data.encode())
            if size > self._max_data:
                raise PayloadError(
                    f"event {message}: its data has {size} bytes, a server takes {self._max_data} "
                    "(max_event_data_size of Soundpost; for another limit: broadcast.fake(max_data=…))"
                )
        groups: dict[tuple[str, str, str, str | None, bool], list[str]] = {}
        for message in messages:
            whole = (message.connection, message.name, message.data, message.excluded, message.ephemeral)
            groups.setdefault(whole, []).extend(message.channels)
        for (connection, name, data, excluded, ephemeral), channels in groups.items():
            value, names = json.loads(data), tuple(channels)
            self.sent.append(Sent(name, names, value, data, excluded, connection, pending, event, ephemeral))

    def of(
        self,
        event: type | str,
        *,
        on: ChannelLike | Sequence[ChannelLike] | None = None,
        where: Callable[[Sent], bool] | None = None,
    ) -> list[Sent]:
        """Return the records of an event, by class or name, on all channels of ``on``, for which ``where`` holds."""
        channels = set() if on is None else set(names_of(on))
        return [
            sent
            for sent in self.sent
            if _is(sent, event) and channels <= set(sent.channels) and (where is None or where(sent))
        ]

    def assert_broadcast(
        self,
        event: type | str,
        *,
        times: int | None = None,
        on: ChannelLike | Sequence[ChannelLike] | None = None,
        where: Callable[[Sent], bool] | None = None,
    ) -> Sent:
        """Fail unless an event was broadcast, ``times`` times (from 1) if given; return the last record."""
        if times == 0:
            raise ValueError("times=0: use assert_not_broadcast(…)")
        found = self.of(event, on=on, where=where)
        wanted = _wanted(event, on, where)
        if not found or (times is not None and len(found) != times):
            expected = "" if times is None else f" {times} time(s)"
            raise AssertionError(f"{wanted} was not broadcast{expected}, but {self._described(len(found))}")
        self._asserted.update(id(sent) for sent in found)
        return found[-1]

    def assert_not_broadcast(
        self,
        event: type | str,
        *,
        on: ChannelLike | Sequence[ChannelLike] | None = None,
        where: Callable[[Sent], bool] | None = None,
    ) -> None:
        """Fail if an event was broadcast."""
        found = self.of(event, on=on, where=where)
        if found:
            raise AssertionError(f"{_wanted(event, on, where)} was broadcast: {found[0]}")

    def assert_nothing(self) -> None:
        """Fail if an event of any kind was broadcast."""
        if self.sent:
            raise AssertionError(f"something was broadcast: {self._described(0)}")

    def assert_nothing_else(self) -> None:
        """Fail if an event was broadcast that no assertion before has asked for."""
        rest = [sent for sent in self.sent if id(sent) not in self._asserted]
        if rest:
            raise AssertionError("also broadcast: " + "; ".join(map(str, rest)))

    def _described(self, times: int) -> str:
        what = "; ".join(map(str, self.sent)) or "nothing"
        return f"{times} time(s); there was {what}" if times else f"there was {what}"


def _is(sent: Sent, event: type | str) -> bool:
    if isinstance(event, type):
        return isinstance(sent.event, event)
    return sent.name == text_of(event, "an event's name")


def _wanted(event: type | str, on: Any, where: Any) -> str:
    name = event.__name__ if isinstance(event, type) else text_of(event, "an event's name")
    place = "" if on is None else f" on {', '.join(names_of(on))}"
    return f"{name}{place}{' where asked' if where is not None else ''}"
