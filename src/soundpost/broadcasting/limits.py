"""The limits of servers for an event: the names of its channels and its own, and how many channels a request takes."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from soundpost.broadcasting.message import shown
from soundpost.errors import PayloadError
from soundpost.values.text import is_text, text_of
from soundpost.wire.channel_names import fault, is_encrypted
from soundpost.wire.event_names import reserved_fault
from soundpost.wire.json_text import is_unicode

MAX_CHANNELS: Final = 100
"""Channels of one request; Pusher, Reverb and Soundpost agree on it."""
MAX_CHANNEL_NAME: Final = 200
"""Characters of a channel name, at most; source: https://pusher.com/docs/channels/using_channels/channels/#channel-naming-conventions"""
MAX_EVENT_NAME: Final = 200
"""Characters."""


def groups_of(names: tuple[str, ...], event: str) -> list[tuple[str, ...]]:
    """Return the channels of each message of an event to channels of these names. Raises PayloadError.

    An encrypted channel has a message to itself; of others a message takes a hundred.
    """
    try:
        return _groups(names)
    except PayloadError as error:
        raise PayloadError(f"event {event!r}: {error}") from None


# An application that publishes often does so to the same channels. Measured for one channel: 0.2 µs, 0.9 uncached.
@lru_cache(maxsize=1_000)
def _groups(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    for each in names:
        wrong = fault(each, MAX_CHANNEL_NAME)
        if wrong is not None:
            raise PayloadError(wrong)
    if len(names) == 1:
        return [names]
    plain = tuple(each for each in names if not is_encrypted(each))
    groups = [plain[start : start + MAX_CHANNELS] for start in range(0, len(plain), MAX_CHANNELS)]
    return groups + [(each,) for each in names if is_encrypted(each)]


@lru_cache(maxsize=1_000)
def is_event_name(name: str) -> bool:
    """Return whether a name is a valid one, and needs no further look."""
    return 0 < len(name) <= MAX_EVENT_NAME and is_unicode(name) and reserved_fault(name) is None


def event_name(name: Any, channels: tuple[str, ...]) -> str:
    """Return the name of an event to some channels as text. Raises PayloadError for what is none, or is reserved."""
    text = _text_of_name(name)
    if text is None:
        raise PayloadError(
            f"event {name!r} on {shown(channels)}: an event's name is a text of 1 to {MAX_EVENT_NAME} characters"
        )
    wrong = reserved_fault(text)
    if wrong is not None:
        raise PayloadError(f"event on {shown(channels)}: {wrong}")
    return text


def _text_of_name(name: Any) -> str | None:
    if is_text(name):
        with suppress(PayloadError):
            text = text_of(name, "event")
            return text if len(text) <= MAX_EVENT_NAME else None
    return None
