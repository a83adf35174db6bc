"""Where messages go: ``http`` to any server with Pusher's HTTP API, ``offline`` to the log, to memory or nowhere.

``embedded`` is in :mod:`soundpost.asgi`, whose server it publishes to without a way over the network.
"""

from __future__ import annotations

from soundpost.broadcasting.drivers.driver import Driver
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import ConfigurationError

__all__ = ["Driver", "make_driver"]


def make_driver(name: str, settings: ConnectionSettings) -> Driver:
    """The driver of a connection called ``name``. Raises ConfigurationError."""
    missing = settings.missing_in_words(name)
    if missing is not None:
        raise ConfigurationError(f"{missing} to what the server has (soundpost init prints it)")
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
