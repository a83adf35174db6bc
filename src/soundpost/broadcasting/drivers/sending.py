"""The drivers of an application's connections, made when first used."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from operator import attrgetter
from typing import Final

from soundpost.broadcasting import tracing
from soundpost.broadcasting.drivers import Driver, make_driver
from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.driver import BatchingDriver
from soundpost.broadcasting.drivers.failures import Errors
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.per_process import PerProcess

_NO_SPAN: Final = nullcontext()


class Drivers:
    """Sends each message through the connection that the message names."""

    def __init__(self, settings: BroadcastSettings) -> None:
        self._settings = settings
        self._drivers: dict[str, Driver] = {}
        self._batching: dict[str, BatchingDriver] = {}
        """The drivers that take batches. Measured to ask a driver whether it does: 20 µs."""
        self._lock = PerProcess(threading.Lock)

    def of(self, connection: str) -> Driver:
        """Return the driver of a connection; the default one for an empty name. Raises ConfigurationError."""
        name = connection or self._settings.default
        driver = self._drivers.get(name)
        if driver is None:
            with self._lock():
                driver = self._drivers.get(name)
                if driver is None:
                    driver = make_driver(name, self._settings.connection(name))
                    if isinstance(driver, BatchingDriver):
                        self._batching[name] = driver
                    self._drivers[name] = driver
        return driver

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages, in order. Raises BroadcastError."""
        for driver, group in self._groups(messages):
            with self._span(group):
                driver.send(group)

    async def asend(self, messages: Sequence[Message]) -> None:
        """Send messages, in order, without blocking the event loop. Raises BroadcastError."""
        for driver, group in self._groups(messages):
            with self._span(group):
                await driver.asend(group)

    def send_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Send messages, in order; return the errors of refused messages, by place.

        The batches have no messages of other callers. ``limit`` is that of the first message's connection, and the same
        if the messages are sent again. Raises BroadcastError if a server has failed, or refuses all.
        """
        errors: Errors = {}
        place = 0
        for driver, group in self._groups(messages):
            with self._span(group):
                batching = self._batching_of(group[0].connection)
                if batching is None:
                    driver.send(group)
                else:
                    own = limit if group[0].connection == messages[0].connection else None
                    errors |= {place + index: error for index, error in batching.send_each(group, own).items()}
            place += len(group)
        return errors

    async def asend_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Send messages without blocking the event loop, as :meth:`send_each`."""
        errors: Errors = {}
        place = 0
        for driver, group in self._groups(messages):
            with self._span(group):
                batching = self._batching_of(group[0].connection)
                if batching is None:
                    await driver.asend(group)
                else:
                    own = limit if group[0].connection == messages[0].connection else None
                    refused = await batching.asend_each(group, own)
                    errors |= {place + index: error for index, error in refused.items()}
            place += len(group)
        return errors

    def batch_limit(self, connection: str) -> BatchLimit | None:
        """Return the limit of large batches through a connection; None where there are none."""
        batching = self._batching_of(connection)
        return None if batching is None else batching.batch_limit

    def _batching_of(self, connection: str) -> BatchingDriver | None:
        self.of(connection)
        return self._batching.get(connection or self._settings.default)

    def any_blocks(self, messages: Sequence[Message]) -> bool:
        """Return whether sending these messages waits for a network."""
        return any(self.of(message.connection).blocks for message in messages)

    def close(self) -> None:
        """Close the connections of threads."""
        for driver in self._drivers.values():
            driver.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        for driver in self._drivers.values():
            await driver.aclose()

    def _span(self, messages: Sequence[Message]) -> AbstractContextManager[object]:
        if tracing.tracer is None:
            return _NO_SPAN
        return tracing.tracer.send(messages, self._settings.connection(messages[0].connection or None))

    def _groups(self, messages: Sequence[Message]) -> Iterator[tuple[Driver, Sequence[Message]]]:
        if len({message.connection for message in messages}) == 1:  # as nearly always
            yield self.of(messages[0].connection), messages
            return
        for connection, group in groupby(messages, key=attrgetter("connection")):
            yield self.of(connection), list(group)
