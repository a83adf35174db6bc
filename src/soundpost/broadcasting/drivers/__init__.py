"""Drivers: where messages are sent to.

``http`` sends to any server with Pusher's HTTP API, ``offline`` to the log, to memory or nowhere. The driver
``embedded`` is in :mod:`soundpost.asgi`: it publishes to the server in the same process, without a network.
"""

from __future__ import annotations

from soundpost.broadcasting.drivers.driver import Driver, make_driver

__all__ = ["Driver", "make_driver"]
