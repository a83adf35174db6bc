"""The interface of a delivery, and making the delivery that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final, Protocol

from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.loading import load
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import DELIVERIES
from soundpost.errors import ConfigurationError

_LIBRARIES: Final = ("celery", "rq", "dramatiq", "huey", "arq")
"""Deliveries that are called like the library they need, which is not a part of this package."""


class Delivery(Protocol):
    """A way to have messages sent, now or later.

    A delivery is made from the :class:`~soundpost.broadcasting.drivers.sending.Drivers` of the connections.
    """

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Have messages sent, in order; ``queue`` names the queue of a delivery that has queues.

        Raises BroadcastError.
        """

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """Have messages sent without blocking the event loop. Raises BroadcastError."""

    def close(self) -> None:
        """Have the messages that wait sent, within a few seconds."""


def missing_library(name: str) -> str | None:
    """Return a message about the library that a delivery needs and this Python lacks; None if nothing is missing."""
    if name in _LIBRARIES and find_spec(name) is None:
        return f"deliver={name!r} needs the library {name}, which is not installed here: pip install {name}"
    return None


def check_delivery(name: str) -> None:
    """Check that the class of a delivery, and the library it needs, can be imported. Raises ConfigurationError."""
    _class_of(name)


def make_delivery(name: str, drivers: Drivers) -> Delivery:
    """Return the delivery of this name, or of the class at ``module:Class``. Raises ConfigurationError."""
    delivery: Delivery = _class_of(name)(drivers)
    return delivery


def _class_of(name: str) -> Any:
    """Return the class of a delivery. Raises ConfigurationError."""
    missing = missing_library(name)
    if missing is not None:
        raise ConfigurationError(missing)
    return load(DELIVERIES.get(name, name), "deliver")
