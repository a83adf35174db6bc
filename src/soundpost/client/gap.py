"""The event in place of missing events of a channel."""

from __future__ import annotations

from typing import Final

from soundpost.client.incoming import GAP, ReceivedEvent
from soundpost.wire.json_text import encode

OVERFLOW: Final = "overflow"
"""Reason of a gap that the program's own reader caused: more events waited than a queue holds."""
DECRYPTION: Final = "decryption"
"""Reason of a gap in an encrypted channel: events could not be decrypted."""
UNKNOWN: Final = "unknown"
"""Reason of a gap that the server gave no reason for."""


class Gap(ReceivedEvent):
    """A place in the events of a channel where events are missing, and cannot be had from the server any more.

    Fetch the state that the events build from its source, as your database, then go on with the events that follow.
    Neither unsubscribe nor reconnect: the subscription is whole from here on. After ``generation`` all clients of a
    server have a gap at once: wait a random time of up to 5 seconds before you fetch.

    ``reason`` is the server's: ``age``, ``number`` (the missed events are too old or too many to be kept),
    ``generation`` (the server lost its history), ``deleted`` (the history was deleted), ``limited`` (this client
    resumed too often) or ``unknown``. Two reasons are the client's own: ``overflow`` (the program reads too slowly) and
    ``decryption`` (events of an encrypted channel did not open). Others may come.

    A gap is an event as well: ``name`` is ``soundpost:gap``, ``is_protocol`` is true, ``data`` is
    ``{"reason": …}``. So a program that knows events only leaves gaps out as it leaves out other names.
    """

    channel: str

    def __init__(self, channel: str, reason: str, position: str | None = None) -> None:
        super().__init__(GAP, channel, encode({"reason": reason}).decode(), position=position)

    @property
    def reason(self) -> str:
        """Why the events are missing: one word."""
        reason: str = self.data["reason"]
        return reason

    @property
    def is_protocol(self) -> bool:
        """True, since a gap comes from the server or the client, not from an application."""
        return True

    def __repr__(self) -> str:
        return f"Gap(channel={self.channel!r}, reason={self.reason!r}, position={self.position!r})"
