"""Drivers that need no server: ``log``, ``null``, ``memory``."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from soundpost.broadcasting.message import Message, shown
from soundpost.broadcasting.settings import ConnectionSettings

log = logging.getLogger("soundpost.broadcast")


class NullDriver:
    """Sends nothing."""

    blocks = False

    def __init__(self, settings: ConnectionSettings) -> None:
        pass

    def send(self, messages: Sequence[Message]) -> None:
        """Take them."""

    async def asend(self, messages: Sequence[Message]) -> None:
        """Take them."""
        self.send(messages)

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


class LogDriver(NullDriver):
    """Writes each message to the log ``soundpost.broadcast``, at INFO."""

    def send(self, messages: Sequence[Message]) -> None:
        """Log them."""
        for message in messages:
            log.info("event %s on %s: %s", message.name, shown(message.channels), message.data)


class MemoryDriver(NullDriver):
    """Keeps what was sent, the last 1,000, in ``sent``."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        """Keep them."""
        self.sent.extend(messages)
        del self.sent[:-1000]
