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
    """Event in place of events of a channel that are lost: the server does not keep them any more.

    Fetch the state that the events describe from its source, such as your database, then handle the events that follow.
    The subscription goes on: there is no need to unsubscribe or reconnect. After ``generation`` all clients of a
    server have a gap at once: wait a random time of up to 5 seconds before you fetch.

    ``reason`` is the server's: ``age``, ``number`` (the missed events are too old or too many to be kept),
    ``generation`` (the server lost its history), ``deleted`` (the history was deleted), ``limited`` (this client
    resumed too often) or ``unknown``. Two reasons are the client's own: ``overflow`` (the program reads too slowly) and
    ``decryption`` (events of an encrypted channel could not be decrypted). Later versions may add reasons.

    A gap is an event as well: ``name`` is ``soundpost:gap``, ``is_protocol`` is true, ``data`` is
    ``{"reason": …}``. A program that handles events by their names ignores gaps, as it ignores other names.
    """

    channel: str

    def __init__(self, channel: str, reason: str, position: str | None = None) -> None:
        super().__init__(GAP, channel, encode({"reason": reason}).decode(), position=position)

    @property
    def reason(self) -> str:
        """Reason why the events are missing: one word."""
        reason: str = self.data["reason"]
        return reason

    @property
    def is_protocol(self) -> bool:
        """True, since a gap comes from the server or the client, not from an application."""
        return True

    def __repr__(self) -> str:
        return f"Gap(channel={self.channel!r}, reason={self.reason!r}, position={self.position!r})"
