"""The drivers that need no server: ``log``, ``null``, ``memory``."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from soundpost.broadcasting.message import Message, shown
from soundpost.broadcasting.settings import ConnectionSettings

log = logging.getLogger("soundpost.broadcast")


class NullDriver:
    """Driver that drops all messages."""

    blocks = False

    def __init__(self, settings: ConnectionSettings) -> None:
        pass

    def send(self, messages: Sequence[Message]) -> None:
        """Drop messages."""

    async def asend(self, messages: Sequence[Message]) -> None:
        """Handle messages as :meth:`send` does."""
        self.send(messages)

    def close(self) -> None:
        """Do nothing: no connection is open."""

    async def aclose(self) -> None:
        """Do nothing: no connection is open."""


class LogDriver(NullDriver):
    """Driver that writes each message to the log ``soundpost.broadcast``, at INFO."""

    def send(self, messages: Sequence[Message]) -> None:
        """Log messages."""
        for message in messages:
            log.info("event %s on %s: %s", message.name, shown(message.channels), message.data)


class MemoryDriver(NullDriver):
    """Driver that keeps the last 1,000 messages in ``sent``."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        """Keep messages."""
        self.sent.extend(messages)
        del self.sent[:-1000]
