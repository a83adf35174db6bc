"""Events of an application, for the tests of ``soundpost types`` and ``soundpost events``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic

from soundpost import Broadcastable, Channel, Event, PresenceChannel, PrivateChannel, UserNotification


class Status(Enum):
    NEW = "new"
    PAID = "paid"


@dataclass
class Address:
    street: str
    billing: Address | None = None


class Totals(TypedDict):
    net: Decimal
    note: NotRequired[str]


class ShopEvent(Event):
    """What all events have; no event itself, as it goes nowhere."""

    shop: int


class OrderShipped(ShopEvent, on=PrivateChannel("orders.{order_id}")):
    """An order has left the house.

    The rest of this is for programmers.
    """

    order_id: int
    carrier: str | None
    status: Status
    address: Address
    lines: list[dict[str, float]]
    kind: Literal["gift", "plain"]
    took: timedelta


class PriceTick(Event, on=Channel("prices.{symbol}"), name="price.tick"):
    symbol: str
    bid: Decimal
    at: datetime


class Paid(Event):
    id: UUID

    def broadcast_on(self) -> PrivateChannel:
        return PrivateChannel(f"orders.{self.id}")

    def broadcast_with(self) -> Totals:
        return {"net": Decimal(1)}


class Loose(Event, on=Channel("loose")):
    def broadcast_with(self) -> Any:
        return {}


class Closed(Event, on=[Channel("all"), PresenceChannel("staff")]):
    pass


class ByField(Event, on=Channel("all")):
    topic: str

    def broadcast_as(self) -> str:
        return self.topic


class Stock(pydantic.BaseModel, Broadcastable, on=Channel("stock")):
    left: int
    lead_time: timedelta


class Plain(msgspec.Struct):
    tags: set[str]

    def broadcast_on(self) -> str:
        return "plain"


class InvoicePaid(UserNotification):
    """An invoice is paid."""

    total: Decimal
