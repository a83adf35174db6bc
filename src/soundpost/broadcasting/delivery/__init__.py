"""When messages are sent, and by whom: ``now``, by a ``background`` thread, or by a worker that a queue brings them to.

An application names a delivery in its settings (``deliver``); any class with the methods of :class:`Delivery` will do.
"""

from __future__ import annotations

from soundpost.broadcasting.delivery.delivery import Delivery
from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.loading import load
from soundpost.broadcasting.settings import DELIVERIES

__all__ = ["Delivery", "make_delivery"]


def make_delivery(name: str, drivers: Drivers) -> Delivery:
    """The delivery of this name, or ``module:Class``. Raises ConfigurationError."""
    delivery: Delivery = load(DELIVERIES.get(name, name), "deliver")(drivers)
    return delivery
