"""Deliveries: when messages are sent, and by which process.

``now`` sends in the request, ``background`` in a thread; the others put messages into a task queue, whose worker sends.
An application names a delivery in its settings (``deliver``); any class with the methods of :class:`Delivery` will do.
"""

from __future__ import annotations

from soundpost.broadcasting.delivery.delivery import Delivery, check_delivery, make_delivery, missing_library

__all__ = ["Delivery", "check_delivery", "make_delivery", "missing_library"]
