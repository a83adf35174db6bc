"""Events of the shop."""

from __future__ import annotations

from soundpost import Event, PrivateChannel


class OrderShipped(Event, on=PrivateChannel("orders.{order_id}")):
    """An order has left the house."""

    order_id: int
    carrier: str
