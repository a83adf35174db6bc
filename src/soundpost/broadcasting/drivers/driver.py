"""The interface of a driver, and making the driver that the settings of a connection name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.failures import Errors
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import ConfigurationError


class Driver(Protocol):
    """Sends the messages of one connection, from any thread and any event loop.

    A driver is made from the :class:`~soundpost.broadcasting.settings.ConnectionSettings` of its connection.
    """

    blocks: bool
    """True where :meth:`send` waits for a network, so that it must not be called in an event loop."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages, in order. Raises BroadcastError; the messages after the failed one may not have been sent."""

    async def asend(self, messages: Sequence[Message]) -> None:
        """Send messages, in order, without blocking the event loop. Raises BroadcastError."""

    def close(self) -> None:
        """Close the connections of threads; they are opened again when needed."""

    async def aclose(self) -> None:
        """Close the connections of the running event loop; they are opened again when needed."""


@runtime_checkable
class BatchingDriver(Driver, Protocol):
    """A driver whose server may take large batches, and answers for each event of one."""

    @property
    def batch_limit(self) -> BatchLimit | None:
        """The limit of a large batch; None while the server has told none."""

    def send_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Send messages, in order, in batches within a ``limit``; None: in small ones, which any server takes.

        Return the errors of those that were refused. Raises BroadcastError.
        """

    async def asend_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Send messages without blocking the event loop, as :meth:`send_each`."""


def make_driver(name: str, settings: ConnectionSettings) -> Driver:
    """Return the driver of a connection called ``name``. Raises ConfigurationError."""
    missing = settings.missing_in_words(name)
    if missing is not None:
        raise ConfigurationError(f"{missing} to what the server has (soundpost init writes it into soundpost.toml)")
    if settings.is_http:
        from soundpost.broadcasting.drivers.http import HttpDriver

        return HttpDriver(settings)
    from soundpost.broadcasting.drivers import offline

    offline_drivers = {"null": offline.NullDriver, "log": offline.LogDriver, "memory": offline.MemoryDriver}
    if settings.driver in offline_drivers:
        return offline_drivers[settings.driver](settings)
    from soundpost.broadcasting.loading import load

    path = "soundpost.asgi.driver:EmbeddedDriver" if settings.driver == "embedded" else settings.driver
    driver: Driver = load(path, f"connection {name!r}: driver")(settings)
    return driver
