"""Kept events of a channel, as an application reads them from the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from soundpost.broadcasting.encryption import decrypt
from soundpost.errors import JsonError, RequestError
from soundpost.wire.json_text import read_json

Opener = Callable[[str, str], str | None]
"""Function that returns the decrypted text of the data on an encrypted channel; None if it cannot be decrypted."""


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event that the history of its channel keeps."""

    name: str
    channel: str
    data: Any
    """The value that JavaScript gets. On an encrypted channel it is decrypted if the application's master key fits."""
    json: str
    """The text of the data."""
    position: str
    """The position behind the event."""


@dataclass(frozen=True, slots=True)
class History:
    """Kept events of a channel after a position."""

    events: tuple[KeptEvent, ...]
    position: str | None
    """The position to go on after; None where nothing is kept, as by a driver without a server."""
    whole: bool = True
    """True if no event after the position that was asked for is missing."""
    gap: str | None = None
    """Reason why events are missing: ``age``, ``number``, ``generation``, ``deleted`` or ``unknown``."""
    more: bool = False
    """True if the server keeps further events than these."""


NOTHING = History((), None)
"""The history where nothing is kept."""


def opener(master_key: Callable[[str], bytes] | None) -> Opener:
    """Return a function that decrypts data by a master key, which is asked for by channel; None: nothing is opened."""

    def opened(channel: str, data: str) -> str | None:
        return None if master_key is None else decrypt(channel, data, master_key(channel))

    return opened


def history_of(answer: Mapping[str, Any], opened: Opener) -> History:
    """Return the history in a server's answer. Raises RequestError for another answer."""
    try:
        events = tuple(_event(each, opened) for each in answer["events"])
        position, whole, gap = answer["position"], answer["whole"], answer.get("gap")
    except (KeyError, TypeError, AttributeError):
        events, position, whole, gap = (), None, None, None
    if not isinstance(position, str) or not isinstance(whole, bool) or not isinstance(gap, str | None):
        raise RequestError(0, "the server's answer has no history: is it a Soundpost server of a current version?")
    return History(events, position, whole, gap, answer.get("more") is True)


def _event(each: Mapping[str, Any], opened: Opener) -> KeptEvent:
    name, channel, text, position = each["event"], each["channel"], each["data"], each["position"]
    if not all(isinstance(value, str) for value in (name, channel, text, position)):
        raise TypeError(each)
    decrypted = opened(channel, text)
    text = text if decrypted is None else decrypted
    try:
        data = read_json(text)
    except JsonError:
        data = text
    return KeptEvent(name, channel, data, text, position)
