"""The interface of a delivery, and making the delivery that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.loading import load
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import DELIVERIES


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


def make_delivery(name: str, drivers: Drivers) -> Delivery:
    """Return the delivery of this name, or of the class at ``module:Class``. Raises ConfigurationError."""
    delivery: Delivery = load(DELIVERIES.get(name, name), "deliver")(drivers)
    return delivery
