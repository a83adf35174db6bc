"""The configuration of a broadcaster: its settings, and the drivers and the delivery made from them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from soundpost.broadcasting.delivery import Delivery, make_delivery, missing_library
from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.settings import BroadcastSettings, settings_from, settings_from_environment
from soundpost.errors import ConfigurationError
from soundpost.per_process import PerProcess

log = logging.getLogger("soundpost.broadcast")


class Configured:
    """The configurable part of a broadcaster; drivers and delivery are made when first used."""

    def __init__(self, settings: BroadcastSettings | None) -> None:
        if settings is not None and not isinstance(settings, BroadcastSettings):
            raise ConfigurationError(
                f"Broadcaster({type(settings).__name__}): BroadcastSettings are expected; the method configure(…) "
                "takes a dictionary"
            )
        self._settings = settings
        self._source: Callable[[], BroadcastSettings] = settings_from_environment
        self._lock = PerProcess(threading.RLock)
        self._drivers: Drivers | None = None
        self._delivery: Delivery | None = None
        self._pinned: BroadcastSettings | None = None

    @property
    def settings(self) -> BroadcastSettings:
        """The settings in force. Raises ConfigurationError."""
        if self._pinned is not None:
            return self._pinned
        if self._settings is None:
            with self._lock():
                if self._settings is None:
                    self._settings = self._source()
        return self._settings

    def configure(self, settings: BroadcastSettings | Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set the settings: a mapping or keywords such as ``url``, or ``app_id``, ``key``, ``secret`` and ``host``.

        The documentation lists all keywords on its page Broadcasting. Raises ConfigurationError.
        """
        if not isinstance(settings, BroadcastSettings):
            if not isinstance(settings, Mapping | None):
                raise ConfigurationError(
                    f"settings of the type {type(settings).__name__}: a dictionary or BroadcastSettings are expected, "
                    "or keywords, such as url=…"
                )
            settings = settings_from({**(settings or {}), **more})
        elif more:
            settings = replace(settings, **more)
        with self._lock():
            self.close()
            self._settings = settings
            self._drivers = self._delivery = None
        self.prepare()

    def configure_from(self, source: Callable[[], BroadcastSettings]) -> None:
        """Set a function that returns the settings, called when they are first needed; its errors are raised there."""
        with self._lock():
            self.close()
            self._source = source
            self._settings = self._drivers = self._delivery = None

    def prepare(self) -> None:
        """Set the exit hooks of a background delivery; call in the main thread, which alone can set signal handlers.

        Log a warning if a library is missing that the delivery needs. Raises ConfigurationError.
        """
        missing = missing_library(self.settings.deliver)
        if missing is not None:
            log.warning("nothing can be broadcast: %s", missing)
        if self.settings.deliver == "background":
            self.delivery  # noqa: B018 - made by being asked for

    @contextmanager
    def pinned(self, settings: BroadcastSettings) -> Iterator[None]:
        """Put settings in force for the block, also if others are configured meanwhile: for tests."""
        before = self._pinned
        self._pin(settings)
        try:
            yield
        finally:
            self._pin(before)

    def _pin(self, settings: BroadcastSettings | None) -> None:
        with self._lock():
            self.close()
            self._pinned = settings
            self._drivers = self._delivery = None

    @property
    def drivers(self) -> Drivers:
        """The drivers of the connections."""
        if self._drivers is None:
            with self._lock():
                self._drivers = self._drivers or Drivers(self.settings)
        return self._drivers

    @property
    def delivery(self) -> Delivery:
        """The delivery that the settings name."""
        if self._delivery is None:
            with self._lock():
                self._delivery = self._delivery or make_delivery(self.settings.deliver, self.drivers)
        return self._delivery

    def close(self) -> None:
        """Send the messages that wait, and close connections, which are opened again when needed."""
        if self._delivery is not None:
            self._delivery.close()
        if self._drivers is not None:
            self._drivers.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        if self._drivers is not None:
            await self._drivers.aclose()
