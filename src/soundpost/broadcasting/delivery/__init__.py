"""When messages are sent, and by whom: ``now``, by a ``background`` thread, or by a worker that a queue brings them to.

An application names a delivery in its settings (``deliver``); any class with the methods of :class:`Delivery` will do.
"""

from __future__ import annotations

from typing import Final

from soundpost.broadcasting.delivery.delivery import Delivery
from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.loading import load

__all__ = ["Delivery", "make_delivery"]

_DELIVERIES: Final = {
    "now": "soundpost.broadcasting.delivery.now:NowDelivery",
    "background": "soundpost.broadcasting.delivery.background:BackgroundDelivery",
    "celery": "soundpost.contrib.celery:CeleryDelivery",
    "rq": "soundpost.contrib.rq:RqDelivery",
    "dramatiq": "soundpost.contrib.dramatiq:DramatiqDelivery",
    "huey": "soundpost.contrib.huey:HueyDelivery",
    "arq": "soundpost.contrib.arq:ArqDelivery",
    "django-tasks": "soundpost.contrib.django_tasks:DjangoTasksDelivery",
}


def make_delivery(name: str, drivers: Drivers) -> Delivery:
    """The delivery of this name, or ``module:Class``. Raises ConfigurationError."""
    delivery: Delivery = load(_DELIVERIES.get(name, name), "deliver")(drivers)
    return delivery
